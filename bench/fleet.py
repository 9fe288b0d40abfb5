"""What structured sinks cost: hg, the spool, a collector, and a thousand
commands at once."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from figures import (
    NS_PER_US,
    Report,
    median,
    ms,
    percentile,
    ratio,
    us,
)
from lab import (
    HG,
    MB,
    NONE,
    PYTHON,
    ROOT,
    STOCK,
    Lab,
    adopting,
    in_turn,
    wait_until,
)

# What the tests have, too: a collector, and what stands behind one.
sys.path.append(str(ROOT / "tests" / "helpers"))

import processes
from collector import Rotel, why_not
from otlp_receiver import Receiver

SCRIPT = "uilog, one script"
ALL = "uilog, all sinks on"
# Groups of events in a row, as in the part `event`.
GROUP = 8

MEDIAN_US = 15
SHIPPED_PER_SECOND = 50_000
MEMORY_MB = 16
# What a command's own process does; the part `agent` compares the two ways.
EACH = {"agent": "no"}
SPOOL = Path(".local") / "state" / "uilog" / "spool"
ELSEWHERE = ("HTTP", "ALL_PROXY", "OTEL_", "TRACE", "XDG_STATE_HOME")
# prctl(2)
TICKS = os.sysconf("SC_CLK_TCK")


def run(lab: Lab) -> Report:
    report = Report(
        "fleet",
        "structured sinks",
        "Where nothing else is said events are ends of commands, "
        "`ui.log(b'commandfinish', ...)`. The collector is rotel, on the "
        "loopback; where only sending counts, it drops what it gets.",
    )
    reason = why_not()
    if reason is not None:
        report.notes.append(f"LEFT OUT: all of it, because {reason}.")
        return report
    _event(lab, report)
    _spool(lab, report)
    _ship(lab, report)
    _wire(lab, report)
    _alone(lab, report)
    _crowd(lab, report)
    return report


@contextmanager
def _listening(path: Path, kind: socket.SocketKind) -> Iterator[None]:
    """somebody who reads what comes, and forgets it"""

    def read(it: socket.socket) -> None:
        while it.recv(1 << 16):
            pass
        it.close()

    def serve(it: socket.socket) -> None:
        if kind == socket.SOCK_DGRAM:
            read(it)
            return
        while True:
            try:
                connection, _ = it.accept()
            except OSError:
                # It has been shut down.
                return
            threading.Thread(
                target=read, args=(connection,), daemon=True
            ).start()

    with socket.socket(socket.AF_UNIX, kind) as it:
        it.bind(str(path))
        if kind == socket.SOCK_STREAM:
            it.listen(16)
        thread = threading.Thread(target=serve, args=(it,))
        thread.start()
        try:
            yield
        finally:
            it.shutdown(socket.SHUT_RDWR)
            thread.join()


def environment_of(lab: Lab, hgrc: Path, home: Path) -> dict[str, str]:
    """a home of its own: a spool belongs to a home

    What would lead sinks elsewhere, or make all of it one trace, is not in it.
    """
    home.mkdir(exist_ok=True)
    inherited = {
        name: value
        for name, value in lab.hg_environment(hgrc).items()
        if not name.upper().startswith(ELSEWHERE)
    }
    return {**inherited, "HOME": str(home)}


# Times of events, by who logs, what, and whether in a row or alone.
Samples = dict[tuple[str, str, str], list[float]]

EVENT_KINDS = {
    "event": ("an event", "What an event costs hg"),
    "begin": (
        "a beginning",
        "What the beginning of a command costs hg, which makes a new trace and "
        "an environment for the command's children",
    ),
    "end": (
        "an end",
        "What the end of a command costs hg, which tells what it has used",
    ),
}


def _event(lab: Lab, report: Report) -> None:
    rounds, groups = lab.pick(4, 2), lab.pick(75, 20)
    samples: Samples = {}
    peaks = []
    with ExitStack() as stack:
        rotel = Rotel(lab.directory / "event-rotel", None)
        stack.enter_context(rotel)
        agent, syslog = lab.directory / "agent", lab.directory / "log"
        stack.enter_context(_listening(agent, socket.SOCK_STREAM))
        stack.enter_context(_listening(syslog, socket.SOCK_DGRAM))
        sinks = {
            **EACH,
            "sink.fleet": f"otlp:{rotel.url}",
            "sink.audit": f"file:{lab.directory}/audit.jsonl",
            "sink.agent": f"unix:{agent}",
            "sink.desk": f"syslog:{syslog}",
        }
        hgrcs = _event_hgrcs(lab, sinks)
        for number in range(rounds):
            for name in in_turn(list(hgrcs), number):
                home = lab.directory / "event-home"
                environment = environment_of(lab, hgrcs[name], home)
                result = lab.run_probe(
                    environment, "to_sinks", groups=groups, size=GROUP
                )
                for what in ("event", "begin", "end"):
                    for kind in ("row", "alone"):
                        times = samples.setdefault((name, what, kind), [])
                        times += map(float, result[what][kind])
                if name == ALL:
                    peaks.append(result["memory"]["VmHWM"])
    size = f"{rounds * groups} groups of {GROUP}"
    for what in ("event", "begin", "end"):
        _event_table(report, what, samples, size)
    _memory(report, "four sinks", peaks)


def _event_hgrcs(lab: Lab, sinks: dict[str, str]) -> dict[str, Path]:
    scripts = dict.fromkeys(("foo", "command", "commandfinish"), "true")
    return {
        NONE: lab.hgrc(NONE),
        STOCK: lab.hgrc(STOCK, **scripts),
        SCRIPT: lab.configuration("uilog =", SCRIPT, "logtoprocess", scripts),
        ALL: lab.configuration("uilog =", ALL, "uilog", sinks),
    }


def _event_table(
    report: Report, what: str, samples: Samples, size: str
) -> None:
    name_of, title = EVENT_KINDS[what]
    table = report.table(
        f"{title}, µs (all sinks are otlp to rotel, file, unix and syslog "
        f"socket; {size})",
        "who",
        "in a row, median",
        "p99",
        "ratio to stock",
        "alone, median",
        "p99",
    )
    stock = median(samples[STOCK, what, "row"])
    for name in (NONE, SCRIPT, ALL, STOCK):
        row, alone = samples[name, what, "row"], samples[name, what, "alone"]
        report.keep(f"{what} in a row, {name}", row)
        report.keep(f"{what} alone, {name}", alone)
        table.add(
            name,
            us(median(row)),
            us(percentile(row, 99)),
            ratio(median(row), stock),
            us(median(alone)),
            us(percentile(alone, 99)),
        )
    ours = median(samples[ALL, what, "row"])
    report.target(
        f"{name_of} in a row, all sinks on, median",
        f"<= {MEDIAN_US} µs",
        f"{us(ours)} µs",
        ours <= MEDIAN_US * NS_PER_US,
    )


def _memory(report: Report, what: str, peaks: list[int]) -> None:
    peak = max(peaks)
    report.target(
        f"the dispatcher's peak memory, {what}",
        f"<= {MEMORY_MB} MB",
        f"{peak / MB:.1f} MB",
        peak <= MEMORY_MB * MB,
    )


def _spool(lab: Lab, report: Report) -> None:
    if shutil.which("cargo") is None:
        report.notes.append("LEFT OUT: the spool alone: there is no cargo.")
        return
    argv = [
        *("cargo", "run", "--release", "--quiet", "--locked"),
        *("-p", "uilog-spool", "--example", "spool_bench", "--"),
    ]
    done = subprocess.run(
        [*argv, str(lab.directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    table = report.table(f"The spool alone: {lines[0]}", "what", "measured")
    for line in lines[1:]:
        what, _, measured = line.partition(": ")
        table.add(what, measured)


def sending(lab: Lab, name: str, url: str, **options: str) -> Path:
    items = {**EACH, "sink.fleet": f"otlp:{url}"}
    items.update({f"sink.fleet:{key}": it for key, it in options.items()})
    return lab.configuration("uilog =", name, "uilog", items)


def _waiting(spool: Path) -> int:
    """bytes of records that a spool holds"""
    return sum(it.stat().st_size for it in segments(spool))


def segments(spool: Path) -> list[Path]:
    return list(spool.glob("*.seg1"))


def _ship(lab: Lab, report: Report) -> None:
    """a full spool, and one sender and one collector, a processor each"""
    count = lab.pick(40_000, 5_000)
    rounds = lab.pick(3, 1)
    table = report.table(
        f"Shipping {count:,} events from the spool to rotel, which drops them "
        "(each has a processor of its own)",
        "round",
        "bytes in the spool, MB",
        "s",
        "events/s",
        "processor time of the sender, s",
        "events/s of processor time",
        "rotel's processor time, s",
    )
    cores = sorted(os.sched_getaffinity(0))
    rates, busy = [], []
    for number in range(rounds):
        directory = lab.directory / f"ship{number}"
        directory.mkdir()
        rotel = Rotel(directory / "rotel", None, core=cores[-1])
        hgrc = sending(lab, f"ship{number}", rotel.url)
        environment = environment_of(lab, hgrc, directory / "home")
        spool = directory / "home" / SPOOL / "fleet"
        # Nobody is there yet.
        lab.run_probe(
            environment, "feed", where=str(lab.repository()), count=count
        )
        if not all_gone(environment["HOME"]):
            report.notes.append("A dispatcher has not ended in time.")
            return
        size = _waiting(spool)
        # Otherwise the collector would be left alone for a while.
        (spool / "retry").unlink(missing_ok=True)
        with rotel:
            argv = ["taskset", "-c", str(cores[0]), str(HG), "version", "-q"]
            subprocess.run(
                argv, env=environment, stdout=subprocess.DEVNULL, check=True
            )
            begin = time.perf_counter()
            used = 0.0
            (sender,) = _dispatchers(environment["HOME"]) or (None,)
            while sender is not None and segments(spool):
                now = _processor_seconds(sender)
                if now is None:
                    break
                used = now
                # Looking takes the two their processors.
                time.sleep(0.02)
            seconds = time.perf_counter() - begin
            theirs = _processor_seconds(rotel.pid) or 0.0
        rates.append(count / seconds)
        busy.append(count / used if used else 0.0)
        table.add(
            str(number + 1),
            f"{size / MB:.1f}",
            f"{seconds:.2f}",
            f"{count / seconds:,.0f}",
            f"{used:.2f}",
            f"{busy[-1]:,.0f}",
            f"{theirs:.2f}",
        )
    report.keep("shipped a second", rates)
    best = median(rates)
    report.target(
        "shipping to rotel on one core",
        f">= {SHIPPED_PER_SECOND:,}/s",
        f"{best:,.0f}/s",
        best >= SHIPPED_PER_SECOND,
    )


def _processor_seconds(pid: int) -> float | None:
    """what a process has used so far"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _dispatchers(home: str) -> list[int]:
    """those that serve an hg of this home: their queue holds its environment"""
    return [
        it.pid
        for it in processes.of_home(home)
        if it.is_dispatcher() and it.state != "Z"
    ]


