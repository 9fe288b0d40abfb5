"""What reading a large blackbox costs: the last events, and filters."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Report, median, ms
from lab import GB, HG, MB, PYTHON, Lab, in_turn

# Lines that are made and written at once.
GROUP = 1000
TIMES_FASTER = 25
# What ours may take at its peak, whatever the size of the log, beyond what
# `hg id` takes: MB.
MAX_MORE_MB = 32

OURS = "uilog"
STOCK = "stock hg"

USERS = ("alice", "bob", "carol", "build-agent", "dave")
COMMANDS = (
    "status",
    "pull",
    "pull -r tip ssh://hg@example.com/repo",
    "log -r tip -T json",
    "update --clean default",
    "commit -m 'fix the parser'",
    "diff --stat",
    "id",
    "heads -T {node}",
    "cat -r 3f2a src/lib.rs",
)
TRACEBACK = (
    "** Unknown exception encountered with possibly-broken third-party "
    'extension "mock" (version N/A)\n'
    "Traceback (most recent call last):\n"
    '  File "mercurial/dispatch.py", line 1, in _runcatch\n'
    "RuntimeError: it broke\n\n"
)

STOCK_READS = "stock hg, which reads it all"

# What is searched for, how much of that there is, and as the module's words.
FILTERS: dict[str, dict[str, Any]] = {
    "--user, one in a million": {"users": ["rare"]},
    "--failed, one in 10,000": {"failed": True},
    "--slower 10, hardly any": {"slower": 10.0},
    "--event commandexception, one in 10,000": {"events": ["commandexception"]},
    "--event commandfinish --slower 8, few": {
        "events": ["commandfinish"],
        "slower": 8.0,
    },
    "--pid, one in 60,000": {"pids": [1234]},
    "--since, none": {"since": [1_900_000_000, 1_900_000_000]},
    # The log begins with 2026 and has 48 days.
    "--since and --until, a minute of it": {
        "since": [1_769_860_800, 1_769_860_800],
        "until": [1_769_860_860, 1_769_860_860],
    },
}
# These are many: most of their time goes into taking them all.
MANY: dict[str, dict[str, Any]] = {
    "--command 'pull*', each fifth event": {"commands": ["pull*"]},
    "--event commandfinish -l 10": {"events": ["commandfinish"], "limit": 10},
}

WHOLE = {
    "stock hg, -l 10": (STOCK, ["-l", "10"]),
    "uilog, -l 10": (OURS, ["-l", "10"]),
    "uilog, --failed -l 0": (OURS, ["--failed", "-l", "0"]),
    "uilog, --user rare -l 0": (OURS, ["--user", "rare", "-l", "0"]),
}

# Reads the log once in a process of its own, and tells how long that took.
SCRIPT = """
import json, sys, time
path, arguments = sys.argv[1].encode(), json.loads(sys.argv[2])
if arguments is None:
    from hgext import blackbox
    from mercurial import vfs
    class Repo:
        vfs = vfs.vfs(path)
    class Ui:
        def status(self, *text):
            pass
    def read():
        blackbox.blackbox(Ui(), Repo(), limit=10)
else:
    from hgext3rd.uilog import _native
    for name, value in arguments.items():
        if name in ('since', 'until'):
            arguments[name] = tuple(value)
        elif isinstance(value, list) and isinstance(value[0], str):
            arguments[name] = [item.encode() for item in value]
    arguments.setdefault('limit', 0)
    def read():
        history = _native.History(
            path + b'/blackbox.log', date_format=b'', as_events=False,
            follow=False, count_damaged=False, **arguments)
        while history.next_text() is not None:
            pass
begin, used = time.perf_counter_ns(), time.process_time_ns()
read()
print(json.dumps([time.perf_counter_ns() - begin,
                  time.process_time_ns() - used]))
