"""Logs numbered events through a real ui of hg's, as many as requested.

Loads hg as a command does, opens the repository and prints `ready`. Each line
of its input is a count: it logs so many more events, and answers with the
logger's status as JSON. Ends with its input.

Every second event is a command's end, which has taken time; the others take
none. Each has the options `source` and `number`, so that a receiver knows it
whatever its id.

usage: fleet_source.py REPOSITORY NAME
"""

from __future__ import annotations

import json
import os
import sys
import time

from mercurial import extensions, hg, ui as uimod

# About what a real command line has.
PADDING = b'lorem ipsum dolor sit amet ' * 8


def main(argv: list[str]) -> int:
    repository, name = argv
    ui = uimod.ui.load()
    extensions.loadall(ui)
    extensions.populateui(ui)
    ui = hg.repository(ui, os.fsencode(repository)).ui
    source = os.fsencode(name)
    number = 0
    print("ready", flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            if number % 2:
                ui.log(b'raced', b'%s\n', PADDING, source=source, number=number)
            else:
                ui.log(
                    b'commandfinish',
                    b'log -k "%s" exited 0 after 0.25 seconds\n',
                    PADDING,
                    canonical_command=b'log',
                    return_code=0,
                    duration=0.25,
                    source=source,
                    number=number,
                )
            number += 1
        seconds = time.perf_counter() - begin
        logger = ui.getlogger(b'uilog')
        status = logger.status() if logger is not None else {}
        print(
            json.dumps({**status, "seconds": seconds}, default=os.fsdecode),
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
