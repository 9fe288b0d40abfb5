"""Runs a program behind pipes of one page, whose other ends are read slowly.

What it reads and writes passes through here, a little at a time. Standard
error stays what it is, and gets narrow, too.

usage: narrow.py COMMAND...
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time

# From <fcntl.h>; Python 3.9 has no name for it.
F_SETPIPE_SZ = 1031
PAGE = 4096

# Bytes that pass at a time, and the seconds between them.
PIECE = 3000
PAUSE = 0.001


def relay(source: int, target: int) -> None:
    while piece := os.read(source, PIECE):
        while piece:
            piece = piece[os.write(target, piece) :]
        time.sleep(PAUSE)
    os.close(target)


def main(argv: list[str]) -> int:
    for fd in range(3):
        fcntl.fcntl(fd, F_SETPIPE_SZ, PAGE)
    program = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert program.stdin is not None
    assert program.stdout is not None
    ends = (program.stdin.fileno(), program.stdout.fileno())
    for fd in ends:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PAGE)
    asks = threading.Thread(target=relay, args=(0, os.dup(ends[0])))
    asks.daemon = True
    program.stdin.close()
    asks.start()
    relay(ends[1], os.dup(1))
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
