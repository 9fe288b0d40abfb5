"""The commands of a Mercurial, as commands.txt of uilog-event has them.

Prints that file when it is run by the Python of the Mercurial that it is for:
`.venv/bin/python tests/tools/command_table.py`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

HEAD = """\
# The commands of Mercurial 7.2.4, among them all of earlier versions from 6.3
# on, and, with a + before them, those of its bundled extensions. The one that
# stands for `*` are the options that every command has. A line has names, a
# colon, then the options as SHORT,LONG or LONG, with = behind it if a value
# follows. Written by tests/tools/command_table.py, which a test compares it
# with. uilog-redact reads it as well."""


def _option(option: tuple[Any, ...]) -> str:
    short, name, default = option[0].decode(), option[1].decode(), option[2]
    value = "" if default is None or isinstance(default, bool) else "="
    return f"{short},{name}{value}" if short else f"{name}{value}"


def _own() -> dict[bytes, tuple[Any, ...]]:
    from mercurial import initialization, tables

    initialization.init()
    table: dict[bytes, tuple[Any, ...]] = tables.command_table
    return table


def _bundled() -> Iterator[dict[bytes, tuple[Any, ...]]]:
    import hgext

    bundled = os.path.dirname(hgext.__file__)
    for name in sorted({entry.split(".")[0] for entry in os.listdir(bundled)}):
        if name in ("__init__", "__pycache__"):
            continue
        try:
            extension = importlib.import_module(f"hgext.{name}")
        except ImportError:
            # What it is for (zeroconf, win32) is not there.
            continue
        yield getattr(extension, "cmdtable", {})


def _rows(table: dict[bytes, tuple[Any, ...]]) -> Iterator[tuple[str, str]]:
    for names, entry in table.items():
        options = sorted(
            {_option(option) for option in entry[1] or []},
            key=lambda text: text.split(",")[-1],
        )
        line = " ".join([names.decode().replace("|", " ") + ":", *options])
        yield names.split(b"|")[0].decode(), line


def table() -> str:
    from mercurial import commands

    rows = dict(_rows(_own()))
    for commands_of_one in _bundled():
        for name, line in _rows(commands_of_one):
            rows.setdefault(name, f"+{line}")
    globals_ = [_option(option) for option in commands.globalopts]
    lines = [HEAD, " ".join(["*:", *globals_])]
    lines += [rows[name] for name in sorted(rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
