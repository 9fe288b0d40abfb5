"""Runs many of hg's commands in one process, which saves their start.

Reads them from standard input, one a line: words for hg, `! COMMAND` for a
shell, `cd DIRECTORY`. Prints each, and what it has ended with other than 0.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from mercurial import dispatch

try:
    from mercurial.main_script import request
except ImportError:
    # hg < 7.2
    request = dispatch.request


def run(line: str) -> int:
    if line.startswith("! "):
        return subprocess.run(["sh", "-c", line[2:]]).returncode
    words = shlex.split(line)
    if words[0] == "cd":
        os.chdir(words[1])
        return 0
    return dispatch.dispatch(request([os.fsencode(w) for w in words])) & 255


def main() -> int:
    # A command may read it, too.
    lines = sys.stdin.read().splitlines()
    for line in lines:
        print(f"+ {line}", flush=True)
        status = run(line)
        if status != 0:
            print(f"[{status}]", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