def all_gone(home: str) -> bool:
    return wait_until(lambda: not _dispatchers(home))


def _all_came(receiver: Receiver, count: int) -> bool:
    return wait_until(lambda: receiver.store.count() >= count)


def _wire(lab: Lab, report: Report) -> None:
    count = lab.pick(10_000, 2_000)
    table = report.table(
        f"Bytes of an event ({count:,} events, batches as they come)",
        "compression",
        "in the spool (JSON)",
        "OTLP",
        "on the wire",
        "events of a request",
        "of the spool's",
    )
    for compression in ("none", "gzip"):
        directory = lab.directory / f"wire-{compression}"
        directory.mkdir()
        with Receiver() as receiver:
            receiver.hold()
            hgrc = sending(
                lab, compression, receiver.url, compression=compression
            )
            environment = environment_of(lab, hgrc, directory / "home")
            where = str(lab.repository())
            # The first one keeps the sender busy, so the rest is in batches.
            lab.run_probe(environment, "feed", where=where, count=count)
            spool = directory / "home" / SPOOL / "fleet"
            size = _waiting(spool) / count
            receiver.release()
            store = receiver.store
            _all_came(receiver, count)
            wire = store.wire_bytes / store.count()
            table.add(
                compression,
                f"{size:,.0f}",
                f"{store.body_bytes / store.count():,.0f}",
                f"{wire:,.0f}",
                f"{store.count() / store.requests:,.0f}",
                ratio(wire, size),
            )


