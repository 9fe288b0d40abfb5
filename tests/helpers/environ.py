"""Shows variables of an environment that a script has saved.

A long value is shown as its length and its two ends, bytes that are not
printable as escapes, a variable that is not there as such.

usage: environ.py FILE NAME...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Longer values are abbreviated.
MAX_SHOWN = 60
SHOWN_BEGIN = 8
SHOWN_END = 20


def read(path: str | Path) -> dict[bytes, bytes]:
    """The variables in a file, each `NAME=value` and NUL."""
    pairs = [
        entry.partition(b"=")
        for entry in Path(path).read_bytes().split(b"\0")[:-1]
    ]
    variables = {name: value for name, _, value in pairs}
    if len(variables) != len(pairs):
        raise SystemExit(f"{path} holds a name twice")
    return variables


def shown(value: bytes) -> str:
    if len(value) > MAX_SHOWN:
        begin = repr(value[:SHOWN_BEGIN])[2:-1]
        end = repr(value[-SHOWN_END:])[2:-1]
        return f"{len(value)} bytes: {begin}...{end}"
    return repr(value)[2:-1]


def main(argv: list[str]) -> int:
    path, *names = argv
    if not Path(path).exists():
        print("no script has run")
        return 1
    variables = read(path)
    for name in names:
        value = variables.get(os.fsencode(name))
        print(f"{name}={'(none)' if value is None else shown(value)}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
