"""A command that was killed has an end, and no other command has two."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import processes
import pytest
from conftest import SOAK, Chg, Home, kill, until
from forking_hg import ForkingHg
from growing import whole_lines

# Commands whose bodies tell that they run, and end in many ways.
COMMANDS = r"""
import os
import signal
import sys
import time

from mercurial import error, registrar

cmdtable = {}
command = registrar.command(cmdtable)
ROOM = os.environ['ROOM']


def mark(word, name=None):
    # A process id is used again.
    name = os.fsdecode(name) if name else os.getpid()
    with open(os.path.join(ROOM, '%s-%s' % (word, name)), 'w'):
        pass


@command(b'works', [], norepo=True)
def works(ui, seconds=b'0', name=None):
    mark('runs', name)
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        ui.log(b'foo', b'bar\n')
        time.sleep(0.001)


@command(b'waits', [], norepo=True)
def waits(ui):
    mark('runs')
    while True:
        time.sleep(60)


@command(b'pauses', [], norepo=True)
def pauses(ui):
    mark('runs')
    for word in ('go', 'end'):
        while not os.path.exists(os.path.join(ROOM, word)):
            time.sleep(0.01)
        ui.log(b'ping', b'there\n')
        mark('has-had-%s' % word)


@command(b'talks', [], norepo=True)
def talks(ui):
    ui.write(b'x' * 100000)


@command(b'fails', [], norepo=True)
def fails(ui):
    raise error.Abort(b'no')


@command(b'breaks', [], norepo=True)
def breaks(ui):
    raise ZeroDivisionError


@command(b'becomes', [], norepo=True)
def becomes(ui, *argv):
    argv = [os.fsdecode(it) for it in argv]
    os.execvp(argv[0], argv)


@command(b'tries', [], norepo=True)
def tries(ui):
    try:
        os.execv('/nowhere/true', ['true'])
    except OSError:
        mark('runs')
    while True:
        time.sleep(60)


@command(b'forks', [], norepo=True)
def forks(ui):
    # Some of the children live longer than the command.
    for number in range(3):
        if not os.fork():
            ui.log(b'foo', b'child\n')
            time.sleep(number * 0.05)
            os._exit(1)


@command(b'holds', [], norepo=True)
def holds(ui):
    child = os.fork()
    if child:
        with open(os.path.join(ROOM, 'child'), 'w') as fp:
            fp.write(str(child))
        mark('runs')
    while True:
        time.sleep(60)


@command(b'spawns', [], norepo=True)
def spawns(ui):
    os.spawnvp(os.P_WAIT, 'true', ['true'])


@command(b'leaves', [], norepo=True)
def leaves(ui):
    import atexit
    # After the command's end, and before anybody can say so.
    atexit.register(os._exit, 0)
