"""Counts the words of what it is given on standard input."""

import sys

from wit_world import exports


class Run(exports.Run):
    """What the component exports: called once per invocation."""

    def run(self) -> None:
        print(sum(len(line.split()) for line in sys.stdin))
