"""Events contain why a command has failed, its hooks' verdicts, what it has
done, and how long it waited for people."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import Chg, Home, until

# Commands that fail in each way that hg knows, and some hooks.
FAILING = """\
import os
import time

from mercurial import error, registrar

cmdtable = {}
command = registrar.command(cmdtable)

WAYS = {
    b'abort': lambda: error.Abort(b'went wrong', hint=b'try again'),
    b'input': lambda: error.InputError(b'no such thing'),
    b'state': lambda: error.StateError(b'not now'),
    b'canceled': lambda: error.CanceledError(b'no'),
    b'security': lambda: error.SecurityError(b'who are you'),
    b'config': lambda: error.ConfigError(b'odd', location=b'hgrc:1'),
    b'parse': lambda: error.ParseError(b'odd', location=b'3'),
    b'remote': lambda: error.RemoteError(b'said no'),
    b'oob': lambda: error.OutOfBandError(b'server broke'),
    b'intervention': lambda: error.InterventionRequired(b'your turn'),
    b'lookup': lambda: error.RepoLookupError(b'unknown revision'),
    b'repo': lambda: error.RepoError(b'no repository', hint=b'make one'),
    b'storage': lambda: error.StorageError(b'broken'),
    b'response': lambda: error.ResponseError(b'unexpected:', b'<html>'),
    b'held': lambda: error.LockHeld(110, b'f', b'working directory', b'a:1'),
    b'locked': lambda: error.LockUnavailable(13, 'denied', b'f', b'store'),
    b'import': lambda: ImportError('no module'),
    b'os': lambda: OSError(2, 'No such file', '/x'),
    b'memory': lambda: MemoryError(),
    b'bytes': lambda: error.Abort(b'f\\xff'),
    b'long': lambda: error.Abort(b'\\xc3\\xa4' * 2100 + b' ' + b'w' * 2000),
    b'secret': lambda: error.Abort(b'x' * 4050 + b' https://u:%s@h.example/'
                                   % (b'hunter2' * 10)),
    b'url': lambda: error.Abort(b'cannot read https://u:hunter2@h.example/'),
    b'key': lambda: KeyError('nope'),
    b'programming': lambda: error.ProgrammingError('bad'),
}


@command(b'fails', [], norepo=True)
def fails(ui, *ways):
    for way in ways[:-1]:
        try:
            raise WAYS[way]()
        except Exception:
            pass
    if ways:
        raise WAYS[ways[-1]]()


@command(b'sleeps', [], norepo=True)
def sleeps(ui):
    open(os.path.join(os.environ['OUT'], 'sleeping'), 'w').close()
    time.sleep(60)


@command(b'asks', [], norepo=True)
def asks(ui):
    ui.prompt(b'well?', default=b'')


def deep(depth):
    if depth:
        return deep(depth - 1)
    raise ValueError(os.getcwd())


@command(b'deep', [], norepo=True)
def deepest(ui, depth):
    deep(int(depth))


def broken(ui, **kwargs):
    raise RuntimeError('the hook broke')


def refusing(ui, **kwargs):
    return True


def odd(ui, **kwargs):
    return Odd()


class Odd:
    def __str__(self):
        raise AssertionError
