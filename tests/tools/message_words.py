"""The words of Mercurial's error messages, as
rust/uilog-redact/message_words.txt has them.

Prints that file when it is run by the Python of the Mercurial that it is for:
`.venvs/7.2.4/bin/python tests/tools/message_words.py`.
"""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator

HEAD = """\
# The words of the errors of Mercurial 7.2.4, of its bundled extensions and of
# Linux, and the names of hooks. What an error says besides these was put into
# it: a file, a revision, a URL.
# Written by tests/tools/message_words.py, which a test compares it with."""

# What a format puts there.
FORMAT = re.compile(rb"%(\([a-z]+\))?[-0-9.]*[a-z]")

WORD = re.compile(rb"[A-Za-z]+(?:['-][A-Za-z]+)*")


# What is said of exceptions where they are shown, of locks, hooks and programs.
SHOWING = ("dispatch.py", "hook.py", "lock.py", "procutil.py", "scmutil.py")


def _is_error(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name.endswith(("Abort", "Error", "Required", "Exception", "error"))


def _texts(call: ast.Call) -> Iterator[bytes]:
    for node in ast.walk(call):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "_"
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, bytes)
        ):
            yield node.args[0].value


def _sources() -> Iterator[str]:
    import hgext
    import mercurial

    for package in (mercurial, hgext):
        assert package.__file__ is not None
        for place, _dirs, names in os.walk(os.path.dirname(package.__file__)):
            for name in names:
                if name.endswith(".py"):
                    yield os.path.join(place, name)


def _hook(call: ast.Call) -> bytes:
    """The name of the hooks that a call runs, if it runs any."""
    if getattr(call.func, "attr", "") in ("hook", "hashook"):
        for arg in call.args:
            if isinstance(arg, ast.Constant) and isinstance(arg.value, bytes):
                return arg.value
    return b""


def table() -> str:
    words: set[bytes] = set()
    system = " ".join(os.strerror(number) for number in errno.errorcode)
    words |= {it.lower() for it in WORD.findall(system.encode())}
    for path in _sources():
        with open(path, "rb") as fp:
            tree = ast.parse(fp.read())
        is_showing = os.path.basename(path) in SHOWING
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            words |= {it.lower() for it in WORD.findall(_hook(node))}
            if is_showing or _is_error(node):
                for text in _texts(node):
                    plain = FORMAT.sub(b" ", text)
                    words |= {it.lower() for it in WORD.findall(plain)}
    lines = [HEAD, *sorted(word.decode() for word in words)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