"""


def run(lab: Lab) -> Report:
    report = Report(
        "history",
        "`hg blackbox` on a large log",
        "A log that lies in the page cache, read in turn. Stock hg has no "
        "filters: it shows the last 10 events, for which it reads the same "
        "bytes. Reading alone is what the stock command's function and the "
        "native module take, each in a process of its own, with what they "
        "show thrown away.",
    )
    size = lab.pick(GB, 64 * MB)
    repository = lab.directory / "history"
    environments = {
        OURS: lab.hg_environment(_hgrc(lab, OURS, "uilog =")),
        STOCK: lab.hg_environment(_hgrc(lab, STOCK, "")),
    }
    subprocess.run(
        [str(HG), "init", str(repository)], env=environments[STOCK], check=True
    )
    log = repository / ".hg" / "blackbox.log"
    lines = _generate(log, size)
    try:
        _whole(lab, report, repository, environments)
        _reading(lab, report, repository, environments[OURS])
    finally:
        log.unlink()
    report.notes.append(
        f"The log: {size / MB:.0f} MB, {lines:,} lines, the same in each run."
    )
    return report


def _whole(
    lab: Lab,
    report: Report,
    repository: Path,
    environments: dict[str, dict[str, str]],
) -> None:
    rounds = lab.pick(5, 2)
    found: dict[str, list[float]] = {name: [] for name in WHOLE}
    peak: dict[str, int] = {}
    for number in range(rounds):
        for name in in_turn(list(WHOLE), number):
            who, arguments = WHOLE[name]
            command = [str(HG), "-R", str(repository), "blackbox", *arguments]
            took = _process(command, environments[who])
            found[name].append(took.nanoseconds)
            peak[name] = took.peak
    stock = median(found["stock hg, -l 10"])
    table = report.table(
        f"`hg blackbox`, whole process ({rounds} each)",
        "who",
        "median, ms",
        "stock's time by it",
        "peak memory, MB",
    )
    for name, samples in found.items():
        report.keep(name, samples)
        table.add(
            name,
            ms(median(samples)),
            _times(stock, median(samples)),
            f"{peak[name] / MB:.1f}",
        )
    names = [name for name in WHOLE if WHOLE[name][0] == OURS]
    more = max(peak[name] for name in names) - peak["uilog, -l 10"]
    report.target(
        "peak memory of a filter, more than of -l 10",
        f"<= {MAX_MORE_MB} MB",
        f"{more / MB:.1f} MB",
        more <= MAX_MORE_MB * MB,
    )


def _reading(
    lab: Lab, report: Report, repository: Path, environment: dict[str, str]
) -> None:
    rounds = lab.pick(5, 2)
    contenders: dict[str, dict[str, Any] | None] = {STOCK_READS: None}
    contenders.update({**FILTERS, **MANY})
    found: dict[str, list[float]] = {name: [] for name in contenders}
    used: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in in_turn(list(contenders), number):
            arguments = json.dumps(contenders[name])
            directory = str(repository / ".hg")
            command = [str(PYTHON), "-c", SCRIPT, directory, arguments]
            took = _process(command, environment)
            nanoseconds, processor = json.loads(took.output)
            found[name].append(nanoseconds)
            used[name].append(processor)
    stock = median(found[STOCK_READS])
    table = report.table(
        f"Reading alone ({rounds} each)",
        "what",
        "median, ms",
        "stock's time by it",
        "processor time, median, ms",
        "stock's by it",
    )
    for name, samples in found.items():
        report.keep(f"reading, {name}", samples)
        table.add(
            name,
            ms(median(samples)),
            _times(stock, median(samples)),
            ms(median(used[name])),
            _times(median(used[STOCK_READS]), median(used[name])),
        )
    for name in FILTERS:
        ours = median(found[name])
        report.target(
            f"{name}, reading alone",
            f">= {TIMES_FASTER}x faster",
            _times(stock, ours),
            stock >= TIMES_FASTER * ours,
        )


def _times(stock: float, ours: float) -> str:
    return f"{stock / ours:.1f}x" if ours > 0 else "-"


@dataclass(frozen=True)
class Took:
    nanoseconds: float
    # Bytes.
    peak: int
    output: bytes


def _process(command: Sequence[str], environment: dict[str, str]) -> Took:
    with tempfile.TemporaryFile() as out:
        begin = time.perf_counter_ns()
        process = subprocess.Popen(command, env=environment, stdout=out)
        _pid, status, usage = os.wait4(process.pid, 0)
        nanoseconds = time.perf_counter_ns() - begin
        # wait4 has taken what Popen would wait for.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)
        out.seek(0)
        return Took(nanoseconds, usage.ru_maxrss * 1024, out.read())


def _hgrc(lab: Lab, who: str, extension: str) -> Path:
    path = lab.directory / f"history-{who.replace(' ', '-')}.rc"
    path.write_text(
        f"[extensions]\nblackbox =\n{extension}\n[blackbox]\ntrack =\n"
    )
    return path


def _generate(path: Path, size: int) -> int:
    """a log; how many lines it has"""
    numbers = random.Random(20261102)
    nodes = [f"{numbers.getrandbits(160):040x}" for _ in range(50)]
    lines = written = moment = 0
    with path.open("wb") as log:
        while written < size:
            block = []
            for _ in range(GROUP):
                moment += numbers.randrange(0, 900)
                block.append(_event(numbers, nodes, moment))
            text = "".join(block).encode()
            written += log.write(text)
            lines += text.count(b"\n")
    return lines


def _date(moment: int) -> str:
    seconds, milliseconds = divmod(moment, 1000)
    clock = time.strftime(
        "%Y-%m-%d %H:%M:%S", time.gmtime(1_767_225_600 + seconds)
    )
    return f"{clock}.{milliseconds:03d}"


def _event(numbers: random.Random, nodes: Sequence[str], moment: int) -> str:
    user = numbers.choice(USERS) if numbers.random() > 1e-6 else "rare"
    node = numbers.choice(nodes)
    pid = numbers.randrange(1000, 65_000)
    head = f"{_date(moment)} {user} @{node} ({pid})> "
    command = numbers.choice(COMMANDS)
    kind = numbers.random()
    if kind < 0.45:
        return f"{head}{command}\n"
    if kind < 0.9:
        code = 255 if numbers.random() < 1e-4 else 0
        seconds = numbers.expovariate(1.5)
        return f"{head}{command} exited {code} after {seconds:.2f} seconds\n"
    if kind < 0.95:
        return f"{head}updated branch cache (served) in 0.0012 seconds\n"
    if kind < 0.9999:
        return f"{head}wrote branch cache (served) with 1 labels and 2 nodes\n"
    return f"{head}{TRACEBACK}"
