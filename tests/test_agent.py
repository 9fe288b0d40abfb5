"""One process of a user's delivers the records of all commands, and what those
have left that were killed with everything around them."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import processes
import pytest
from conftest import SOAK, Agents, Home, until

# In `make test`; `make soak` asks more often.
KILLS = 30
MANY_KILLS = 1000


def test_one_agent_delivers_what_all_commands_log(agents: Agents) -> None:
    home = agents.home
    repository = home.unseen_repository()
    pids = set()
    for _ in range(5):
        home.hg("root", cwd=repository)
        pids |= {it.pid for it in agents.running()}
    agents.flush()
    assert agents.commands() == ["root"] * 5
    assert len(pids) == 1
    until("no queue", lambda: not agents.queues())


def test_commands_that_run_all_the_time_are_added_up(agents: Agents) -> None:
    home = agents.home
    home.configure("[uilog]\nsink.audit:rollup = root\n")
    repository = home.unseen_repository()
    for _ in range(3):
        home.hg("root", cwd=repository)
    home.hg("id", cwd=repository)
    # Whoever waits for everything does not wait for the minute to be over.
    agents.flush()
    counts: Counter[str] = Counter()
    for record in agents.records():
        process, rollup = record["process"], record.get("rollup")
        assert isinstance(process, dict)
        count = rollup["commands"] if isinstance(rollup, dict) else 1
        counts[f"{record['event']} {process['command']}"] += count
    assert counts == {"commandrollup root": 3, "commandfinish identify": 1}


def test_an_agent_that_has_nothing_to_do_ends(agents: Agents) -> None:
    agents.home.configure("[uilog]\nagent-idle = 0\n")
    agents.home.hg("root", cwd=agents.home.unseen_repository())
    agents.flush()
    until("its end", lambda: not agents.running())
    assert agents.commands() == ["root"]
    assert agents.queues() == []


def test_an_hg_and_an_agent_that_are_killed_lose_nothing(
    agents: Agents,
) -> None:
    home = agents.home
    repository = home.unseen_repository()
    home.hg("root", cwd=repository)
    agents.flush()
    [agent] = agents.running()
    # It can do nothing any more, and nobody waits for it.
    os.kill(agent.pid, signal.SIGSTOP)
    home.hg("id", cwd=repository)
    done = subprocess.run(
        ["uilog", "status", "-T", "json"],
        env=home.env,
        capture_output=True,
        check=False,
    )
    # Somebody ought to know of a stopped agent.
    assert done.returncode == 1
    status = json.loads(done.stdout)
    (queue,) = [it for it in status["queues"] if it["records"] > it["done"]]
    assert not queue["is_alive"]
    (told,) = status["agents"]
    assert (told["pid"], told["is_stopped"]) == (agent.pid, True)
    os.kill(agent.pid, signal.SIGKILL)
    until("its end", lambda: not agents.running())
    assert agents.commands() == ["root"]
    home.hg("branch", cwd=repository)
    agents.flush()
    assert Counter(agents.commands()) == Counter(["root", "identify", "branch"])


def namespaced(home: Home, *args: str, cwd: Path) -> subprocess.Popen[bytes]:
    """Starts a program as the first one of its own pid namespace: with it all
    end that it has started."""
    return subprocess.Popen(
        ["unshare", "-pf", "--mount-proc", "--kill-child", *args],
        env=home.env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def can_unshare() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    done = subprocess.run(
        [unshare, "-pf", "--mount-proc", "true"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize(
    "kills",
    [KILLS, pytest.param(MANY_KILLS, marks=SOAK)],
)
def test_the_end_of_a_container_loses_nothing_in_silence(
    agents: Agents, kills: int
) -> None:
    if not can_unshare():
        pytest.skip("no pid namespace can be made here (unshare -pf)")
    home = agents.home
    repository = home.unseen_repository()
    rng = random.Random(kills)
    finished = 0
    for _ in range(kills):
        started = time.monotonic()
        inside = namespaced(home, "hg", "root", cwd=repository)
        until_kill = rng.uniform(0.05, 0.6)
        try:
            inside.wait(until_kill)
        except subprocess.TimeoutExpired:
            inside.kill()
            inside.wait()
        assert time.monotonic() - started < processes.DEADLINE
        # One that came to its end has logged it.
        finished += inside.returncode == 0
    home.hg("id", cwd=repository)
    home.flush("--all")
    told = Counter(agents.commands())
    assert told["identify"] == 1
    # One that was killed may have logged its end, or not.
    assert finished <= told["root"] <= kills
    until("no queue", lambda: not agents.queues())


@pytest.mark.parametrize("flags", ["-m", "-U", "-Ur", "-Urm"])
def test_what_other_namespaces_log_arrives(agents: Agents, flags: str) -> None:
    unshare = ("unshare", flags)
    home = agents.home
    tried = subprocess.run((*unshare, "true"), capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no such namespace can be made here (unshare {flags})")
    repository = home.unseen_repository()
    home.hg("root", cwd=repository)
    agents.flush()
    # Each of these namespaces is a new one: so nobody there is to stay.
    option = "uilog.agent-idle=0"
    home.run(*unshare, "hg", "id", "--config", option, cwd=repository)
    until("both", lambda: len(agents.commands()) == 2)
    assert agents.commands() == ["root", "identify"]
    until("the other agent's end", lambda: len(agents.running()) == 1)
    until("no queue", lambda: not agents.queues())
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    assert not journal.exists(), journal.read_text()


def test_whoever_flushes_looks_wherever_queues_lie(
    agents: Agents, tmp_path: Path
) -> None:
    home = agents.home
    chosen = tmp_path / "queues"
    chosen.mkdir(mode=0o700)
    home.configure(f"[uilog]\nqueue-dir = {chosen}\n")
    repository = home.unseen_repository()
    # The first directory is there and has nothing to do with it. Its agent
    # would find the other one's queues in time.
    home.hg("root", cwd=repository)
    agents.flush()
    home.run("uilog", "agent", "stop")
    elsewhere = ("--config", "uilog.queue-dir=")
    home.hg("root", *elsewhere, cwd=repository)
    [agent] = agents.running()
    os.kill(agent.pid, signal.SIGSTOP)
    home.hg("id", *elsewhere, cwd=repository)
    os.kill(agent.pid, signal.SIGKILL)
    until("its end", lambda: not agents.running())
    assert "identify" not in agents.commands()
    # It is not waited for who has another home.
    other = tmp_path / "other"
    other.mkdir()
    home.run("uilog", "flush", "--wait", "0", HOME=str(other))
    agents.flush()
    assert Counter(agents.commands()) == Counter(["root", "root", "identify"])
    home.run("uilog", "agent", "stop")
