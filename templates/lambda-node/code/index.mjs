// Counts the words of an event: {"text": "one two"}.
export const handler = async (event) => ({
  words: (event.text ?? "").split(/\s+/).filter(Boolean).length,
});
