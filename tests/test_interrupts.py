"""hg that is interrupted at any moment: it ends as stock hg does, leaves no
process behind, and each event that it has logged is delivered or counted."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import processes
from conftest import Home
from growing import whole_lines

SEED = 12
TIMES = 100
AT_ONCE = 2
# So many have their moments from one measurement.
GROUP = 25

# Loaded before uilog: from here on there is something of uilog's to interrupt.
BEFORE = "import os\nos.write(1, b'.')\n"

# A command that logs all the time.
LOGGING = """\
import time

from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)


@command(b'logs', [], norepo=True)
def logs(ui):
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        ui.log(b'logged', b'one\\n')
"""


@dataclass(frozen=True)
class Ended:
    """How an hg has ended."""

    delay: float
    status: int
    err: str
    # From the beginning, or from when extensions are loaded, to the end.
    seconds: float


def run(home: Home, delay: float | None, is_loaded: bool) -> Ended:
    """Runs hg, which is interrupted after so many seconds, if at all: from the
    beginning, or from when extensions are loaded."""
    hg = subprocess.Popen(
        ["hg", "logs"],
        env=home.env,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert hg.stdout is not None
        if is_loaded:
            assert hg.stdout.read(1) == "."
        begin = time.monotonic()
        if delay is not None:
            # The moment is the point, whatever is being done then.
            time.sleep(delay)
            hg.send_signal(signal.SIGINT)
        _out, err = hg.communicate(timeout=processes.DEADLINE)
    finally:
        hg.kill()
    seconds = time.monotonic() - begin
    return Ended(delay or 0, hg.returncode, err, seconds)


def interrupted(ends: list[Ended]) -> int:
    """how many commands hg itself has ended, as it does when interrupted"""
    return sum(end.status == 255 for end in ends)


def test_a_hundred_interrupts_are_a_hundred_ends(home: Home) -> None:
    logs = [home.path / name for name in ("first.jsonl", "second.jsonl")]
    home.hgrc.write_text("")
    home.extension("before", BEFORE)
    home.extension("logging", LOGGING)
    home.configure(
        "[extensions]\nuilog =\nblackbox =\n"
        f"[uilog]\nsink.first = file:{logs[0]}\nsink.second = file:{logs[1]}\n"
        "sink.first:track = *\nsink.second:track = *\n"
        "[hooks]\npost-logs = true\n"
    )
    chance = random.Random(SEED)
    ends: list[Ended] = []
    # How long a command takes changes with what else the machine does, and a
    # signal may come too late: so it is measured again for each group, and
    # there are more groups until enough commands have been interrupted.
    while (len(ends) < TIMES or interrupted(ends) <= TIMES // 4) and len(
        ends
    ) < 5 * TIMES:
        moments = []
        for is_loaded, count in ((False, GROUP // 5), (True, GROUP * 4 // 5)):
            longest = run(home, None, is_loaded).seconds
            for _ in range(count):
                moments.append((chance.uniform(0, longest), is_loaded))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends += pool.map(lambda it: run(home, *it), moments)
    assert not processes.wait_until_gone(str(home.path))
    for end in ends:
        # hg's own status; while Python loads hg it is the signal, or 1 and a
        # traceback; 0 if it came too late.
        assert end.status in (255, -signal.SIGINT, 1, 0), end
        assert not ours(end.err), end
        assert "panicked" not in end.err, end
    assert interrupted(ends) > TIMES // 4
    # Both files have the same events, and no number is missing, except what
    # the journal says is lost.
    numbers = defaultdict(list)
    for log in logs:
        for record in map(json.loads, log.read_text().splitlines()):
            numbers[record["session"], log].append(record["seq"])
    sessions = {session for session, _ in numbers}
    missing = 0
    for session in sessions:
        both = [numbers[session, log] for log in logs]
        assert all(len(it) == len(set(it)) for it in both), "twice"
        last = max(max(it, default=0) for it in both)
        missing += sum(last - len(it) for it in both)
    assert len(sessions) > TIMES // 4
    assert missing == lost(home)


def lost(home: Home) -> int:
    """How many events the journal says are lost."""
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    lines = whole_lines(journal).splitlines()
    return sum(json.loads(line)["lost"] for line in lines)


def ours(err: str) -> list[str]:
    """Tracebacks that end in a file of ours."""
    found = []
    for traceback in re.split(r"^Traceback ", err, flags=re.MULTILINE)[1:]:
        files = re.findall(r'^  File "([^"]+)"', traceback, re.MULTILINE)
        if files and "/hgext3rd/uilog/" in files[-1]:
            found.append(traceback)
    return found