def _alone(lab: Lab, report: Report) -> None:
    """a command that sends its one event by itself"""
    count = lab.pick(30, 10)
    directory = lab.directory / "alone"
    directory.mkdir()
    used, lives = [], []
    with Receiver() as receiver, adopting():
        hgrc = sending(lab, "alone", receiver.url)
        environment = environment_of(lab, hgrc, directory / "home")
        where = str(lab.repository())
        for _ in range(count):
            lab.run_probe(environment, "feed", where=where, count=1)
            end = time.perf_counter_ns()
            # Its dispatcher, which is nobody's child but has been adopted.
            _, _, usage = os.wait4(-1, 0)
            lives.append(float(time.perf_counter_ns() - end))
            used.append((usage.ru_utime + usage.ru_stime) * 1e9)
        store = receiver.store
        table = report.table(
            f"A command that sends its one event by itself ({count} of them, "
            "to a receiver on the loopback, without TLS)",
            "what",
            "is",
        )
        table.add("requests a command", f"{store.requests / count:.1f}")
        table.add(
            "bytes of its body on the wire",
            f"{store.wire_bytes / store.requests:,.0f}",
        )
        table.add(
            "processor time of its dispatcher, ms, median", ms(median(used))
        )
        table.add("how long that outlives hg, ms, median", ms(median(lives)))
    report.keep("processor time of a dispatcher", used)


