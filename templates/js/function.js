// Counts the words of what it is given on standard input.
import { getStdin } from "wasi:cli/stdin@0.2.6";
import { getStdout } from "wasi:cli/stdout@0.2.6";

const CHUNK = 65536;
const SPACES = new Set([9, 10, 11, 12, 13, 32]);

/** What is on standard input, chunk by chunk. */
function* input() {
  const stdin = getStdin();
  for (;;) {
    try {
      yield stdin.blockingRead(CHUNK);
    } catch (error) {
      if (error?.payload?.tag === "closed") return;
      throw error;
    }
  }
}

/** The bytes of a text without accents: this engine has no TextEncoder. */
function ascii(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** What the component exports: called once per invocation. */
export const run = {
  run() {
    let words = 0;
    let inWord = false;
    for (const chunk of input()) {
      for (const byte of chunk) {
        const isSpace = SPACES.has(byte);
        if (!isSpace && !inWord) words += 1;
        inWord = !isSpace;
      }
    }
    getStdout().blockingWriteAndFlush(ascii(`${words}\n`));
  },
};
