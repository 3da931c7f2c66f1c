"""Counts the words of an event: {"text": "one two"}."""


def handler(event, context):
    return {"words": len(event.get("text", "").split())}
