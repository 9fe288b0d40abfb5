"""Compares the dates of the blackbox's lines with hg's.

Logs a line through a real ui for each of many formats and dates, and compares
its date. Prints how often they were equal, and the differences; if hg cannot
write a date, any line is accepted.

usage: date_parity.py REPOSITORY
"""

from __future__ import annotations

import itertools
import os
import string
import sys

from mercurial import extensions, hg, ui as uimod
from mercurial.utils import dateutil

DEFAULT = b'%Y-%m-%d %H:%M:%S.%f'

LETTERS = string.ascii_letters + "+"
FLAGS = ("", "-", "0", "^", "E")
WIDTHS = ("", "12")

# hg's own directives, and what is none, alone and in company.
OTHERS = (
    *("%1", "%2", "%1%2", "%1:%2", "%z", "%z %1", "%%1", "%%2", "%%z", "%%%1"),
    *(
        "%f",
        "%%f",
        "%%%f",
        "%f%f",
        "%-f",
        "%3f",
        "%S.%f",
        "%H%f%1",
        "%Z",
        "%%Z",
    ),
    *("%", "%%", "%%%", "%Y%", "%Y %", "% Y", "%!", "%?", "%.3f", "%3", "%9"),
    *("%é", "é", "%Yé%m", "日本語 %d", "%日", "\N{SNOWMAN}%", "%:z", "%::z"),
    *(" ", "  ", "a", "\t", "%n", "%t", "a\nb", "%Y>%m", "%Y @%m (1)> "),
    *("%E", "%O", "%-", "%10", "%010Y", "%_5d", "%+4Y", "%20", "%21", "%1f"),
    *(
        "%a, %d %b %Y %H:%M:%S %1%2",
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%s.%f",
        "x" * 999,
    ),
    *("%A" * 100, "%1" * 100, "%c" * 200, "%f" * 200),
)

FORMATS = [
    *(text.encode() for text in ("", *OTHERS)),
    # Not UTF-8.
    *(b'\xff', b'%\xff', b'%Y\xe9%m', b'\xc3', b'%Y\xc3%m'),
    *(
        f"%{flag}{width}{letter}".encode()
        for flag, width, letter in itertools.product(FLAGS, WIDTHS, LETTERS)
    ),
]

DATES = (
    *((0, 0), (1334347993, 0), (1334347993, -7200), (951782400, 18000)),
    *((-1, 0), (-86400 * 366, 3600), (-0x80000000, 0), (-0x80000000, 43200)),
    *((0x7FFFFFFF, 0), (0x7FFFFFFF, -50400), (0x80000000, 0), (1 << 40, 0)),
    *((-(1 << 40), 0), (1 << 62, 0), (68169600, 1), (68169599, -1)),
    *((1e9, 12345), (1000000000, -12345), (1341100799, 59), (5, 360000)),
)


def stock(date: tuple[int, int], format: bytes) -> bytes | None:
    """What hg writes, if it can."""
    try:
        if format:
            return bytes(dateutil.datestr(date, format))
        return bytes(dateutil.datestr(date, DEFAULT)[:-3])
    except Exception:
        return None


def main(argv: list[str]) -> int:
    (repository,) = argv
    ui = uimod.ui.load()
    extensions.loadall(ui)
    extensions.populateui(ui)
    repo = hg.repository(ui, os.fsencode(repository))
    ui = repo.ui
    path = repo.vfs.join(b'blackbox.log')
    ui.log(b'parity', b'first\n')
    same = unknown = 0
    with open(path, 'rb') as log:
        first = log.read().splitlines(keepends=True)[-1]
        rest = first[len(b'1970-01-01 00:00:00.000') :]
        assert rest.endswith(b'> first\n'), rest
        for format in FORMATS:
            ui.setconfig(b'blackbox', b'date-format', format)
            for date in DATES:
                ui.setconfig(b'devel', b'default-date', b'%d %d' % date)
                ui.log(b'parity', b'first\n')
                line = log.read()
                assert line.endswith(rest), (format, date, line)
                expected = stock(tuple(map(int, date)), format)
                if expected is None:
                    unknown += 1
                elif line == expected + rest:
                    same += 1
                else:
                    got = line[: -len(rest)]
                    print(f"{format!r} of {date}: {got!r}, not {expected!r}")
    status = ui.getlogger(b'uilog').status()
    faults = {
        name: count
        for name, count in status['counters'].items()
        if count and (name == 'lost' or name.startswith('fault'))
    }
    print(f"{same} the same, {unknown} unknown to hg, faults: {faults}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
