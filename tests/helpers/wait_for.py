"""Waits until a command succeeds, whose last output is printed, or until a
file has so many lines.

usage: wait_for.py COMMAND...
       wait_for.py --lines N FILE
"""

from __future__ import annotations

import subprocess
import sys
import time

# Seconds, and far more than anything here takes: only a hang gets there.
DEADLINE = 120


def main(argv: list[str]) -> int:
    deadline = time.monotonic() + DEADLINE
    while True:
        is_true, output = look(argv)
        is_late = time.monotonic() > deadline
        if is_true or is_late:
            break
        time.sleep(0.02)
    sys.stdout.buffer.write(output)
    if not is_true:
        print(f"not within {DEADLINE} seconds: {' '.join(argv)}")
        return 1
    return 0


def look(argv: list[str]) -> tuple[bool, bytes]:
    """Whether the condition holds, and what there is to be printed."""
    if argv[0] == "--lines":
        # Without a process each time: others need the processors.
        try:
            with open(argv[2], "rb") as fp:
                return fp.read().count(b"\n") >= int(argv[1]), b""
        except FileNotFoundError:
            return False, b""
    done = subprocess.run(argv, capture_output=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
