"""Events about locks, connections, and requests to a server: their
numbers are compared with what was planted."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import Home, until

Record = dict[str, Any]

# Holds a lock until it is told to let go.
HOLDING = """\
import os
import time

from mercurial import registrar

cmdtable = {}
command = registrar.command(cmdtable)

OUT = os.environ['OUT']


@command(b'hold', [])
def hold(ui, repo):
    with repo.wlock(), repo.lock():
        open(os.path.join(OUT, 'held'), 'w').close()
        deadline = time.monotonic() + 120
        while not os.path.exists(os.path.join(OUT, 'go')):
            if time.monotonic() > deadline:
                raise SystemExit('nobody lets it go')
            time.sleep(0.01)
"""

MEGABYTE = 1 << 20

SSH = "ssh://server/"

# As an ssh that runs the command on this machine.
SETTINGS = """\
[uilog]
sink.log = file:$OUT/log
sink.log:track = *
[ui]
ssh = sh -c 'shift; exec sh -c "$*"' ssh
timeout.warn = 0
[web]
allow-push = *
push_ssl = no
address = 127.0.0.1
"""


class Logged:
    """A home whose events one sink has."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.configure(SETTINGS)

    def records(self, *events: str) -> list[Record]:
        """All records of these events, when all have been delivered."""
        self.home.run("uilog", "flush", "--wait", str(processes.DEADLINE))
        lines = (self.home.out / "log").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [it for it in records if it["event"] in events]

    def options(self, *events: str) -> list[Record]:
        return [it.get("options", {}) for it in self.records(*events)]

    def end(self, command: str) -> Record:
        """The options of the last end of a command."""
        ends = self.options("commandfinish")
        return [it for it in ends if it["canonical_command"] == command][-1]

    def forget(self) -> None:
        self.records()
        (self.home.out / "log").unlink()

    def start(self, *args: str, cwd: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["hg", *args],
            env=self.home.env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def logged(home: Home) -> Logged:
    return Logged(home)


class Holder:
    """An hg that holds the locks of a repository."""

    def __init__(self, logged: Logged, repository: Path) -> None:
        self.home = logged.home
        for name in ("held", "go"):
            (self.home.out / name).unlink(missing_ok=True)
        self.hg = logged.start("hold", cwd=repository)
        until("the locks to be held", (self.home.out / "held").exists)

    def let_go(self) -> None:
        (self.home.out / "go").touch()
        self.end()

    def kill(self) -> None:
        self.hg.kill()
        self.end()

    def end(self) -> None:
        self.hg.communicate(timeout=processes.DEADLINE)


def start_refused(
    logged: Logged, repository: Path, *args: str
) -> subprocess.Popen[str]:
    """A commit that has found a lock held."""
    (repository / "a").write_text("changed\n")
    hg = logged.start("commit", "-mb", *args, cwd=repository)
    assert hg.stderr is not None
    assert "waiting for lock" in hg.stderr.readline()
    return hg


def test_a_wait_tells_who_held_the_lock(logged: Logged) -> None:
    logged.home.extension("holding", HOLDING)
    logged.home.configure("[extensions]\nblackbox =\n")
    repository = logged.home.unseen_repository()
    holder = Holder(logged, repository)
    hg = start_refused(logged, repository)
    holder.let_go()
    hg.communicate(timeout=processes.DEADLINE)
    assert hg.returncode == 0
    (wait,) = logged.records("lockwait")
    options = wait["options"]
    ends = logged.records("commandfinish")
    (held,) = [it for it in ends if it["process"]["command"] == "hold"]
    assert options["lock"] == "wlock"
    assert options["outcome"] == "got"
    assert options["holder_pid"] == holder.hg.pid == held["process"]["pid"]
    assert options["holder_command"] == "hold"
    assert options["holder_session"] == held["session"]
    assert options["holder"].endswith(f":{holder.hg.pid}")
    assert options["holder_host"] == held["host"]["name"]
    assert wait["duration"] == options["waited"]
    end = logged.end("commit")
    assert end["lock_wait"] == options["waited"]
    assert 0 < end["lock_wait"] < end["duration"]
    # It was waited for no longer than it was held.
    assert 0 < end["lock_held"] < end["duration"] - end["lock_wait"]
    assert 0 < held["options"]["lock_held"] < held["options"]["duration"]
    assert "lock_wait" not in held["options"]
    # The blackbox has what the message says.
    args = ("blackbox", "--event", "lockwait", "-T", "json")
    (line,) = json.loads(logged.home.hg(*args, cwd=repository))
    assert (line["lock"], line["outcome"]) == ("wlock", "got")
    assert line["holder"] == options["holder"]
    assert abs(line["duration"] - options["waited"]) < 0.01


INTERRUPTING = """\
from mercurial import ui as uimod

def uisetup(ui):
    def log(orig, self, event, *args, **opts):
        if event == b'lockwait':
            raise KeyboardInterrupt
        return orig(self, event, *args, **opts)

    from mercurial import extensions
    extensions.wrapfunction(uimod.ui, 'log', log)
"""


def test_an_interrupt_while_a_wait_is_logged_ends_the_command(
    logged: Logged,
) -> None:
    """The lock that it has just got is released."""
    logged.home.extension("holding", HOLDING)
    logged.home.extension("interrupting", INTERRUPTING)
    repository = logged.home.unseen_repository()
    holder = Holder(logged, repository)
    hg = start_refused(logged, repository)
    holder.let_go()
    _, err = hg.communicate(timeout=processes.DEADLINE)
    assert hg.returncode == 255
    assert err.endswith("interrupted!\n")
    assert not list((repository / ".hg").glob("wlock*"))


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_wait_in_vain_tells_how_it_ended(
    logged: Logged, is_interrupted: bool
) -> None:
    logged.home.extension("holding", HOLDING)
    repository = logged.home.unseen_repository()
    holder = Holder(logged, repository)
    if is_interrupted:
        hg = start_refused(logged, repository)
        hg.send_signal(signal.SIGINT)
    else:
        hg = start_refused(logged, repository, "--config", "ui.timeout=1")
    hg.communicate(timeout=processes.DEADLINE)
    assert hg.returncode == 255
    holder.let_go()
    (wait,) = logged.options("lockwait")
    assert wait["outcome"] == ("interrupted" if is_interrupted else "timeout")
    assert wait["holder_pid"] == holder.hg.pid
    end = logged.end("commit")
    assert end["lock_wait"] == wait["waited"] > 0
    assert "lock_held" not in end
    # Who only tries whether a lock is free has not waited.
    logged.forget()
    holder = Holder(logged, repository)
    logged.home.hg("status", cwd=repository)
    holder.let_go()
    assert logged.options("lockwait") == []


def test_a_lock_that_is_not_waited_for_is_told_if_it_is_needed(
    logged: Logged,
) -> None:
    """With `ui.timeout = 0` a command fails at once, and says whose it is."""
    logged.home.extension("holding", HOLDING)
    repository = logged.home.unseen_repository()
    holder = Holder(logged, repository)
    (repository / "a").write_text("changed\n")
    args = ("commit", "-mb", "--config", "ui.timeout=0")
    hg = logged.start(*args, cwd=repository)
    hg.communicate(timeout=processes.DEADLINE)
    assert hg.returncode == 255
    holder.let_go()
    (wait,) = logged.options("lockwait")
    assert (wait["lock"], wait["outcome"]) == ("wlock", "timeout")
    assert wait["holder_pid"] == holder.hg.pid
    assert wait["holder_command"] == "hold"
    end = logged.end("commit")
    assert end["error_type"] == "LockHeld"
    assert 0 < end["lock_wait"] == wait["waited"] < end["duration"]


def test_a_broken_lock_is_told(logged: Logged) -> None:
    logged.home.extension("holding", HOLDING)
    repository = logged.home.unseen_repository()
    holder = Holder(logged, repository)
    holder.kill()
    (repository / "a").write_text("changed\n")
    logged.home.hg("commit", "-mb", cwd=repository)
    told = logged.options("lockbroken")
    assert [it["lock"] for it in told] == ["wlock", "lock"]
    assert {it["holder_pid"] for it in told} == {holder.hg.pid}
    assert logged.options("lockwait") == []


def test_a_script_is_told_of_locks_and_nothing_else_changes(
    home: Home,
) -> None:
    home.extension("holding", HOLDING)
    home.configure(
        "[ui]\ntimeout.warn = 0\n"
        "[logtoprocess]\n"
        'lockwait = echo "$OPT_OUTCOME $OPT_HOLDER_PID" >> $OUT/got\n'
    )
    repository = home.unseen_repository()
    logged = Logged.__new__(Logged)
    logged.home = home
    holder = Holder(logged, repository)
    hg = start_refused(logged, repository)
    holder.let_go()
    hg.communicate(timeout=processes.DEADLINE)
    until("the script", lambda: home.read("got"))
    assert home.read("got") == f"got {holder.hg.pid}\n"


def clone_with_a_megabyte(home: Home) -> tuple[Path, Path]:
    """A repository, and a clone with a commit of a megabyte more that cannot
    be compressed."""
    repository = home.unseen_repository()
    clone = home.path / "clone"
    off = ("--config", "extensions.uilog=!")
    home.hg("clone", "-q", str(repository), str(clone), *off)
    (clone / "big").write_bytes(os.urandom(MEGABYTE))
    home.hg("commit", "-qAm", "big", *off, cwd=clone)
    return repository, clone


def commands_of(options: Record) -> dict[str, int]:
    """How often each wire command was sent."""
    words = options["wire_commands"].split(" ")
    return {
        name: int(told.split(":")[0])
        for name, told in (word.split("=") for word in words)
    }


def pairs_of(logged: Logged) -> list[Record]:
    """The requests to servers that have been answered, each of which has
    begun."""
    keys = ("request", "wire_command", "repository", "remote_address")
    ended = logged.records("wirefinish")

    def shown(records: list[Record]) -> list[list[object]]:
        return [
            [it["session"], *(it["options"].get(key) for key in keys)]
            for it in records
        ]

    assert shown(logged.records("wirerequest")) == shown(ended)
    assert ended
    return [it["options"] for it in ended]


def test_a_push_by_ssh_is_counted_at_both_ends(logged: Logged) -> None:
    home = logged.home
    repository, clone = clone_with_a_megabyte(home)
    home.env.update(SSH_CONNECTION="192.0.2.7 50000 192.0.2.1 22")
    home.hg("push", "-q", f"{SSH}{repository}", cwd=clone)
    (closed,) = logged.options("peerclose")
    served = pairs_of(logged)
    assert MEGABYTE < closed["bytes_sent"] < MEGABYTE + 16_384
    assert closed["bytes_sent"] == sum(it["bytes_received"] for it in served)
    assert closed["bytes_received"] == sum(it["bytes_sent"] for it in served)
    assert {it["repository"] for it in served} == {str(repository)}
    assert {it["remote_address"] for it in served} == {"192.0.2.7"}
    assert {it["outcome"] for it in served} == {"ok"}
    (unbundle,) = [it for it in served if it["wire_command"] == "unbundle"]
    assert unbundle["bytes_received"] > MEGABYTE
    # hello and between are sent together.
    assert closed["roundtrips"] == len(served) - 1
    commands = commands_of(closed)
    assert commands["unbundle"] == commands["hello"] == 1
    assert sum(commands.values()) == closed["roundtrips"]
    end = logged.end("push")
    for option in ("bytes_sent", "bytes_received", "roundtrips"):
        assert end[option] == closed[option]
    assert commands_of(end) == commands
    assert 0 < end["wire_time"] == closed["wire_time"] < end["duration"]
    assert closed["duration"] < closed["connected"] < end["duration"]


@contextlib.contextmanager
def serving(home: Home, repository: Path, *args: str) -> Iterator[str]:
    """The URL of an `hg serve`."""
    pid_file = home.path / "serve.pid"
    said = home.hg(
        *("serve", "-d", "-p", "0", f"--pid-file={pid_file}", *args),
        cwd=repository,
    )
    port = said.rsplit(":", 1)[1].split(")")[0].rstrip("/\n")
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        until("the server's end", lambda: processes.look(pid) is None)


WSGI = """\
import sys
from wsgiref.simple_server import make_server

from mercurial.hgweb import hgweb

with make_server('127.0.0.1', 0, hgweb(sys.argv[1].encode())) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


@contextlib.contextmanager
def serving_wsgi(home: Home, repository: Path) -> Iterator[str]:
    """The URL of an hgweb in another web server than hg's."""
    hg = home.run("sh", "-c", "command -v hg").strip()
    python = Path(hg).parent / "python"
    server = subprocess.Popen(
        [python, "-c", WSGI, str(repository)],
        env=home.env,
        # Python looks for modules in its working directory.
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
    finally:
        server.terminate()
        server.communicate(timeout=processes.DEADLINE)


@pytest.mark.parametrize("serve", [serving, serving_wsgi])
def test_a_push_by_http_is_counted_at_both_ends(
    logged: Logged,
    serve: Callable[[Home, Path], AbstractContextManager[str]],
) -> None:
    home = logged.home
    repository, clone = clone_with_a_megabyte(home)
    with serve(home, repository) as url:
        home.hg("push", "-q", url, cwd=clone)
        (closed,) = logged.options("peerclose")
        served = pairs_of(logged)
        logged.forget()
        streamed = home.path / "streamed"
        home.hg("clone", "-q", "--stream", url, str(streamed))
        (stream,) = logged.options("peerclose")
        (getbundle,) = [
            it for it in pairs_of(logged) if it["wire_command"] == "getbundle"
        ]
    # Headers are counted by the client alone.
    assert MEGABYTE < closed["bytes_sent"] < MEGABYTE + 16_384
    (unbundle,) = [it for it in served if it["wire_command"] == "unbundle"]
    assert MEGABYTE < unbundle["bytes_received"] <= closed["bytes_sent"]
    assert closed["bytes_received"] == sum(it["bytes_sent"] for it in served)
    assert {it["remote_address"] for it in served} == {"127.0.0.1"}
    assert closed["roundtrips"] == len(served)
    assert sum(commands_of(closed).values()) == len(served)
    assert "stream" not in closed
    assert stream["stream"] is True
    assert "clone_bundle" not in stream
    assert stream["bytes_received"] > getbundle["bytes_sent"] > MEGABYTE


@contextlib.contextmanager
def files_of(directory: Path) -> Iterator[str]:
    """The URL of a web server that has nothing but files."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(directory)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_clone_bundle_is_told(logged: Logged) -> None:
    home = logged.home
    repository = home.unseen_repository()
    bundle = home.path / "full.hg"
    off = ("--config", "extensions.uilog=!")
    spec = ("-q", "-a", "-t", "none-v2")
    home.hg("bundle", *spec, str(bundle), *off, cwd=repository)
    home.configure("[extensions]\nclonebundles =\n")
    manifest = repository / ".hg" / "clonebundles.manifest"
    with files_of(home.path) as url:
        manifest.write_text(f"{url}/{bundle.name} BUNDLESPEC=none-v2\n")
        home.hg("clone", "-q", f"{SSH}{repository}", str(home.path / "clone"))
    (closed,) = logged.options("peerclose")
    assert closed["clone_bundle"] is True
    assert "stream" not in closed
    assert logged.end("clone")["behavior"] == "clone-bundle"


def test_a_request_that_fails_is_told(logged: Logged) -> None:
    home = logged.home
    home.extension(
        "failing",
        "from mercurial import extensions, wireprotov1server\n"
        "def extsetup(ui):\n"
        "    wireprotov1server.commands[b'lookup'].func = fail\n"
        "def fail(*args):\n"
        "    raise RuntimeError('planted')\n",
    )
    repository = home.unseen_repository()
    done = logged.start("id", f"{SSH}{repository}", cwd=home.path)
    done.communicate(timeout=processes.DEADLINE)
    assert done.returncode != 0
    failed = [it for it in pairs_of(logged) if it["outcome"] != "ok"]
    told = [(it["wire_command"], it["error_type"]) for it in failed]
    assert told == [("lookup", "RuntimeError")]


def session(logged: Logged, *args: str, **env: str) -> Record:
    """What a command's process has told of itself."""
    logged.home.run("hg", "root", *args, cwd=logged.home.path / "repo", **env)
    (told,) = logged.options("session")
    logged.forget()
    return told


def test_a_session_tells_what_it_is_and_who_is_at_work(
    logged: Logged,
) -> None:
    home = logged.home
    repository = home.unseen_repository()
    home.hg("root", cwd=repository)
    # It is told to those who ask for it by name.
    assert logged.records("session") == []
    logged.forget()
    home.configure("[uilog]\nsink.log:track = *, session\n")
    home.extension("mine", "__version__ = b'1.2 x'\ntestedwith = b''\n")
    home.configure("[extensions]\nrebase =\n")
    told = session(logged)
    shown = home.hg("version", "-T", "{ver}", "--config", "extensions.uilog=!")
    assert told["hg_version"] == shown
    versions = dict(it.split("=") for it in told["extensions"].split(" "))
    assert versions["mine"] == "1.2x"
    assert versions["rebase"] == "internal"
    assert versions["uilog"] != "internal"
    assert told["modules"] in ("c", "py", "rust")
    assert told["os_name"] == os.uname().sysname.lower()
    assert told["os_version"] == os.uname().release
    assert told["terminal"] is False
    assert told.get("starter") != "person"
    told = session(logged, HGMODULEPOLICY="py", GITLAB_CI="true")
    assert told["modules"] == "py"
    assert (told["starter"], told["starter_name"]) == ("ci", "gitlab")
    told = session(logged, CLAUDECODE="1", GITLAB_CI="true")
    assert (told["starter"], told["starter_name"]) == ("agent", "claude-code")
    # A terminal, and nobody else.
    home.run("script", "-qec", "hg root", "/dev/null", cwd=repository)
    (told,) = logged.options("session")
    assert told["terminal"] is True
    assert told["starter"] == "person"
