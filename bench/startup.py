"""What the extension costs a command that has just been started."""

from __future__ import annotations

import compileall
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from figures import NS_PER_MS, Report, median, ms, percentile, ratio
from lab import HG, MARK, NONE, OURS, PYTHON, STOCK, Lab, in_turn

LOADING_MS = 2
# One of Mercurial's own that is small and has nothing to do with logging.
OTHER = "share"
# What switches uilog off: names, variables, lines of the hgrc.
EMPTY = "an empty extension"
BRAKES = {
    EMPTY: ({}, ""),
    f"{OURS}, UILOG=off": ({"UILOG": "off"}, ""),
    f"{OURS}, enabled = no": ({}, "[uilog]\nenabled = no\n"),
}


def run(lab: Lab) -> Report:
    report = Report(
        "startup",
        "loading the extension",
        "`hg id` in a small repository, whole process, in turn; the "
        "configuration file alone differs. Where there is a script, it has "
        "ended before the next process is started.",
    )
    _processes(lab, report)
    _inside(lab, report)
    if counts_instructions(lab, report):
        _instructions(lab, report)
    return report


def _processes(lab: Lab, report: Report) -> None:
    rounds = lab.pick(60, 10)
    repository = lab.repository()
    loaded = "{}, loaded only"
    scripted = "{}, a commandfinish script"
    configurations = {
        NONE: lab.hgrc(NONE),
        loaded.format(OURS): lab.hgrc(OURS),
        loaded.format(STOCK): lab.hgrc(STOCK),
        scripted.format(OURS): lab.hgrc(OURS, commandfinish=MARK),
        scripted.format(STOCK): lab.hgrc(STOCK, commandfinish=MARK),
    }
    found: dict[str, list[float]] = {name: [] for name in configurations}
    used: dict[str, list[float]] = {name: [] for name in configurations}
    for number in range(rounds):
        for name in in_turn(list(configurations), number):
            before = lab.count_marks()
            used_before = _processor_ns()
            begin = time.perf_counter_ns()
            subprocess.run(
                [str(HG), "id"],
                cwd=repository,
                env=lab.hg_environment(configurations[name]),
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found[name].append(time.perf_counter_ns() - begin)
            used[name].append(_processor_ns() - used_before)
            lab.settle(before + ("script" in name))
    table = report.table(
        f"`hg id`, whole process ({rounds} each)",
        "who",
        "median, ms",
        "p99, ms",
        "added, ms (median of the pairs)",
        "ratio to no logging",
        "processor time, median, ms",
        "added, ms",
    )
    base = found[NONE]
    added = {}
    for name, samples in found.items():
        report.keep(f"hg id, {name}", samples)
        added[name] = median([a - b for a, b in zip(samples, base)])
        table.add(
            name,
            ms(median(samples)),
            ms(percentile(samples, 99)),
            ms(added[name]),
            ratio(median(samples), median(base)),
            ms(median(used[name])),
            ms(median([a - b for a, b in zip(used[name], used[NONE])])),
        )
    report.notes.append(
        "Processor time is that of the hg process alone (scripts and the "
        "dispatcher are not its children's), and suffers less from other "
        "programs than the clock does."
    )
    ours = added[loaded.format(OURS)]
    report.target(
        "loaded only, whole process",
        f"< {LOADING_MS} ms",
        f"{ms(ours)} ms",
        ours < LOADING_MS * NS_PER_MS,
    )


def _processor_ns() -> float:
    """the processor time of all ended children so far"""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * NS_PER_MS * 1000


def _inside(lab: Lab, report: Report) -> None:
    rounds = lab.pick(30, 8)
    extensions = {OURS: "uilog", STOCK: "logtoprocess"}
    steps: dict[tuple[str, str], list[float]] = {}
    everything: dict[str, list[float]] = {}
    for number in range(rounds):
        for who in in_turn((NONE, OURS, STOCK), number):
            hgrc = lab.hgrc(who)
            samples = everything.setdefault(who, [])
            samples.append(float(lab.probe(hgrc, "load_all")))
            if who in extensions:
                name = extensions[who]
                result = lab.probe(hgrc, "load", name=name, before="")
                after = lab.probe(hgrc, "load", name=name, before=OTHER)
                result["after"] = after["load"]
                for step, nanoseconds in result.items():
                    steps.setdefault((who, step), []).append(nanoseconds)
    table = report.table(
        f"Inside the process, ms, medians ({rounds} processes each)",
        "who",
        "extensions.load",
        f"the same after `{OTHER}`",
        "loadall after it (uisetup)",
        "populateui",
        "loadall and populateui at once",
        "p99",
    )
    for who, samples in everything.items():
        report.keep(f"loadall + populateui, {who}", samples)
        names = ("load", "after", "setup", "populate")
        times = [steps.get((who, step)) for step in names]
        table.add(
            who,
            *(ms(median(it)) if it else "" for it in times),
            ms(median(samples)),
            ms(percentile(samples, 99)),
        )
    after = median(steps[OURS, "after"])
    report.target(
        f"extensions.load, after `{OTHER}`",
        f"< {LOADING_MS} ms",
        f"{ms(after)} ms",
        after < LOADING_MS * NS_PER_MS,
    )
    ours = median(everything[OURS]) - median(everything[NONE])
    report.target(
        "inside the process, more than with no extension",
        f"< {LOADING_MS} ms",
        f"{ms(ours)} ms",
        ours < LOADING_MS * NS_PER_MS,
    )
    report.notes.append(
        "Inside the process, the modules are imported before that every "
        "command of hg imports. The first extension of a process also pays "
        "for finding the directory `hgext`, which hg searches first for "
        "every name; so the second column stands for hg with any other "
        "extension enabled."
    )


def _instructions(lab: Lab, report: Report) -> None:
    """what the clock cannot tell on a busy machine"""
    script = hg_without_collector(lab)
    counts = {}
    # The first command in a repository writes its caches.
    count_instructions(lab, script, lab.hgrc(NONE))
    for other in ("", OTHER):
        for who in (NONE, OURS, STOCK):
            hgrc = lab.hgrc(who)
            with hgrc.open("a") as file:
                file.write(f"[extensions]\n{other} =\n" if other else "")
            counts[who, other] = count_instructions(lab, script, hgrc)
        for who, (variables, text) in BRAKES.items():
            counts[who, other] = count_instructions(
                lab, script, _braked(lab, who, other, text), variables
            )
    table = report.table(
        "`hg id` under valgrind without garbage collection, "
        "million instructions",
        "who",
        "alone",
        "added",
        f"with `{OTHER}`",
        "added",
    )

    def millions(count: int) -> str:
        return f"{count / 1e6:.1f}"

    for who in (NONE, OURS, STOCK, *BRAKES):
        cells = []
        for other in ("", OTHER):
            count = counts[who, other]
            cells.append(millions(count))
            cells.append(millions(count - counts[NONE, other]))
        table.add(who, *cells)
    _events(lab, report, script)


# Where the part of events.py begins that looks at what hg does not log, and
# what stands for it if it is cut off.
WATCHING = "# Which of the functions below have been called"
BLIND = """\
_watching = set()
_watched = ()
_watchwaits = None


def _nothing(*args):
    pass


_watch = _watchwork = _watchclone = _nothing
_TOLD_BY = {}
"""


def _events(lab: Lab, report: Report, script: Path) -> None:
    """what a command pays for options and events that hg does not have"""
    whole, cut = _copy(lab, "whole"), _copy(lab, "cut")
    events = cut / "hgext3rd" / "uilog" / "events.py"
    before, mark, _after = events.read_text().partition(WATCHING)
    assert mark
    events.write_text(before + BLIND)
    compileall.compile_dir(cut, quiet=2)
    configured = {
        "nothing": lab.hgrc(OURS),
        "a script for commandfinish": lab.hgrc(OURS, commandfinish="true"),
        "a file: sink for all events": _with_sink(lab),
    }
    table = report.table(
        "What the events of uilog's own add to `hg id`, under valgrind without "
        "garbage collection, million instructions",
        "configured",
        "all",
        "without them",
        "they add",
    )
    for what, hgrc in configured.items():
        counts = [
            count_instructions(lab, script, hgrc, {"PYTHONPATH": str(package)})
            for package in (whole, cut)
        ]
        millions = [
            f"{it / 1e6:.2f}" for it in (*counts, counts[0] - counts[1])
        ]
        table.add(what, *millions)
    report.notes.append(
        "Without them: with the part of events.py cut off that looks at what "
        "hg does not log. The native module counts page faults and the like "
        "all the same."
    )


def _copy(lab: Lab, name: str) -> Path:
    """a directory for PYTHONPATH that has our package once more"""
    package = next(HG.parent.parent.glob("lib/python*/site-packages/hgext3rd"))
    directory = lab.directory / f"copy-{name}"
    shutil.copytree(package, directory / package.name)
    compileall.compile_dir(directory, quiet=2)
    return directory


def _with_sink(lab: Lab) -> Path:
    hgrc = lab.directory / "sink.rc"
    sink = f"[uilog]\nsink.all = file:{lab.directory}/all.jsonl\n"
    hgrc.write_text(lab.hgrc(OURS).read_text() + sink)
    return hgrc


def _braked(lab: Lab, who: str, other: str, text: str) -> Path:
    """a configuration with uilog, which these lines may switch off, or with
    an extension of which nothing is to be had"""
    hgrc = lab.hgrc(NONE if who == EMPTY else OURS)
    if who == EMPTY:
        text = f"[extensions]\n{empty_extension(lab)}\n"
    with hgrc.open("a") as file:
        file.write(text + (f"[extensions]\n{other} =\n" if other else ""))
    return hgrc


def empty_extension(lab: Lab) -> str:
    """the line that enables an extension in which nothing is"""
    empty = lab.directory / "empty.py"
    empty.write_text("")
    return f"empty = {empty}"


def hg_without_collector(lab: Lab) -> Path:
    """hg as a script for Python that never collects garbage

    An extension may move the moment at which Python does that, which costs
    more than any of them.
    """
    script = lab.directory / "without-gc" / "hg"
    script.parent.mkdir(exist_ok=True)
    stop = "import gc; gc.disable(); gc.enable = lambda: None\n"
    script.write_text(f"{stop}exec(open({str(HG)!r}).read())\n")
    return script


def counts_instructions(lab: Lab, report: Report) -> bool:
    """whether they are counted; if not, the report says why"""
    if not lab.quick and shutil.which("valgrind") is not None:
        return True
    report.notes.append(
        "LEFT OUT: instructions counted, because of --quick or because "
        "there is no valgrind."
    )
    return False


def count_instructions(
    lab: Lab,
    script: Path,
    hgrc: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """how many `hg id` takes under valgrind"""
    done = subprocess.run(
        [
            "valgrind",
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
            str(PYTHON),
            str(script),
            "id",
        ],
        cwd=lab.repository(),
        env={**lab.hg_environment(hgrc), "PYTHONHASHSEED": "0", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )
    match = re.search(rb"I +refs: +([0-9,]+)", done.stderr)
    return int(match.group(1).replace(b",", b"")) if match else 0
