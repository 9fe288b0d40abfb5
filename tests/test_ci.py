"""The recipes of docs/ci.md: what CI systems and containers do to processes and
directories, and that nothing is lost by it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import processes
import pytest
import yaml
from conftest import Agents, Home, until
from otlp_receiver import Receiver
from test_killed import namespace
from tools.common import ROOT

# What an agent is told of the environment of whoever starts it, besides PATH.
PLACES = (
    "HGRCPATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
# By what CI systems find the processes of a job that they kill at its end.
# Jenkins: hudson.util.ProcessTree looks for the first, in a Pipeline for the
# second; GitHub: JobExtension.cs of actions/runner; Azure Pipelines: the file
# of the same name of microsoft/azure-pipelines-agent.
MARKS = {
    "jenkins": {"BUILD_ID": "7", "JENKINS_NODE_COOKIE": "c0ffee"},
    "github": {"RUNNER_TRACKING_ID": "github_c0ffee"},
    "azure": {"VSTS_PROCESS_LOOKUP_ID": "vsts_c0ffee"},
}

RECIPES = ROOT / "docs" / "ci.md"


def blocks(language: str) -> list[str]:
    """The examples in this language, in their order."""
    fence = rf"^ *```{language}\n(.*?)^ *```$"
    flags = re.DOTALL | re.MULTILINE
    return re.findall(fence, RECIPES.read_text(), flags)


def last_steps() -> dict[str, str]:
    """By the CI system, the shell line that each recipe ends a job with."""
    (workflow, pipeline, _) = map(yaml.safe_load, blocks("yaml"))
    (post,) = blocks("groovy")
    (line,) = re.findall(r"\bsh '([^']+)'", post)
    return {
        "github": workflow["jobs"]["build"]["steps"][-1]["run"],
        "gitlab": pipeline["default"]["after_script"][-1],
        "jenkins": line,
    }


def environment_of(pid: int) -> list[str]:
    block = Path(f"/proc/{pid}/environ").read_bytes()
    return [entry.decode() for entry in block.split(b"\0") if entry]


def kill_all_with(marks: dict[str, str]) -> list[int]:
    """What a CI system does at a job's end: kills every process that has its
    marks in its environment."""
    wanted = {f"{name}={value}" for name, value in marks.items()}
    killed = []
    for process in processes.everyone():
        with contextlib.suppress(OSError):
            if wanted & set(environment_of(process.pid)):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
    return killed


@pytest.mark.parametrize("system", MARKS)
def test_a_process_killer_that_goes_by_environment_leaves_the_agent_alone(
    agents: Agents, system: str
) -> None:
    home, marks = agents.home, MARKS[system]
    home.env.update(marks)
    # Something that the job has left behind, which is to be killed.
    left = subprocess.Popen(["sleep", "600"], env=home.env)
    home.hg("version", "-q")
    (agent,) = agents.running()
    assert kill_all_with(marks) == [left.pid]
    left.wait()
    names = {it.split("=")[0] for it in environment_of(agent.pid)}
    assert "PATH" in names
    assert not names & set(marks)
    # Where its configuration is, and its places: nothing else of the job's.
    assert names <= {"PATH", *PLACES}, names
    assert [it.pid for it in agents.running()] == [agent.pid]
    agents.flush()
    assert agents.commands() == ["version"]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The host's directory that each container has as a bind mount."""
    path = tmp_path / "queues"
    path.mkdir(mode=0o700)
    return path