"""


# What is raised, and its class.
CLASSES = {
    "abort": "Abort",
    "input": "InputError",
    "state": "StateError",
    "canceled": "CanceledError",
    "security": "SecurityError",
    "config": "ConfigError",
    "parse": "ParseError",
    "remote": "RemoteError",
    "oob": "OutOfBandError",
    "intervention": "InterventionRequired",
    "lookup": "RepoLookupError",
    "repo": "RepoError",
    "storage": "StorageError",
    "response": "ResponseError",
    "held": "LockHeld",
    "locked": "LockUnavailable",
    "import": "ImportError",
    "os": "FileNotFoundError",
    "memory": "MemoryError",
}


class Records:
    """A home whose sink has all events."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.path = home.path / "records.jsonl"
        home.extension("failing", FAILING)
        home.configure(f"[uilog]\nsink.all = file:{self.path}\n")

    def fails(self, *args: str, cwd: Path | None = None, **env: str) -> Any:
        """Runs a command, however it ends, with its output."""
        return subprocess.run(
            ["hg", *args],
            env={**self.home.env, **env},
            cwd=cwd or self.home.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=processes.DEADLINE,
        )

    def all(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The records of an event, of which there are to be so many."""
        found: list[dict[str, Any]] = []

        def are_there() -> bool:
            lines = []
            if self.path.exists():
                lines = self.path.read_text().splitlines()
            read = [json.loads(line) for line in lines]
            found[:] = [it for it in read if it["event"] == event]
            return len(found) >= count

        until(f"{count} records of {event}", are_there)
        assert len(found) == count
        return found

    def one(self, event: str) -> dict[str, Any]:
        return self.all(event)[0]

    def options(self, event: str) -> dict[str, Any]:
        options: dict[str, Any] = self.one(event)["options"]
        return options


@pytest.fixture
def records(home: Home) -> Records:
    return Records(home)


def test_each_error_has_its_class_its_text_and_its_code(
    records: Records,
) -> None:
    """hg's own exit codes and texts are the truth."""
    records.home.configure("[ui]\ndetailed-exit-code = yes\n")
    shown = {}
    ways = list(CLASSES)
    with records.home.serving(records.home.unseen_repository()) as server:
        for way in ways:
            out: list[bytes] = []
            err: list[bytes] = []
            status = server.runcommand(
                [b"fails", way.encode()],
                {},
                {b"o": out.append, b"e": err.append},
            )
            shown[way] = (status, b"".join(err).decode())
    found = [
        it["options"]
        for it in records.all("commandfinish", len(ways) + 1)
        if it["options"]["canonical_command"] == "fails"
    ]
    assert len(found) == len(ways)
    for way, options in zip(ways, found):
        status, said = shown[way]
        assert options["detailed_exit_code"] == status, way
        assert options["return_code"] == status, way
        for line in options["error"].splitlines():
            assert line.rstrip() in said, (way, options["error"], said)
    assert [it["error_type"] for it in found] == list(CLASSES.values())
    assert "try again" in found[0]["error"]


def test_a_command_that_goes_on_has_no_error(records: Records) -> None:
    records.home.hg("root", "-R", str(records.home.unseen_repository()))
    assert records.fails("fails", "abort", "input").returncode == 255
    fine, failed = (it["options"] for it in records.all("commandfinish", 2))
    assert "error_type" not in fine and "detailed_exit_code" not in fine
    assert failed["error_type"] == "InputError"


def test_texts_are_short_and_hold_no_half_secrets(records: Records) -> None:
    ways = ["bytes", "long", "secret", "url"]
    records.home.configure(
        '[logtoprocess]\ncommandfinish = printf %s "$OPT_ERROR" > '
        "$OUT/error.$HGPID\n"
    )
    for way in ways:
        records.fails("fails", way)
    found = records.all("commandfinish", len(ways))
    texts = {way: it["options"]["error"] for way, it in zip(ways, found)}
    assert texts["bytes"] == "f\ufffd"
    assert found[0]["base64"]["options"]["error"] == "Zv8="
    assert texts["long"].startswith("ä" * 2000)
    assert len(texts["long"].encode()) <= 4096
    assert "hunter" not in texts["secret"] + texts["url"]
    assert texts["url"].startswith("cannot read https://u:<redacted")
    pids = [it["process"]["pid"] for it in found]
    scripts = [records.home.out / f"error.{pid}" for pid in pids]
    until("the scripts", lambda: all(it.exists() for it in scripts))
    until("their texts", lambda: all(it.stat().st_size for it in scripts))
    # What scripts are given is hg's, as it is.
    assert scripts[0].read_bytes() == b"f\xff"
    assert b"hunter2" in scripts[3].read_bytes()


@pytest.mark.parametrize(
    ("number", "name", "text"),
    [
        (signal.SIGINT, "SIGINT", "interrupted"),
        (signal.SIGTERM, "SIGTERM", "killed"),
        (signal.SIGHUP, "SIGHUP", "killed"),
    ],
)
def test_an_interrupt_has_its_signals_name(
    records: Records, number: signal.Signals, name: str, text: str
) -> None:
    hg = subprocess.Popen(
        ["hg", "sleeps"], env=records.home.env, stderr=subprocess.DEVNULL
    )
    sleeping = records.home.out / "sleeping"
    until("the command", sleeping.exists)
    hg.send_signal(number)
    assert hg.wait(processes.DEADLINE) == 255
    options = records.options("commandfinish")
    assert (options["error_type"], options["error"]) == (name, text)
    assert options["detailed_exit_code"] == 255


def test_a_workers_error_is_the_commands(records: Records) -> None:
    home = records.home
    repository = home.unseen_repository()
    with pytest.raises(AssertionError):
        home.work(
            repository,
            "from mercurial import error; "
            "raise error.StateError(b'worker said', hint=b'so')",
        )
    found = records.all("commandfinish", 3)[-1]["options"]
    assert found["error_type"] == "StateError"
    assert found["error"] == "worker said\n(so)"
    assert found["detailed_exit_code"] == 20
    assert found["return_code"] == 255


def test_a_crash_is_known_again(records: Records) -> None:
    """By its functions, whatever the directory and the depth."""
    other = records.home.path / "other"
    other.mkdir()
    for depth, cwd in (("3", None), ("90", other)):
        records.fails("deep", depth, cwd=cwd)
    records.fails("fails", "key")
    first, second, third = (
        it["options"] for it in records.all("commandexception", 3)
    )
    assert first["exception_type"] == "ValueError"
    assert first["exception_message"] == str(records.home.path)
    assert "in deepest\n" in first["exception_stacktrace"]
    assert first["exception_stacktrace"].startswith("Traceback")
    assert len(second["exception_stacktrace"]) <= 16384 + 4
    assert first["fingerprint"] == second["fingerprint"]
    assert first["fingerprint"] != third["fingerprint"]
    assert len(first["fingerprint"]) == 16
    ends = [it["options"] for it in records.all("commandfinish", 3)]
    assert [it["error_type"] for it in ends] == [
        "ValueError",
        "ValueError",
        "KeyError",
    ]
    assert [it["detailed_exit_code"] for it in ends] == [1, 1, 1]


def commit(records: Records, repository: Path, *options: str) -> Any:
    with (repository / "a").open("a") as fp:
        fp.write("more\n")
    args = [part for option in options for part in ("--config", option)]
    return records.fails("commit", "-m", "b", *args, cwd=repository)


def test_hooks_tell_their_verdict(records: Records) -> None:
    repository = records.home.unseen_repository()
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_text(
        "[hooks]\n"
        "precommit.fine = exit 0\n"
        f"preupdate.odd = python:{records.home.path}/failing.py:odd\n"
        "pretxncommit.check = exit 3\n"
    )
    assert commit(records, repository).returncode == 255
    fine, check = (it["options"] for it in records.all("exthook", 2))
    assert (fine["hook"], fine["hooktype"]) == ("precommit.fine", "precommit")
    assert (fine["exit_code"], fine["vetoed"]) == (0, False)
    assert fine["source"] == f"{hgrc}:2"
    assert fine["duration"] > 0
    assert (check["hook"], check["exit_code"]) == ("pretxncommit.check", 3)
    assert check["vetoed"] is True
    assert check["source"] == f"{hgrc}:4"
    end = records.options("commandfinish")
    assert end["error_type"] == "HookAbort"
    assert end["error"] == "pretxncommit.check hook exited with status 3"
    assert end["detailed_exit_code"] == 40
    # An object that cannot be printed vetoes as well.
    records.fails("update", "null", cwd=repository)
    odd = records.options("pythonhook")
    assert (odd["result"], odd["vetoed"]) == ("Odd", True)


def test_python_hooks_tell_what_they_raise(records: Records) -> None:
    repository = records.home.unseen_repository()
    own = records.home.path / "failing.py"
    commit(records, repository, f"hooks.precommit.x=python:{own}:broken")
    commit(records, repository, f"hooks.commit.x=python:{own}:broken")
    commit(records, repository, f"hooks.precommit.x=python:{own}:refusing")
    commit(records, repository, "hooks.precommit.x=kill -9 $$")
    strict, soft, refusing = (
        it["options"] for it in records.all("pythonhook", 3)
    )
    assert strict["exception_type"] == "RuntimeError"
    assert strict["exception_message"] == "the hook broke"
    assert strict["vetoed"] is True
    assert (soft["exception_type"], soft["vetoed"]) == ("RuntimeError", False)
    assert (refusing["result"], refusing["vetoed"]) == (True, True)
    killed = records.options("exthook")
    assert killed["signal"] == 9 and "exit_code" not in killed


def test_hooks_that_refuse_without_an_event_get_one(records: Records) -> None:
    repository = records.home.unseen_repository()
    own = records.home.path / "failing.py"
    for hook in (
        "python:no_such_module.f",
        f"python:{own}:nothing",
        f"python:{own.parent}/none.py:f",
        "python:failing",
    ):
        commit(records, repository, f"hooks.precommit.x={hook}")
    found = [it["options"] for it in records.all("hookrefused", 4)]
    assert {it["hook"] for it in found} == {"precommit.x"}
    assert {it["reason"] for it in found} == {"not-loaded"}
    assert {it["source"] for it in found} == {"--config"}
    assert all(it["vetoed"] and it["exception_type"] for it in found)
    assert found[2]["exception_type"] == "FileNotFoundError"


def test_hooks_that_do_not_run_or_do_not_end_get_an_event(
    records: Records,
) -> None:
    repository = records.home.unseen_repository()
    # Its environment has the command line, which is longer than Linux takes.
    long = [part for _ in range(2) for part in ("-X", "x" * 100_000)]
    never = ("--config", "hooks.pre-status.never=true")
    assert records.fails("status", *long, *never, cwd=repository).returncode
    interrupting = "hooks.precommit.int=kill -INT $PPID; sleep 1"
    assert commit(records, repository, interrupting).returncode == 255
    started, ended = (it["options"] for it in records.all("hookrefused", 2))
    assert (started["hook"], started["reason"]) == (
        "pre-status.never",
        "not-started",
    )
    assert started["exception_type"] == "OSError"
    assert (ended["hook"], ended["reason"]) == ("precommit.int", "interrupted")
    assert ended["exception_type"] == "KeyboardInterrupt"
    assert started["vetoed"] is ended["vetoed"] is True
    ends = [it["options"] for it in records.all("commandfinish", 2)]
    assert [it["error_type"] for it in ends] == ["OSError", "SIGINT"]


def test_untrusted_hooks_get_an_event(records: Records) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    repository = records.home.unseen_repository()
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_text("[hooks]\nprecommit.x = true\ncommit.y = true\n")
    os.chown(hgrc, 65534, 65534)
    assert commit(records, repository).returncode == 255
    hgrc.write_text("[hooks]\ncommit.y = true\n")
    assert commit(records, repository).returncode == 0
    strict, soft = (it["options"] for it in records.all("hookrefused", 2))
    assert (strict["hook"], strict["hooktype"]) == ("precommit.x", "precommit")
    assert (strict["reason"], strict["vetoed"]) == ("untrusted", True)
    assert (soft["hook"], soft["reason"]) == ("commit.y", "untrusted")
    assert soft["vetoed"] is False


def test_a_nested_command_has_its_own_error(records: Records) -> None:
    """One that fails in a hook, in the process of a command that succeeds."""
    home = records.home
    repository = home.unseen_repository()
    home.extension(
        "nesting",
        "from mercurial import dispatch\n"
        "try:\n"
        "    from mercurial.main_script import request\n"
        "except ImportError:\n"
        "    from mercurial.dispatch import request\n"
        "def hook(ui, repo, **kwargs):\n"
        "    dispatch.dispatch(request([b'fails', b'state'], ui=ui.copy()))\n",
    )
    home.configure("[hooks]\npre-commit = python:hgext_nesting.hook\n")
    assert commit(records, repository).returncode == 0
    inner, outer = (it["options"] for it in records.all("commandfinish", 2))
    assert inner["error_type"] == "StateError"
    assert "error_type" not in outer
    assert outer["changesets"] == 1 and "changesets" not in inner


def test_a_servers_commands_have_each_their_own(
    records: Records, chg: Chg
) -> None:
    home = records.home
    repository = home.unseen_repository()
    with home.serving(repository) as server:
        for args in ([b"fails", b"state"], [b"root"]):
            server.runcommand(args, {}, {b"o": len, b"e": len})
    with pytest.raises(AssertionError):
        chg("fails", "input", cwd=repository)
    chg("root", cwd=repository)
    ends = [it["options"] for it in records.all("commandfinish", 5)]
    told = [
        (it["canonical_command"], it.get("error_type"))
        for it in ends
        if it["canonical_command"] != "serve"
    ]
    expected = [("fails", "StateError"), ("root", None)]
    assert told == [*expected, ("fails", "InputError"), ("root", None)]


def test_work_is_counted(records: Records) -> None:
    home = records.home
    repository = home.unseen_repository()
    (repository / "b").write_text("b\n")
    home.hg("commit", "-qAm", "b", cwd=repository)
    other = home.path / "other"
    for options in (["--pull"], ["--stream"], []):
        path = Path(f"{other}{len(options)}{''.join(options)}")
        source = str(repository)
        if options == ["--stream"]:
            ssh = home.path / "ssh"
            ssh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
            ssh.chmod(0o755)
            home.configure(f"[ui]\nssh = {ssh}\n")
            source = f"ssh://user@dummy/{repository}"
        home.hg("clone", "-q", *options, source, str(path))
    sharing = ("extensions.share=", f"share.pool={home.path}/pool")
    pool = [part for it in sharing for part in ("--config", it)]
    home.hg("clone", "-q", *pool, str(repository), f"{other}-shared")
    clone = Path(f"{other}1--pull")
    for name in "ab":
        (repository / name).write_text("theirs\n")
        (clone / name).write_text("ours\n")
    home.hg("commit", "-m", "theirs", cwd=repository)
    home.hg("pull", "-q", cwd=clone)
    home.hg("pull", "-q", cwd=clone)
    home.hg("commit", "-m", "ours", cwd=clone)
    assert records.fails("merge", "-t", ":fail", cwd=clone).returncode == 1
    home.hg("update", "-qC", "0", cwd=clone)
    home.hg("update", "-qC", "0", cwd=clone)
    ends = records.all("commandfinish", 13)
    ends = [it["options"] for it in ends]
    named = [it for it in ends if it["canonical_command"] != "serve"]
    behaviors = [it.get("behavior") for it in named]
    assert behaviors == [
        *(None, "clone-full", "clone-stream", "clone-local", "clone-share"),
        *(None, "pull-some", "pull-nothing", None, None),
        *("update-some", "update-nothing"),
    ]
    committed, pulled = named[0], named[1]
    assert (committed["changesets"], committed["files_changed"]) == (1, 1)
    assert (pulled["changesets"], pulled["files_changed"]) == (2, 2)
    assert pulled["files_updated"] == 2
    assert (named[6]["changesets"], named[6]["files_changed"]) == (1, 2)
    assert named[9]["files_unresolved"] == 2
    assert (named[10]["files_updated"], named[10]["files_removed"]) == (1, 1)


def test_what_a_person_does_is_told(records: Records) -> None:
    home = records.home
    repository = home.unseen_repository()
    (repository / "a").write_text("b\n")
    home.configure(
        "[logtoprocess]\ncommandfinish = "
        'echo "$OPT_VOLUNTARY_CONTEXT_SWITCHES" > $OUT/switches\n'
    )
    editor = "sleep 0.2; echo edited >"
    done = records.fails(
        "commit", "--config", f"ui.editor={editor}", cwd=repository
    )
    assert done.returncode == 0, done.stderr
    wait = records.one("userwait")
    assert wait["options"]["kind"] == "editor"
    assert wait["options"]["outcome"] == "done"
    assert wait["duration"] >= 0.2
    end = records.one("commandfinish")
    waited = end["options"]["waited_for_user"]
    assert 0.2 <= waited <= end["duration"]
    assert wait["span_id"] == end["span_id"]
    # Who waits gives its turn away; the rest is chance.
    counted = end["options"]
    assert counted["voluntary_context_switches"] > 0
    for name in (
        "involuntary_context_switches",
        "major_faults",
        "blocks_read",
        "blocks_written",
    ):
        assert isinstance(counted[name], int) and counted[name] >= 0
    until("the script", lambda: home.read("switches"))
    assert int(home.read("switches")) == counted["voluntary_context_switches"]


def test_prompts_and_merge_tools_are_waits(records: Records) -> None:
    home = records.home
    repository = home.unseen_repository()
    done = subprocess.run(
        ["hg", "asks", "--config", "ui.interactive=yes"],
        env=home.env,
        input=b"yes\n",
        capture_output=True,
        timeout=processes.DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    off = ("--config", "extensions.uilog=!")
    for text in ("one\n", "two\n"):
        (repository / "a").write_text(text)
        home.hg("commit", "-m", text, *off, cwd=repository)
        home.hg("update", "-q", "0", *off, cwd=repository)
    home.hg("update", "-q", "1", *off, cwd=repository)
    tool = home.path / "tool"
    tool.write_text("#!/bin/sh\nsleep 0.2\nexit $STATUS\n")
    tool.chmod(0o755)
    which = ("--config", f"merge-tools.w.executable={tool}", "-t", "w")
    args = ("--config", "merge-tools.w.premerge=no", *which)
    merged = records.fails("merge", *args, cwd=repository, STATUS="0")
    assert merged.returncode == 0, merged.stderr
    prompt, merge = records.all("userwait", 2)
    assert prompt["options"]["kind"] == "prompt"
    assert merge["options"]["kind"] == "merge-tool"
    assert prompt["options"]["outcome"] == merge["options"]["outcome"] == "done"
    assert merge["duration"] >= 0.2
    asked, ended = records.all("commandfinish", 2)
    for wait, end in ((prompt, asked), (merge, ended)):
        waited = end["options"]["waited_for_user"]
        assert 0 < wait["duration"] <= waited + 0.001 < end["duration"]
        assert wait["span_id"] == end["span_id"]


def test_a_pager_is_two_waits(records: Records) -> None:
    """While it takes nothing, and when the command is over."""
    records.home.unseen_repository()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(
            "hg",
            [
                "hg",
                "log",
                "-R",
                str(records.home.path / "repo"),
                "--config",
                "pager.pager=sleep 0.3; cat >/dev/null; sleep 0.3",
                "-T",
                "{pad('x', 200000)}\n",
            ],
            {**records.home.env, "TERM": "xterm"},
        )
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        # Linux: nobody has the other end any more
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    wait = records.one("userwait")
    end = records.one("commandfinish")
    assert wait["options"]["kind"] == "pager"
    assert wait["options"]["waited"] >= 0.5
    assert wait["duration"] >= wait["options"]["waited"]
    assert 0.2 <= end["options"]["waited_for_user"] <= end["duration"]
    assert wait["span_id"] == end["span_id"]
