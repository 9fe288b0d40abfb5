"""Logs numbered events through a real ui of hg's, at the same time as others.

Loads hg as a command does, opens the repository, prints a line, and waits
for the end of its input, which its parent closes for all processes
at the same time. Then logs `NAME 0`, `NAME 1`, and so on.

usage: log_events.py REPOSITORY NAME COUNT
"""

from __future__ import annotations

import os
import sys

from mercurial import extensions, hg, ui as uimod


def main(argv: list[str]) -> int:
    repository, name, count = argv
    ui = uimod.ui.load()
    extensions.loadall(ui)
    extensions.populateui(ui)
    ui = hg.repository(ui, os.fsencode(repository)).ui
    print("ready", flush=True)
    sys.stdin.read()
    for number in range(int(count)):
        ui.log(b'raced', b'%s %d\n', os.fsencode(name), number)
    logger = ui.getlogger(b'uilog')
    if logger is not None:
        assert logger.status()['counters']['lost'] == 0, logger.status()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
