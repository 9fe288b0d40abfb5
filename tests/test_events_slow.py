"""A slow command is logged while it runs, with what it waits for:
twenty causes are planted, and each is named."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import Agents, Home, until

Record = dict[str, Any]

# Waits until it is let go.
WAITING = """\
#!/bin/sh
while ! test -e "$OUT/go"; do sleep 0.05; done
exit 1
"""

EXTENSION = """\
import os
import time

from mercurial import registrar, wireprotov1server

cmdtable = {}
command = registrar.command(cmdtable)

OUT = os.environ['OUT']


def wait(*args, **kwargs):
    while not os.path.exists(os.path.join(OUT, 'go')):
        time.sleep(0.05)


@command(b'hold', [])
def hold(ui, repo):
    with repo.wlock(), repo.lock():
        open(os.path.join(OUT, 'held'), 'w').close()
        wait()


def lookup(*args):
    wait()
    return b'0 no\\n'


def extsetup(ui):
    # hg: dispatch takes no option before `serve --stdio`
    if 'WAITS' in os.environ:
        wireprotov1server.commands[b'lookup'].func = lookup
"""


class Blocked:
    """Commands that wait for what was planted, each in its own repository."""

    def __init__(self, agents: Agents) -> None:
        self.home = home = agents.home
        self.agents = agents
        self.program = home.path / "wait"
        self.program.write_text(WAITING)
        self.program.chmod(0o755)
        home.extension("blocking", EXTENSION)
        home.configure(
            "[uilog]\nsink.audit:track = *\nslow-command = 1.5\n"
            "[ui]\neditor = false\n"
        )
        self.repository = home.unseen_repository()
        self.running: list[subprocess.Popen[bytes]] = []
        self.expected: dict[int, Record] = {}

    def clone(self, name: str) -> Path:
        path = self.home.path / name
        shutil.copytree(self.repository, path, symlinks=True)
        (path / "a").write_text("changed\n")
        return path

    def start(
        self,
        expected: Record,
        *args: str,
        cwd: Path | None = None,
        config: tuple[str, ...] = (),
        **env: str,
    ) -> subprocess.Popen[bytes]:
        if cwd is None:
            cwd = self.clone(f"repo{len(self.running)}")
        settings = [part for it in config for part in ("--config", it)]
        hg = subprocess.Popen(
            ["hg", *args, *settings],
            env={**self.home.env, **env},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.running.append(hg)
        self.expected[hg.pid] = expected
        return hg

    def slow(self) -> dict[int, list[Record]]:
        """The options of what has been told, by the processes."""
        found: dict[int, list[Record]] = {}
        for record in self.agents.records():
            if record["event"] == "commandslow":
                process: Any = record["process"]
                options: Any = record["options"]
                found.setdefault(process["pid"], []).append(options)
        return found

    def let_go(self) -> None:
        (self.home.out / "go").touch()
        for hg in self.running:
            hg.wait(timeout=processes.DEADLINE)


@pytest.fixture
def blocked(agents: Agents) -> Iterator[Blocked]:
    blocked = Blocked(agents)
    try:
        yield blocked
    finally:
        blocked.let_go()


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """The URL of a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def conflict(home: Home, path: Path) -> None:
    """Makes a merge in which the same line has been changed twice."""
    off = ("--config", "extensions.uilog=!")
    home.hg("commit", "-m", "one", *off, cwd=path)
    home.hg("update", "-q", "0", *off, cwd=path)
    (path / "a").write_text("otherwise\n")
    home.hg("commit", "-q", "-m", "two", *off, cwd=path)


