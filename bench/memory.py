"""What memory the dispatcher takes at its peak."""

from __future__ import annotations

from figures import Report
from lab import MARK, OURS, Lab

MAX_MB = 4
MB = 1 << 20


def run(lab: Lab) -> Report:
    report = Report(
        "memory",
        "the dispatcher's memory",
        "`VmHWM` of `uilog dispatch` in /proc, read at the end while hg still "
        "holds its socket. Stock hg has no such process.",
    )
    events = lab.pick(200, 100)
    burst = lab.pick(10_000, 1000)
    rounds = lab.pick(3, 1)
    hgrc = lab.hgrc(OURS, foo=MARK)
    table = report.table(
        "Peak resident memory, MB",
        "after",
        "peak (VmHWM)",
        "of it files",
        "of it its own",
    )
    peaks = []
    for _ in range(rounds):
        for what, mode, arguments in (
            (
                f"{events} events, one at a time",
                "grouped",
                {"nbytes": 0, "groups": events, "size": 1},
            ),
            (f"a burst of {burst:,}", "burst", {"count": burst}),
        ):
            memory = lab.probe(hgrc, mode, **arguments)["memory"]
            peaks.append(memory["VmHWM"])
            table.add(
                what,
                f"{memory['VmHWM'] / MB:.2f}",
                f"{memory['RssFile'] / MB:.2f}",
                f"{memory['RssAnon'] / MB:.2f}",
            )
    report.keep("peak", peaks)
    report.target(
        "peak",
        f"<= {MAX_MB} MB",
        f"{max(peaks) / MB:.2f} MB",
        max(peaks) <= MAX_MB * MB,
    )
    report.notes.append(
        '"Files" is the binary and the C library, shared with every other '
        "process that runs them. The queue lies in an anonymous file that "
        "the dispatcher reads but does not map; at most `uilog.queue-size`."
    )
    return report
