"""Runs a command until it succeeds; its last output counts.

usage: wait_for.py COMMAND...
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
        done = subprocess.run(argv, capture_output=True, check=False)
        is_late = time.monotonic() > deadline
        if done.returncode == 0 or is_late:
            break
        time.sleep(0.02)
    sys.stdout.buffer.write(done.stdout + done.stderr)
    if done.returncode != 0:
        print(f"not within {DEADLINE} seconds: {' '.join(argv)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
