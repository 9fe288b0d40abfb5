"""What the tests of connections share: a scripted ssh, and who holds what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from conftest import Home, until

HELPERS = Path(__file__).parent

STOCK = ("--config", "extensions.uilog=!")

URL = "ssh://server/repo"

# What the server that is not quite one has to say.
TIP = "1" * 12

# One script at a time: they arrive in the order of the events.
SCRIPTS = """\
[uilog]
max-scripts = 1
[logtoprocess]
peerclose = cat >> $OUT/events
peerclose:stdin = json
commandfinish = cat >> $OUT/events
commandfinish:stdin = json
"""

# A command with all that is needed to open a peer.
COMMANDS = """\
import gc
import os
import time

from mercurial import error, registrar

try:
    from mercurial.repo import factory
except ImportError:
    from mercurial import hg as factory

cmdtable = {}
command = registrar.command(cmdtable)

OUT = os.environ['OUT']


def connect(ui, url=b'ssh://server/repo'):
    return factory.peer(ui, {}, url)


def mark(name):
    with open(os.path.join(OUT, name), 'a') as fp:
        fp.write('%d\\n' % os.getpid())


def detach():
    # Whoever reads our output waits for its end.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)


"""

# Commands that open peers and do not close them.
OPENING = """\
kept = []


@command(b'lookup', [], norepo=True)
def lookup(ui):
    # Nobody closes it, and nobody keeps it.
    ui.write(connect(ui).lookup(b'tip')[:6].hex().encode() + b'\\n')


@command(b'keep', [], b'COUNT', norepo=True)
def keep(ui, count):
    for _ in range(int(count)):
        kept.append(connect(ui))
    return 1


@command(b'keepthis', [], b'URL', norepo=True)
def keepthis(ui, url):
    kept.append(connect(ui, url))


@command(b'dropthis', [], b'URL', norepo=True)
def dropthis(ui, url):
    connect(ui, url)


@command(b'tangle', [], b'COUNT', norepo=True)
def tangle(ui, count):
    for _ in range(int(count)):
        peer = connect(ui)
        peer.itself = peer


@command(b'drop', [], b'COUNT', norepo=True)
def drop(ui, count):
    for _ in range(int(count)):
        connect(ui)


@command(b'counts', [], norepo=True)
def counts(ui):
    for name, value in ui.getlogger(b'uilog').status()['peers'].items():
        ui.write(b'%s %d\\n' % (name.encode(), value))
"""

Event = dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """An hg that has ended, and what it wrote."""

    status: int
    out: bytes
    err: bytes


class Client:
    """hg with its events, and what it connects by."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.env.update(PYTHON=sys.executable, HELPERS=str(HELPERS))
        home.configure(SCRIPTS)

    def ssh(self, script: str) -> None:
        """Makes this the ssh: shell, with what ssh.sh offers."""
        path = self.home.path / "ssh"
        head = '. "$HELPERS/ssh.sh"\nmark starts\n'
        path.write_text(head + script)
        self.home.configure(f"[ui]\nssh = sh {path}\n")

    def repository(self) -> Path:
        """A repository with one commit, of which nothing is logged."""
        return self.home.unseen_repository()

    def commands(self, text: str) -> None:
        """Adds commands."""
        self.home.extension("commands", COMMANDS + text)

    def start(
        self, *args: str, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts hg."""
        return subprocess.Popen(
            ["hg", *args],
            env=self.home.env,
            cwd=cwd or self.home.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *args: str, cwd: Path | None = None) -> Finished:
        """Runs hg to its end; only a hang takes longer than it may."""
        return finish(self.start(*args, cwd=cwd))

    def logged(self) -> list[Event]:
        """What has been logged so far."""
        return [json.loads(it) for it in self.home.read("events").splitlines()]

    def events(self) -> list[Event]:
        """What the command that has ended has logged, up to its end."""

        def is_finished() -> bool:
            return any(e["event"] == "commandfinish" for e in self.logged())

        until("the command's end", is_finished)
        events = self.logged()
        (self.home.out / "events").unlink()
        assert events[-1]["event"] == "commandfinish", events
        return events[:-1]

    def closed(self) -> list[Event]:
        """The options of each peerclose of the command that has ended."""
        events = self.events()
        assert {event["event"] for event in events} <= {"peerclose"}
        return [event["options"] for event in events]

    def marks(self, name: str) -> list[int]:
        """The processes that have come to a point, in this order."""
        return [int(pid) for pid in self.home.read(name).split()]

    def release(self) -> None:
        """Lets the holders go."""
        (self.home.out / "go").touch()


def finish(hg: subprocess.Popen[bytes]) -> Finished:
    """Waits for hg's end."""
    try:
        out, err = hg.communicate(timeout=processes.DEADLINE)
    finally:
        hg.kill()
    return Finished(hg.returncode, out, err)


def lives(pid: int) -> bool:
    process = processes.look(pid)
    return process is not None and process.state not in "ZX"


def pipes(pid: int) -> set[str]:
    """The pipes of which a process holds an end."""
    fds = Path(f"/proc/{pid}/fd")
    try:
        links = [os.readlink(fd) for fd in fds.iterdir()]
    except OSError:
        # It has ended, or has closed what we have just seen.
        return set()
    return {link for link in links if link.startswith("pipe:")}
