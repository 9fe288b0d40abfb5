"""Says which command lines hg would not take: an unknown command or option, or
a topic that there is no help on.

Reads a list of command lines from standard input and prints one complaint, or
null, for each, both as JSON. Runs no command. Runs in the Python of hg.
"""

from __future__ import annotations

import json
import os
import sys

from mercurial import (
    dispatch,
    error,
    extensions,
    ui as uimod,
)

# Whose commands the documentation names.
EXTENSIONS = [b"uilog", b"blackbox", b"strip", b"rebase"]


def complaint(ui, words):
    """Why hg would not take this, if it would not."""
    try:
        name, function, args, _options, _rest = dispatch._parse(
            ui, [os.fsencode(word) for word in words]
        )
        if name == b"help" and args:
            ui.pushbuffer()
            function(ui, *args)
            ui.popbuffer()
    except (
        error.Error,
        error.AmbiguousCommand,
        error.CommandError,
        error.UnknownCommand,
    ) as exc:
        return f"{type(exc).__name__}: {exc.args} {vars(exc)}"
    return None


def main():
    ui = uimod.ui.load()
    for name in EXTENSIONS:
        ui.setconfig(b"extensions", name, b"")
    extensions.loadall(ui)
    loaded = extensions._extensions
    missing = [name for name in EXTENSIONS if loaded.get(name) is None]
    if missing:
        sys.exit(f"not loaded: {missing}")
    lines = json.load(sys.stdin)
    json.dump([complaint(ui, words) for words in lines], sys.stdout)


if __name__ == "__main__":
    main()