def plant(blocked: Blocked, silent: str) -> None:
    home = blocked.home
    wait = str(blocked.program)

    def phase(kind: str, **more: object) -> Record:
        return {"phase": kind, **more}

    # Whoever holds a lock, and three who want it.
    held = blocked.clone("held")
    holder = blocked.start(phase("else"), "hold", cwd=held)
    until("the locks to be held", (home.out / "held").exists)
    known = {
        "holder_pid": holder.pid,
        "holder_command": "hold",
        "lock": "wlock",
    }
    args: tuple[str, ...]
    for args in (("commit", "-mx"), ("update", "null"), ("tag", "x")):
        blocked.start(phase("lock", **known), *args, cwd=held)
    # Hooks: programs, and functions.
    for event, args in (
        ("precommit", ("commit", "-mx")),
        ("pretxncommit", ("commit", "-mx")),
        ("preupdate", ("update", "-C", "null")),
        ("pre-status", ("status",)),
        ("pre-log", ("log",)),
    ):
        hook = f"{event}.w"
        config = (f"hooks.{hook}={wait}",)
        blocked.start(phase("hook", hook=hook), *args, config=config)
    function = f"python:{home.path}/blocking.py:wait"
    for event, args in (
        ("precommit", ("commit", "-mx")),
        ("pre-log", ("log",)),
    ):
        hook = f"{event}.p"
        config = (f"hooks.{hook}={function}",)
        blocked.start(phase("hook", hook=hook), *args, config=config)
    # Programs.
    editor = (f"ui.editor={wait}",)
    for args in (("commit",), ("tag", "--edit", "x"), ("commit", "--amend")):
        blocked.start(phase("editor"), *args, config=editor)
    conflicting = blocked.clone("conflicting")
    conflict(home, conflicting)
    tool = (f"merge-tools.w.executable={wait}", "merge-tools.w.premerge=no")
    blocked.start(
        phase("mergetool"),
        *("merge", "--tool", "w"),
        cwd=conflicting,
        config=tool,
    )
    # hg: sshpeer.make_peer runs `hg init` there
    blocked.start(
        phase("program"),
        *("init", "ssh://server/new"),
        config=(f"ui.ssh={wait}",),
    )
    blocked.start(phase("program"), "config", "--edit", config=editor)
    # Other repositories.
    blocked.start(
        phase("wire", wire_command="hello", url="ssh://server/repo"),
        *("id", "ssh://server/repo"),
        config=(f"ui.ssh={wait}",),
    )
    ssh = "ui.ssh=sh -c 'shift; exec sh -c \"$*\"' ssh"
    blocked.start(
        phase("wire", wire_command="lookup"),
        *("id", f"ssh://server/{blocked.repository}"),
        config=(ssh, f"ui.remotecmd={home.path}/hg"),
    )
    blocked.start(
        phase("wire", wire_command="capabilities", url=silent), "id", silent
    )


def test_each_of_twenty_blockers_is_named(blocked: Blocked) -> None:
    server = blocked.home.path / "hg"
    server.write_text('#!/bin/sh\nWAITS=1 exec hg "$@"\n')
    server.chmod(0o755)
    with silence() as silent:
        plant(blocked, silent)
        assert len(blocked.expected) == 20

        def unnamed() -> list[Record]:
            """Those of which the last that was told is not the blocker: hg
            may have been slow to get there."""
            slow = blocked.slow()
            return [
                expected
                for pid, expected in blocked.expected.items()
                if pid not in slow
                or not expected.items() <= slow[pid][-1].items()
            ]

        with contextlib.suppress(AssertionError):
            until("all to be named", lambda: not unnamed())
        assert unnamed() == []
    blocked.let_go()


def test_a_command_is_told_again_and_not_when_it_has_ended(
    blocked: Blocked,
) -> None:
    blocked.home.configure("[uilog]\nslow-command = 0.3\n")
    hold = blocked.start({}, "hold")

    def told() -> list[Record]:
        return blocked.slow().get(hold.pid, [])

    until("the fourth time", lambda: len(told()) == 4)
    assert [it["times"] for it in told()] == [1, 2, 4, 8]
    for times, options in zip((1, 2, 4, 8), told()):
        assert options["running"] >= 0.3 * times
        assert options["canonical_command"] == "hold"
    records = [
        it for it in blocked.agents.records() if it["event"] == "commandslow"
    ]
    assert len({it["id"] for it in records}) == 4
    blocked.let_go()
    blocked.agents.flush()
    ends = [
        it for it in blocked.agents.records() if it["event"] == "commandfinish"
    ]
    assert [it["session"] for it in ends] == [records[0]["session"]]
    assert len(told()) == 4


def test_nobody_is_told_who_does_not_want_to_know(blocked: Blocked) -> None:
    blocked.home.configure("[uilog]\nslow-command = 0\n")
    hold = blocked.start({}, "hold")
    until("the locks to be held", (blocked.home.out / "held").exists)
    blocked.let_go()
    assert hold.returncode == 0
    blocked.agents.flush()
    events = {it["event"] for it in blocked.agents.records()}
    assert "commandfinish" in events
    assert "commandslow" not in events
