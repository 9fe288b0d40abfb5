"""If Mercurial moves a function, only the parts that need it are off."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import processes
from conftest import Home

HELPER = Path(__file__).parent / "helpers" / "moved.py"
SOURCES = Path(__file__).parent.parent / "hgext" / "uilog"

# All that is wrapped: where it is, and the parts that are off without it,
# separated by commas.
WRAPPED = [
    ("mercurial.ui", "ui.log", "traces"),
    ("mercurial.ui", "ui.system", "shell aliases"),
    ("mercurial.ui", "ui.traceback", "errors"),
    ("mercurial.ui", "ui.timeblockedsection", "waiting"),
    ("mercurial.ui", "ui.pager", "waiting"),
    ("mercurial.ui", "ui.fixconfig", "blackbox"),
    ("mercurial.ui", "ui.restoreconfig", "blackbox"),
    ("mercurial.util", "setumask", "umask"),
    ("mercurial.dispatch", "dispatch", "nested commands"),
    ("mercurial.hook", "_exthook", "shell hooks"),
    ("mercurial.hook", "pythonhook", "Python hooks"),
    ("mercurial.hook", "runhooks", "refused hooks"),
    ("mercurial.localrepo", "localrepository", "work"),
    ("mercurial.localrepo", "localrepository.transaction", "work"),
    ("mercurial.merge", "_update", "work"),
    ("mercurial.exchange", "trypullbundlefromurl", "work, clone bundles"),
    ("mercurial.streamclone", "consumev1", "work"),
    ("mercurial.streamclone", "consumev2", "work"),
    ("mercurial.streamclone", "local_copy", "work"),
    # hg 6.3 does not have it.
    ("mercurial.streamclone", "consumev3", None),
    ("mercurial.cmd_impls.clone", "clone_with_share", "work"),
    ("mercurial.worker", "_posixworker", "workers"),
    ("mercurial.repo.factory", "peer", "other peers"),
    ("mercurial.sshpeer", "make_peer", "ssh peers"),
    ("mercurial.sshpeer", "_makeconnection", "ssh peers"),
    ("mercurial.sshpeer", "_cleanuppipes", "ssh peers"),
    ("mercurial.sshpeer", "sshv1peer", "ssh peers"),
    ("mercurial.sshpeer", "sshv1peer.__del__", "ssh peers"),
    # An object has one in any case.
    ("mercurial.sshpeer", "sshv1peer.__init__", None),
    ("mercurial.sshpeer", "sshv1peer._sendrequest", "ssh traffic"),
    ("mercurial.util", "poll", "ssh traffic"),
    ("mercurial.util", "bufferedinputpipe._fillbuffer", "ssh traffic"),
    ("mercurial.httppeer", "sendrequest", "http traffic"),
    ("mercurial.wireprotov1peer", "wirepeer", "clone bundles"),
    # Its base class has one in any case.
    ("mercurial.wireprotov1peer", "wirepeer.getbundle", None),
    ("mercurial.wireprotoserver", "_runsshserver", "requests"),
    ("mercurial.wireprotoserver", "handlewsgirequest", "requests"),
    # Only a server looks for it.
    ("mercurial.wireprotov1server", "dispatch", None),
    ("mercurial.lock", "trylock", "locks"),
    ("mercurial.lock", "lock._testlock", "locks"),
    # hg 7.0 does not have it.
    ("mercurial.lock", "steal_lock", None),
    ("mercurial.loggingutil", "filelogger", "log files"),
    ("mercurial.loggingutil", "filelogger.log", "log files"),
    ("hgext.blackbox", "_lastlogger", "blackbox"),
    ("hgext.blackbox", "blackboxlogger", "blackbox"),
    ("hgext.blackbox", "cmdtable", "hg blackbox"),
    ("hgext.logtoprocess", "uipopulate", "logtoprocess"),
]

# What only older versions have.
OLD = {"clonewithshare"}

# What older versions call otherwise.
BY_VARIABLE = {"opener": "make_peer"}

# Of whatever peer there is.
ANY = {"close"}

HGRC = """\
[extensions]
blackbox =
logtoprocess =
[uilog]
max-scripts = 1
[logtoprocess]
commandfinish = echo "$OPT_CANONICAL_COMMAND $OPT_RETURN_CODE" >> $OUT/events
"""

Run = dict[str, Any]


# The second one is told of what the first one has found out.
COMMANDS = [["status"], ["debuguilog", "--debug"]]


def case(kind: str, module: str, name: str) -> Run:
    place = {"module": module, "name": name}
    return {"kind": kind, **place, "commands": COMMANDS}


def run(home: Home, cases: list[Run]) -> list[list[Run]]:
    hg = subprocess.run(
        ["sh", "-c", "command -v hg"],
        env=home.env,
        capture_output=True,
        text=True,
        check=True,
    )
    # hg's own interpreter.
    python = Path(hg.stdout.strip()).parent / "python"
    done = subprocess.run(
        [python, HELPER],
        input=json.dumps(cases),
        env=home.env,
        cwd=home.path / "repo",
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    results: list[list[Run]] = json.loads(done.stdout)
    return results


def test_what_is_missing_is_named_and_all_else_works(home: Home) -> None:
    repository = home.unseen_repository()
    (repository / "new").touch()
    home.configure(HGRC)
    moved: list[tuple[str, str, str, str | None]] = [
        *(("missing", *wrapped) for wrapped in WRAPPED),
        ("value", "mercurial.sshpeer", "_makeconnection", "ssh peers"),
        ("value", "mercurial.hook", "_exthook", "shell hooks"),
        ("module", "mercurial.sshpeer", "", "ssh peers"),
    ]
    cases = [case(kind, module, name) for kind, module, name, _part in moved]
    (plain, state), *results = run(home, [case("none", "", ""), *cases])
    assert plain == {"status": 0, "out": "? new\n", "err": ""}
    assert state["status"] == 0 and "off: " not in state["out"]
    assert len(results) == len(moved)
    for (kind, module, name, part), result in zip(moved, results):
        status, state = result
        what = f"{kind} {module}.{name}: {state}"
        assert status == plain, what
        assert state["status"] == 0, what
        told = state["err"].splitlines()
        named = re.findall(r"^off: (.*) \((.*)\)$", state["out"], re.M)
        if part is None:
            assert named == told == [], what
        else:
            assert {off for off, _why in named} == set(part.split(", ")), what
            for _off, why in named:
                assert name.split(".")[-1] in why or kind == "module", what
            shown = [f"uilog: off: {off} ({why})" for off, why in named]
            assert sorted(told) == sorted(shown), what

    assert not processes.wait_until_gone(str(home.path))
    events = home.read("events").splitlines()
    assert events.count("status 0") == len(moved) + 1
    assert events.count("debuguilog 0") == len(moved) + 1


# A command that calls each wrapper in a way that Mercurial does not yet.
CALLING = """\
import hgext3rd.uilog as uilog
from hgext3rd.uilog import blackbox, events, peers, trace
from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)

