"""Shows what uilog costs, side by side with stock Mercurial.

Responsible for the command line, the order of the parts and the output. Each
part measures uilog and stock hg in turn in this one run, and prints medians,
ratios and goals. Nothing here asserts anything: the exit
status only says whether measuring was possible.

Must not know how anything is measured: that is the parts' (command.py,
spawn.py, event.py, server.py, startup.py, memory.py, peer.py, blackbox.py,
blackbox_read.py, records.py, run_rhg.py, config_read.py, fleet.py, ship.py,
agent.py) and the probe's.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import agent
import blackbox
import blackbox_read
import command
import config_read
import event
import fleet
import memory
import peer
import records
import run_rhg
import server
import ship
import spawn
import startup
from figures import Report, Table, as_json
from lab import HG, Lab, is_debug_build, machine, runtime_root

PARTS: dict[str, Callable[[Lab], Report]] = {
    "command": command.run,
    "spawn": spawn.run,
    "event": event.run,
    "server": server.run,
    "startup": startup.run,
    "memory": memory.run,
    "peer": peer.run,
    "blackbox": blackbox.run,
    "history": blackbox_read.run,
    "records": records.run,
    "run": run_rhg.run,
    "config": config_read.run,
    "fleet": fleet.run,
    "ship": ship.run,
    "agent": agent.run,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Measures uilog and stock Mercurial in turn and prints "
        "Markdown tables of medians and ratios. It asserts nothing.",
        epilog="The parts: command (a whole command with one script, and all "
        "that it leaves behind), spawn (starting a program, by memory in use), "
        "event (one ui.log call: first, later, burst), server (a command "
        "server with two scripts), startup (loading the extension), memory "
        "(the dispatcher's peak), peer (opening, using and closing ssh "
        "peers), blackbox (lines of blackbox.log), history (hg blackbox on a "
        "log of 1 GB), records (uilog log and export on 256 MB), run (uilog "
        "run around rhg, which is built for it), config (reading hgrc files, "
        "rhg's reader included), fleet (sinks, a "
        "collector, a thousand commands at once), ship (a record's way to a "
        "collector, and what it cost before), agent (one process for all "
        "commands, beside one for each). A "
        "full run takes about twenty-five minutes and up to 4 GB; "
        "close other programs first.",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=list(PARTS),
        help="run this part alone; may be given more than once "
        f"({', '.join(PARTS)})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few repetitions and at most 1 GB: to see that it works, not "
        "for figures to keep",
    )
    parser.add_argument(
        "--before",
        metavar="BINARY",
        type=Path,
        help="in the part `ship`, measure this program `uilog` in turn with "
        "ours: one of the same queue, from before a change",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write everything there as JSON as well, with each sample",
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not HG.exists():
        print("bench: .venv has no hg; `make venv` makes it", file=sys.stderr)
        return 2
    if is_debug_build():
        print(
            "bench: the uilog of .venv is a debug build, which says nothing; "
            "`make venv` makes the one to measure",
            file=sys.stderr,
        )
        return 2
    facts = {"command": shlex.join(["bench/run.py", *sys.argv[1:]])}
    facts.update(machine())
    table = Table("Machine", ["what", "is"])
    for what, value in facts.items():
        table.add(what, value)
    print("# uilog beside stock Mercurial\n", *table.lines(), "", sep="\n")
    if options.quick:
        print("With --quick: too few repetitions for figures to keep.\n")
    reports = []
    prefix = "uilog-bench-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix) as directory,
        tempfile.TemporaryDirectory(
            prefix=prefix, dir=runtime_root()
        ) as runtime,
    ):
        lab = Lab(Path(directory), Path(runtime), options.quick, options.before)
        for name, part in PARTS.items():
            if options.only and name not in options.only:
                continue
            load = os.getloadavg()[0]
            begin = time.monotonic()
            report = part(lab)
            report.seconds = time.monotonic() - begin
            report.load_average = (load, os.getloadavg()[0])
            reports.append(report)
            print(report.markdown(), flush=True)
    if options.json is not None:
        options.json.write_text(as_json(facts, reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
