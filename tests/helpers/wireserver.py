"""A server that speaks just enough of hg's protocol to be asked for its tip.

It starts in no time, which hg's own does not, and is the same for each
Mercurial. It ends at the end of its standard input.

usage: wireserver.py [COMMAND], which is one that it does not survive
"""

from __future__ import annotations

import sys

TIP = b"1" * 40

# How many arguments a command has.
ARGUMENTS = {b"between": 1, b"listkeys": 1, b"lookup": 1}

ANSWERS = {
    b"between": b"\n",
    b"heads": TIP + b"\n",
    b"hello": b"capabilities: lookup branchmap pushkey\n",
    b"lookup": b"1 " + TIP + b"\n",
}


def main(argv: list[str]) -> int:
    deadly = [arg.encode() for arg in argv]
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    for line in iter(requests.readline, b""):
        command = line.strip()
        for _ in range(ARGUMENTS.get(command, 0)):
            size = requests.readline().split()[1]
            requests.read(int(size))
        if command in deadly:
            return 3
        # What it does not know has an empty answer, as the protocol says.
        answer = ANSWERS.get(command, b"")
        answers.write(b"%d\n%s" % (len(answer), answer))
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
