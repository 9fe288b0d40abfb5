"""Runs hg as it would be if Mercurial had moved something.

Standard input is a JSON list of cases, each `{"kind": ..., "module": ...,
"name": ..., "commands": [[...], ...]}`; `kind` is

- `missing`: the module, or a class in it, has nothing of this name;
- `value`: what has this name is no function;
- `module`: there is no such module;
- `none`: nothing has been moved.

Mercurial itself finds what it needs under whatever name, as if it had been
changed everywhere. Standard output is a JSON list of lists: `status`, `out` and
`err` of each command. Each case has a process of its own, which costs less than
a start of hg.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import types

from mercurial import dispatch, encoding, hg, localrepo, ui, util  # noqa: F401

try:
    from mercurial.main_script import request
except ImportError:
    from mercurial.dispatch import request


def hide(module, name, value=None):
    """Lets others but the module itself find a value in place of what has
    this name, or nothing."""

    class Hidden(types.ModuleType):
        def __getattribute__(self, attribute):
            if attribute != name:
                return super().__getattribute__(attribute)
            if value is None:
                raise AttributeError(attribute)
            return value

    module.__class__ = Hidden


def rename(cls, name):
    """Takes a method away, but not from the class's own objects."""
    method = getattr(cls, name)
    delattr(cls, name)
    before = getattr(cls, "__getattr__", None)

    def find(self, attribute):
        if attribute == name:
            return types.MethodType(method, self)
        if before is not None:
            return before(self, attribute)
        raise AttributeError(attribute)

    cls.__getattr__ = find


def move(kind, module, name):
    if kind == "none":
        return
    if kind == "module":
        # Whoever has it already, keeps it.
        importlib.import_module(module)
        sys.modules[module] = None
        return
    place = importlib.import_module(module)
    *classes, name = name.split(".")
    for part in classes:
        place = getattr(place, part)
    if isinstance(place, type):
        assert kind == "missing"
        rename(place, name)
    else:
        # Only a module that is loaded can be hidden in.
        getattr(place, name)
        hide(place, name, None if kind == "missing" else "no function")


def run(case):
    """The results of a case's commands."""
    function = dispatch.dispatch
    move(case["kind"], case["module"], case["name"])
    dispatch.initstdio()
    results = []
    for command in case["commands"]:
        args = [os.fsencode(arg) for arg in command]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            result = {"status": function(request(args)) & 255}
            for name, file in (("out", out), ("err", err)):
                file.seek(0)
                result[name] = os.fsdecode(file.read())
        results.append(result)
    return results


def isolated(case):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as file:
            json.dump(run(case), file)
        sys.exit()
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    assert os.waitpid(child, 0)[1] == 0, case
    return json.loads(text)


if __name__ == "__main__":
    json.dump([isolated(case) for case in json.load(sys.stdin)], sys.stdout)