WRAPPERS = [
    uilog._populatestock,
    events._setumask,
    trace._exthook,
    trace._pythonhook,
    trace._system,
    trace._runhooks,
    peers.nested,
    peers.openpeer,
    peers._openssh,
    peers._makeconnection,
    peers._cleanuppipes,
    peers._closeother,
    peers._initssh,
    blackbox._changed,
    blackbox._filelog,
]


class Any:
    pass


@command(b'calls', [], norepo=True)
def calls(ui):
    for wrapper in WRAPPERS:
        name = wrapper.__name__.encode()
        first = Any() if wrapper is peers._initssh else ui.copy()
        first._loggers = {}
        for args in ((first,), (first, 1), (first, *range(20))):
            seen = []

            def orig(*args, **kwargs):
                seen.append((args, kwargs))
                return 'made'

            if wrapper is blackbox._filelog and len(args) > 2:
                continue
            result = wrapper(orig, *args, more=1)
            assert seen == [(args, {'more': 1})], (name, seen)
            expected = ('made', None)
            assert result in expected, (name, result)
        ui.write(b'%s\\n' % name)
"""


def test_whatever_wrappers_are_given_is_handed_on(home: Home) -> None:
    home.extension("calling", CALLING)
    names = home.hg("calls").split()
    assert len(names) == CALLING.count("uilog._") + CALLING.count(
        "trace._"
    ) + CALLING.count("    peers.") + CALLING.count(
        "    blackbox._"
    ) + CALLING.count("    events._")


def test_all_that_is_wrapped_is_in_the_table() -> None:
    found = set()
    for path in sorted(SOURCES.glob("*.py")):
        text = path.read_text()
        if path.name != "__init__.py":
            assert "extensions.wrapfunction(" not in text
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "wrap":
                wrapped = (it for it in node.args[1:])
                names = [
                    it.elts[1] for it in wrapped if isinstance(it, ast.Tuple)
                ]
            elif called in ("find", "surround", "events.surround"):
                # What one hands to the other is named where it comes from.
                names = [
                    it for it in node.args[2:3] if ast.unparse(it) != "function"
                ]
            else:
                continue
            found |= {
                ast.literal_eval(name)
                if isinstance(name, ast.Constant)
                else BY_VARIABLE[ast.unparse(name)]
                for name in names
            }
    known = {name.split(".")[-1] for _module, name, _part in WRAPPED}
    # These two are no functions.
    assert found == known - {"_lastlogger", "cmdtable"} | ANY | OLD