"""

T = TypeVar("T")

# Sinks get these.
TRACKED = "command, commandfinish, commandlost"


class Commands:
    """A home with those commands and a sink that is told of their ends."""

    def __init__(self, home: Home, agent: str) -> None:
        self.home = home
        self.room = home.path / "room"
        self.room.mkdir()
        self.file = home.path / "audit.jsonl"
        home.env.update(ROOM=str(self.room))
        home.extension("commands", COMMANDS)
        home.configure(
            f"[uilog]\nagent = {agent}\nagent-idle = 60\n"
            f"sink.audit = file:{self.file}\n"
            f"sink.audit:track = {TRACKED}\n"
        )

    def has(self, word: str, whose: int | str) -> bool:
        return (self.room / f"{word}-{whose}").exists()

    def await_body(self, whose: int | str) -> None:
        """Waits until a command tells that it runs: by its process id, or by
        its name if it has one."""
        until("its body", lambda: self.has("runs", whose))

    def forget_body(self, pid: int) -> None:
        """One that has ended tells nothing of the next one with its process
        id."""
        (self.room / f"runs-{pid}").unlink(missing_ok=True)

    def await_events(self, event: str, count: int) -> None:
        """Waits until the sink has got so many of these."""
        until(f"{count} {event}", lambda: len(self.named(event)) == count)

    def flush(self) -> None:
        """Waits until all that has been logged has arrived."""
        self.home.flush()

    def records(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(it) for it in whole_lines(self.file).splitlines()]

    def named(self, event: str) -> list[dict[str, Any]]:
        return [it for it in self.records() if it["event"] == event]

    def by_process(self) -> dict[int, Counter[str]]:
        """The events of each process; what came twice counts once."""
        return self.counted(lambda it: it["pid"])

    def counted(self, key: Callable[[Any], T]) -> dict[T, Counter[str]]:
        """The events by what tells processes apart."""
        once = {it["id"]: it for it in self.records()}
        events: dict[T, Counter[str]] = defaultdict(Counter)
        for record in once.values():
            events[key(record["process"])][record["event"]] += 1
        return events

    def journal(self) -> str:
        place = self.home.path / ".local/state/uilog/failures.jsonl"
        return place.read_text() if place.exists() else ""


@pytest.fixture(params=["yes", "no"], ids=["agent", "dispatcher"])
def commands(home: Home, request: pytest.FixtureRequest) -> Iterator[Commands]:
    commands = Commands(home, request.param)
    yield commands
    home.run("uilog", "agent", "stop")


def settle(commands: Commands) -> None:
    """Everything that has been logged arrives: dispatchers end, and agents are
    done with what there is."""
    commands.flush()

    def is_done() -> bool:
        run = commands.home.path / "run" / "uilog"
        left = processes.of_home(str(commands.home.path))
        dispatchers = [it for it in left if it.argv[1:2] == ("dispatch",)]
        return not dispatchers and not list(run.glob("records-*"))

    until("every queue to be done", is_done)


# In `make test`, with an agent and with dispatchers; `make soak` asks more
# often.
KILLS = 100
MANY_KILLS = 1000
# Commands that run at a time.
AT_ONCE = 4


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=SOAK)])
def test_whenever_it_is_killed_a_command_has_one_end(
    commands: Commands, kills: int
) -> None:
    chance = random.Random(kills)
    lines = [f"works 0.03 {number}" for number in range(kills)]
    killed = set()
    with ForkingHg(commands.home.env, commands.home.path) as hg:
        for first in range(0, kills, AT_ONCE):
            some = {it: hg.start(*it.split()) for it in lines[first:][:AT_ONCE]}
            for number, (line, pid) in enumerate(some.items()):
                if number % 2:
                    commands.await_body(line.split()[-1])
                time.sleep(chance.random() * 0.04)
                os.kill(pid, signal.SIGKILL)
            for line, pid in some.items():
                if hg.wait(pid) == -signal.SIGKILL:
                    killed.add(line)
    settle(commands)
    events = commands.counted(lambda it: it["command_line"])
    assert events.keys() <= set(lines)
    for line in lines:
        own = events[line]
        ends = own["commandfinish"] + own["commandlost"]
        account = (line, own, commands.journal())
        assert own["command"] <= 1, account
        has_run = commands.has("runs", line.split()[-1])
        began = bool(own["command"]) or has_run
        assert ends <= 1, account
        assert ends == 1 or not began, account
        if line not in killed:
            assert own["commandfinish"] == 1, account
    lost = commands.named("commandlost")
    # Most of those that were killed in their bodies, at least.
    assert len(lost) >= kills // 10
    assert {it["process"]["command_line"] for it in lost} <= killed
    for record in lost:
        options = record["options"]
        assert options["cause"] in ("signal", "unknown")
        assert ("signal" in options) == (options["cause"] == "signal")
        assert record["process"]["command"] == "works"
        assert 0 <= record["duration"] < processes.DEADLINE
    ids = [it["id"] for it in commands.records()]
    assert len(ids) == len(set(ids))
    assert commands.journal() == ""


def test_a_killed_command_is_told_of_at_once(commands: Commands) -> None:
    home = commands.home
    repository = home.unseen_repository()
    hg = subprocess.Popen(("hg", "waits"), env=home.env, cwd=repository)
    # A dispatcher that begins later cannot see how it ends.
    until("its beginning", lambda: commands.named("command"))
    hg.kill()
    hg.wait()
    commands.await_events("commandlost", 1)
    [record] = commands.named("commandlost")
    assert record["process"]["pid"] == hg.pid
    assert record["message"].startswith("waits was lost after ")
    [begun] = commands.named("command")
    assert record["span_id"] == begun["span_id"]
    assert record["session"] == begun["session"]
    began = record["options"]["began"]
    assert began <= begun["time"] < record["time"]
    release = [int(it) for it in os.uname().release.split(".")[:2]]
    if release >= [6, 15]:
        assert record["process"]["signal"] == signal.SIGKILL
        assert record["options"]["cause"] == "signal"


def test_a_child_that_lives_on_does_not_count_for_it(
    commands: Commands,
) -> None:
    with ForkingHg(commands.home.env, commands.home.path) as hg:
        pid = hg.start("holds")
        until("its child", lambda: commands.has("runs", pid))
        os.kill(pid, signal.SIGKILL)
        hg.wait(pid)
        commands.await_events("commandlost", 1)
        child = int((commands.room / "child").read_text())
        os.kill(child, signal.SIGKILL)
    assert commands.by_process()[pid]["commandlost"] == 1


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_command_whose_queue_is_removed_has_one_end(
    home: Home, is_killed: bool
) -> None:
    commands = Commands(home, "yes")
    home.configure(f"[uilog]\nsink.audit:track = {TRACKED}, ping\n")
    hg = subprocess.Popen(("hg", "pauses"), env=home.env)
    commands.await_body(hg.pid)
    # The agent reads the queue when it loses its name, as at a logout.
    until("its beginning", lambda: commands.named("command"))
    for queue in (home.runtime / "uilog").glob("records-*"):
        queue.unlink()
    (commands.room / "go").touch()
    until("its record", lambda: commands.has("has-had-go", hg.pid))
    if is_killed:
        hg.kill()
    else:
        (commands.room / "end").touch()
    hg.wait()
    settle(commands)
    [end] = [it for it in TRACKED.split(", ")[1:] if commands.named(it)]
    assert end == ("commandlost" if is_killed else "commandfinish")
    assert commands.by_process()[hg.pid][end] == 1
    assert commands.journal() == ""
    home.run("uilog", "agent", "stop")


def test_an_exec_that_fails_is_no_end(commands: Commands) -> None:
    with ForkingHg(commands.home.env, commands.home.path) as hg:
        pid = hg.start("tries")
        commands.await_body(pid)
        os.kill(pid, signal.SIGKILL)
        hg.wait(pid)
        commands.await_events("commandlost", 1)
    assert commands.by_process()[pid]["commandlost"] == 1


# In `make test`, with an agent and with dispatchers; `make soak` asks more
# often.
ROUNDS = 11
MANY_ROUNDS = 340
# What a round consists of: commands, what is sent to them, and how they end.
ORDINARY: tuple[tuple[tuple[str, ...], int | None, int, str], ...] = (
    (("works",), None, 0, os.devnull),
    (("root",), None, 0, os.devnull),
    (("log",), None, 0, os.devnull),
    (("log",), None, 255, "/dev/full"),
    (("talks",), None, 255, "/dev/full"),
    (("fails",), None, 255, os.devnull),
    (("breaks",), None, 1, os.devnull),
    (("waits",), signal.SIGINT, 255, os.devnull),
    (("waits",), signal.SIGTERM, 255, os.devnull),
    (("waits",), signal.SIGHUP, 255, os.devnull),
    (("becomes", "true"), None, 0, os.devnull),
    (("becomes", "sleep", "0.1"), None, 0, os.devnull),
    (("forks",), None, 0, os.devnull),
    (("spawns",), None, 0, os.devnull),
    (("leaves",), None, 0, os.devnull),
)


@pytest.mark.parametrize(
    "rounds", [ROUNDS, pytest.param(MANY_ROUNDS, marks=SOAK)]
)
def test_no_ordinary_end_is_a_loss(commands: Commands, rounds: int) -> None:
    repository = commands.home.unseen_repository()
    with ForkingHg(commands.home.env, repository) as hg:
        for _ in range(rounds):
            running = []
            for args, sent, status, out in ORDINARY:
                pid = hg.start(*args, out=out)
                running.append((pid, args, sent, status))
                if len(running) == AT_ONCE:
                    finish(commands, hg, running)
                    running = []
            finish(commands, hg, running)
    settle(commands)
    assert commands.named("commandlost") == []
    ends = Counter(
        it["process"]["command"] for it in commands.named("commandfinish")
    )
    # hg says nothing more where it cannot write.
    silent = (("becomes", os.devnull), ("log", "/dev/full"))
    ordinary = Counter(
        args[0] for args, _, _, out in ORDINARY if (args[0], out) not in silent
    )
    assert ends == {it: rounds * ordinary[it] for it in ordinary}
    assert commands.journal() == ""


def finish(
    commands: Commands,
    hg: ForkingHg,
    running: list[tuple[int, tuple[str, ...], int | None, int]],
) -> None:
    for pid, args, sent, status in running:
        if sent is not None:
            commands.await_body(pid)
            os.kill(pid, sent)
        assert hg.wait(pid) == status, args
        commands.forget_body(pid)


def test_servers_and_workers_are_no_losses(
    commands: Commands, chg: Chg
) -> None:
    home = commands.home
    repository = home.unseen_repository()
    with home.serving(repository) as client:
        for _ in range(10):
            client.rawcommand([b"root"])
    for _ in range(3):
        chg("root", cwd=repository)
    home.hg(
        *("serve", "-d", "--pid-file", str(home.path / "pid"), "-p", "0"),
        cwd=repository,
    )
    daemon = int((home.path / "pid").read_text())
    os.kill(daemon, signal.SIGTERM)
    home.work(repository, "pass")
    until(
        "the daemon's end",
        lambda: (
            daemon
            in {it["process"]["pid"] for it in commands.named("commandfinish")}
        ),
    )
    wanted = ["root"] * 13
    until(
        "the commands",
        lambda: (
            [
                it["process"]["command"]
                for it in commands.named("commandfinish")
                if it["process"]["command"] == "root"
            ]
            == wanted
        ),
    )
    assert commands.named("commandlost") == []


def test_a_killed_server_and_its_request_are_both_lost(
    commands: Commands,
) -> None:
    home = commands.home
    server = subprocess.Popen(
        ("hg", "serve", "--cmdserver", "pipe"),
        env=home.env,
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert server.stdin is not None
    for args in (b"works", b"waits"):
        request = b"runcommand\n" + len(args).to_bytes(4, "big") + args
        server.stdin.write(request)
        server.stdin.flush()
    until(
        "the second request",
        lambda: (
            len(commands.named("command")) == 3
            and commands.has("runs", server.pid)
        ),
    )
    server.kill()
    server.wait()
    commands.await_events("commandlost", 2)
    lost = [it["process"]["command"] for it in commands.named("commandlost")]
    assert lost == ["waits", "serve"]
    [done] = commands.named("commandfinish")
    assert done["process"]["command"] == "works"
    server.stdin.close()


def kill_unseen(commands: Commands, *options: str) -> subprocess.Popen[bytes]:
    """Kills a command and, before that, the agent, which can see nothing of it
    then."""
    home = commands.home
    hg = subprocess.Popen(("hg", "waits", *options), env=home.env)
    commands.await_body(hg.pid)
    # An agent that has delivered the beginning can be found by its arguments;
    # before that it may be between two programs.
    until("its record", lambda: commands.named("command"))
    for agent in home.agents():
        os.kill(agent.pid, signal.SIGKILL)
    until("the agent's end", lambda: not home.agents())
    hg.kill()
    hg.wait()
    return hg


def test_whoever_comes_later_tells_what_nobody_saw(home: Home) -> None:
    commands = Commands(home, "yes")
    hg = kill_unseen(commands)
    # The next agent believes what the next command is configured with.
    home.hg("version")
    commands.flush()
    commands.await_events("commandlost", 1)
    [record] = commands.named("commandlost")
    assert record["process"]["pid"] == hg.pid
    assert record["options"]["cause"] == "unknown"
    assert commands.journal() == ""
    home.run("uilog", "agent", "stop")


def test_whoever_flushes_knows_where_a_variable_leads(home: Home) -> None:
    commands = Commands(home, "yes")
    home.configure(
        "[uilog]\nsink.other = file:$OUT/other\n"
        "sink.other:track = commandlost\n"
    )
    kill_unseen(commands)
    # There is no other command whose sinks could be believed.
    commands.flush()
    [line] = home.read("other").splitlines()
    assert json.loads(line)["event"] == "commandlost"
    assert commands.journal() == ""
    home.run("uilog", "agent", "stop")


def test_whoever_flushes_is_told_of_losses_in_a_queue_that_is_removed(
    home: Home,
) -> None:
    commands = Commands(home, "yes")
    # Which no process is left to vouch for.
    sink = f"uilog.sink.own=file:{home.out}/own"
    track = "uilog.sink.own:track=commandlost"
    kill_unseen(commands, "--config", sink, "--config", track)
    done = subprocess.run(
        ("uilog", "flush", "--wait", str(processes.WAIT), "-T", "json"),
        env=home.env,
        capture_output=True,
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["left"], told["lost"]) == (0, 1)
    commands.await_events("commandlost", 1)
    assert not (home.out / "own").exists()
    assert '"lost":1' in commands.journal()
    home.run("uilog", "agent", "stop")


def test_what_no_dispatcher_can_tell_is_counted(home: Home) -> None:
    commands = Commands(home, "no")
    hg = subprocess.Popen(("hg", "waits"), env=home.env)
    commands.await_body(hg.pid)
    until("its record", lambda: commands.named("command"))

    def dispatchers() -> list[processes.Process]:
        found = processes.of_home(str(home.path))
        return [it for it in found if it.is_dispatcher() and it.state != "Z"]

    def are_killed() -> bool:
        found = dispatchers()
        for process in found:
            # One may be a process between two, which has ended by now.
            kill(process.pid)
        return not found

    until("its dispatcher", dispatchers)
    until("its end", are_killed)
    hg.kill()
    hg.wait()
    done = subprocess.run(
        ("uilog", "status", "-T", "json"),
        env=home.env,
        capture_output=True,
        check=False,
    )
    [told] = json.loads(done.stdout)["journal"]["failures"]
    assert told["lost"] >= 1
    assert "1 the end of commands that were killed" in told["detail"]


def test_without_a_sink_that_wants_it_nothing_is_noted(home: Home) -> None:
    commands = Commands(home, "no")
    home.configure("[uilog]\nsink.audit:track = foo\n")
    hg = subprocess.Popen(("hg", "waits"), env=home.env)
    commands.await_body(hg.pid)
    assert list((home.path / "run").glob("uilog/*")) == []
    hg.kill()
    hg.wait()
    assert commands.records() == []


def test_uilog_run_tells_the_signal(commands: Commands) -> None:
    home = commands.home
    home.configure(
        "[logtoprocess]\ncommandfinish = echo $OPT_SIGNAL > $OUT/s\n"
    )
    subprocess.run(
        ("uilog", "run", "--", "sh", "-c", "kill -SEGV $$"),
        env=home.env,
        cwd=home.path,
        check=False,
    )
    until("its script", lambda: home.read("s") == "11\n")
    run = subprocess.Popen(
        ("uilog", "run", "--", "hg", "waits"), env=home.env, cwd=home.path
    )
    until("hg", lambda: hg_of(run.pid))
    [hg] = hg_of(run.pid)
    commands.await_body(hg)
    os.kill(hg, signal.SIGKILL)
    run.wait()
    commands.await_events("commandlost", 2)
    first, second = commands.named("commandlost")
    assert first["process"]["program"] == "sh"
    assert first["process"]["signal"] == signal.SIGSEGV
    assert second["process"]["signal"] == signal.SIGKILL
    assert second["process"]["command_line"] == "waits"
    settle(commands)
    assert len(commands.named("commandlost")) == 2
    assert commands.named("commandfinish") == []


def hg_of(run: int) -> list[int]:
    return [
        it.pid
        for it in processes.children(run)
        if any("bin/hg" in word for word in it.argv)
    ]


def test_what_runs_under_a_killed_uilog_run_is_lost(home: Home) -> None:
    commands = Commands(home, "yes")
    # One whose logger lives on, and one of which nobody does.
    for is_alone in (False, True):
        run = subprocess.Popen(
            ("uilog", "run", "--", "sleep", "1000"),
            env=home.env,
            cwd=home.path,
        )
        count = 1 + is_alone
        commands.await_events("command", count)
        if is_alone:
            for child in processes.children(run.pid):
                if child.argv[:1] == ("uilog",):
                    os.kill(child.pid, signal.SIGKILL)
        run.kill()
        run.wait()
        commands.await_events("commandlost", count)
    for record in commands.named("commandlost"):
        assert record["process"]["command_line"] == "sleep 1000"
    settle(commands)
    assert len(commands.named("commandlost")) == 2
    assert commands.named("commandfinish") == []
    home.run("uilog", "agent", "stop")