def status(home: Home) -> dict[str, object]:
    done = subprocess.run(
        ["uilog", "status", "-T", "json"],
        env=home.env,
        capture_output=True,
        check=False,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_what_a_killed_container_leaves_in_the_hosts_directory_is_delivered(
    agents: Agents, shared: Path
) -> None:
    command = namespace()
    home = agents.home
    # What is the container's alone goes with it.
    inside = home.path / "inside"
    inside.mkdir(mode=0o700)
    names = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME")
    private = ("env", *(f"{name}={inside}" for name in names))
    own = shared / f"uilog-{os.geteuid()}"
    with Receiver() as receiver:
        home.configure(
            "[uilog]\nsink.audit =\ndeliver-before-exit = no\n"
            f"queue-dir = {shared}\nspool = {shared}/spool\n"
            f"sink.fleet = otlp:{receiver.url}\n"
            "sink.fleet:track = commandfinish\n"
        )
        receiver.hold()
        for _ in range(3):
            # With hg its agent is killed, wherever it had the record then.
            home.run(*private, *command, "hg", "version", "-q")
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
        assert receiver.store.count() == 0
        shutil.rmtree(inside)
        receiver.release()
        # It shows that this sink is configured here as well.
        home.hg("version", "-q")
        home.flush("--all")
        assert receiver.store.count() == 4
    until("no queue", lambda: not list(own.glob("records-*")))


def test_a_queue_dir_that_others_can_write_to_is_not_used(
    agents: Agents, shared: Path
) -> None:
    home = agents.home
    home.configure(f"[uilog]\nqueue-dir = {shared}\n")

    def place() -> str:
        show = "{records % '{queue}'}"
        option = "sink.audit:track=*"
        return home.hg("debuguilog", "-T", show, "--config", f"uilog.{option}")

    usual = str(agents.runtime / "uilog")
    for mode, is_used in ((0o777, False), (0o775, False), (0o1777, True)):
        shared.chmod(mode)
        found = place()
        assert found.startswith(str(shared) if is_used else usual), oct(mode)
    home.configure("[uilog]\nqueue-dir = relative\n")
    assert place().startswith(usual)
    told = home.hg("debuguilog", "-T", "{configfaults % '{problem}'}")
    assert told.startswith("'relative' is not an absolute path"), told
    # Agents of both places are ended with the test.
    home.configure(f"[uilog]\nqueue-dir = {shared}\n")


def test_a_home_that_is_read_only_needs_a_spool_elsewhere(
    home: Home, tmp_path: Path
) -> None:
    command = namespace()
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    # As for a user of a container image that has no home.
    home.env["HOME"] = "/proc"
    with Receiver() as receiver:
        home.configure(
            f"[uilog]\nsink.fleet = otlp:{receiver.url}\n"
            f"sink.fleet:track = commandfinish\nspool = {spool}\n"
        )
        for number, agent in enumerate(("yes", "no"), 1):
            option = f"uilog.agent={agent}"
            home.run(*command, "hg", "version", "-q", "--config", option)
            assert receiver.store.count() == number


def test_what_runs_shows_where_records_are_and_why_there_is_no_queue(
    agents: Agents,
) -> None:
    home = agents.home
    show = "{records % '{way}|{agent}|{queue}|{noqueuebecause}'}"
    track = "uilog.sink.audit:track=*"

    def shown(*prefix: str) -> list[str]:
        args = ("hg", "debuguilog", "-T", show, "--config", track)
        return home.run(*prefix, *args).split("|")

    # The agent that a command starts is there when that has ended, but may not
    # be seen as one before its exec.
    home.hg("version", "-q")
    until("an agent", agents.running)
    way, agent, queue, because = shown()
    (running,) = agents.running()
    assert (way, because) == ("agent", "")
    assert agent == f"process {running.pid}"
    assert queue.startswith(str(agents.runtime / "uilog" / "records-"))
    way, agent, queue, because = shown(
        "sh", "-c", 'ulimit -t 600; exec "$@"', ""
    )
    assert (way, agent, queue) == ("dispatcher", "", "")
    assert "processor" in because or "limit" in because, because
    until("all", lambda: status(home)["dispatchers"] == [])
    home.configure("[uilog]\nagent = no\n")
    assert shown()[0] == "dispatcher"


def test_the_recipes_mean_what_their_systems_take_them_for() -> None:
    (workflow, pipeline, pod) = map(yaml.safe_load, blocks("yaml"))
    (step,) = workflow["jobs"]["build"]["steps"]
    assert step["if"] == "always()"
    assert set(step) == {"name", "if", "run"}
    # A quoted text or a colon can make something else of a line.
    lines = pipeline["default"]["after_script"]
    assert all(isinstance(line, str) for line in [step["run"], *lines])
    spec: dict[str, Any] = pod["spec"]
    (container,) = spec["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = spec["volumes"]
    assert mount["name"] == volume["name"]
    (settings,) = (it for it in blocks("ini") if "queue-dir" in it)
    # What the hgrc names is in the pod, and on the host at the same place.
    for place in re.findall(r"= (/.*)", settings):
        assert place.startswith(mount["mountPath"])
        assert place.startswith(volume["hostPath"]["path"])


def test_the_last_step_of_each_recipe_tells_what_is_left(home: Home) -> None:
    def run(line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-ec", line],
            env=home.env,
            cwd=home.path,
            capture_output=True,
            text=True,
            timeout=processes.DEADLINE,
        )
        return done.returncode, done.stdout

    with Receiver() as receiver:
        home.configure(
            f"[uilog]\nsink.fleet = otlp:{receiver.url}\n"
            "sink.fleet:track = commandfinish\n"
        )
        for number, line in enumerate(last_steps().values(), 1):
            home.hg("version", "-q")
            status, said = run(line)
            assert (status, "incomplete" in said) == (0, False), (line, said)
            assert receiver.store.count() == number
    # Nobody answers any more. Jenkins is to fail, the others warn.
    home.hg("version", "-q")
    for system, line in last_steps().items():
        status, said = run(line)
        fails = system == "jenkins"
        assert (status, "incomplete" in said) == (fails, not fails), (
            line,
            said,
        )


def test_what_prepares_a_host_makes_a_directory_that_hg_uses(
    agents: Agents, tmp_path: Path
) -> None:
    place = tmp_path / "var"
    (block,) = blocks("sh")
    lines = [it for it in block.splitlines() if not it.startswith("#")]
    make, every_minute = (
        it.replace("/var/lib/uilog", str(place)) for it in lines
    )
    agents.home.run("sh", "-ec", make)
    agents.home.configure(f"[uilog]\nqueue-dir = {place}\n")
    agents.home.hg("version", "-q")
    agents.home.run("sh", "-ec", every_minute)
    assert agents.commands() == ["version"]
    assert [it.name for it in place.iterdir()] == [f"uilog-{os.geteuid()}"]