def _crowd(lab: Lab, report: Report) -> None:
    count = lab.pick(1000, 100)
    directory = lab.directory / "crowd"
    directory.mkdir()
    before = _available()
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        # Not through rotel, which would make other requests of them.
        hgrc = sending(lab, "crowd", receiver.url)
        environment = environment_of(lab, hgrc, directory / "home")
        process = subprocess.Popen(
            [
                *(str(PYTHON), str(lab.directory / "hg"), "forked"),
                f'{{"where": "{lab.repository()}", "count": {count}}}',
            ],
            cwd=lab.directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        begin = time.perf_counter()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "logged\n"
        logged = time.perf_counter() - begin
        everyone = _dispatchers(environment["HOME"])
        proportional = [_proportional(pid) for pid in everyone]
        peaks = [_peak(pid) for pid in everyone]
        used = before - _available()
        end = time.perf_counter()
        process.stdin.write("\n")
        process.stdin.flush()
        result = process.stdout.readline()
        process.wait()
        store = receiver.store
        arrived = _all_came(receiver, 2 * count)
        drained = time.perf_counter() - end
        gone = all_gone(environment["HOME"])
        ended = time.perf_counter() - end
    samples = [float(it) for it in re.findall(r"\d+", result)]
    report.keep("an event of the crowd", samples)
    table = report.table(
        f"{count:,} commands at once on one machine, each with a dispatcher "
        "(processes forked from one that has loaded hg, so that their memory "
        "fits)",
        "what",
        "is",
    )
    table.add("dispatchers alive at a time", f"{len(everyone):,}")
    table.add(
        "their memory, all together (PSS)", f"{sum(proportional) / MB:,.0f} MB"
    )
    table.add(
        "of one, its part (PSS), median", f"{median(proportional) / MB:.2f} MB"
    )
    table.add("of one, peak (VmHWM), most", f"{max(peaks) / MB:.1f} MB")
    table.add("memory that the machine lacks meanwhile", f"{used / MB:,.0f} MB")
    table.add("the last event of each, median", f"{us(median(samples))} µs")
    table.add("p99", f"{us(percentile(samples, 99))} µs")
    table.add("until all had logged it", f"{logged:.2f} s")
    table.add("from the end of all until all had arrived", f"{drained:.2f} s")
    table.add("until the last dispatcher had ended", f"{ended:.2f} s")
    table.add("requests to the receiver", f"{store.requests:,}")
    table.add("events that arrived", f"{store.count():,} of {2 * count:,}")
    table.add("of them twice", f"{store.repeated():,}")
    report.target(
        f"{2 * count:,} events of {count:,} commands have arrived",
        "each",
        f"{store.count():,}",
        arrived and gone and store.count() == 2 * count,
    )


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0


def _proportional(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def _peak(pid: int) -> int:
    return _field(Path(f"/proc/{pid}/status"), "VmHWM")


def _field(path: Path, wanted: str) -> int:
    """a figure of memory in /proc; 0 of a process that has ended"""
    try:
        text = path.read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == wanted:
            return int(value.split()[0]) * 1024
    return 0
