"""`uilog.deliver-before-exit`: where everything ends with hg, hg waits at its
end until a collector has answered, for a moment; elsewhere it does not."""

from __future__ import annotations

import functools
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from conftest import Home, until
from otlp_receiver import Receiver
from test_killed import namespace

# So many commands in a row are each the only one of their container.
CONTAINERS = {"yes": 30, "no": 10}
# Where the queue says that hg waits for a delivery: AWAITED_AT in layout.rs.
AWAITED_AT = 1008


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(params=["yes", "no"])
def agent(request: pytest.FixtureRequest) -> str:
    """What `uilog.agent` says."""
    value: str = request.param
    return value


def with_collector(home: Home, receiver: Receiver, agent: str) -> None:
    home.configure(
        f"[uilog]\nagent = {agent}\nagent-idle = 0\n"
        f"sink.fleet = otlp:{receiver.url}\n"
        "sink.fleet:track = commandfinish\n"
        # Whoever waits for a collector that hangs is not to be rescued by this.
        "sink.fleet:timeout = 600\n"
    )


def names(receiver: Receiver) -> list[str]:
    return sorted(it.name for it in receiver.store.spans())


def start(home: Home, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=home.env,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ends_quietly(process: subprocess.Popen[str]) -> None:
    """It ends by itself, with the status and the output of `hg version -q`."""
    out, err = process.communicate(timeout=processes.DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("Mercurial")


def awaits(home: Home) -> bool:
    """Whether an hg waits for a delivery, or has: its queue says so."""
    for queue in (home.path / "run" / "uilog").glob("records-*"):
        with queue.open("rb") as file:
            file.seek(AWAITED_AT)
            if any(file.read(8)):
                return True
    return False


def test_what_a_container_has_logged_is_there_when_it_ends(
    home: Home, receiver: Receiver, agent: str
) -> None:
    command = namespace()
    with_collector(home, receiver, agent)
    containers = CONTAINERS[agent]
    for number in range(1, containers + 1):
        home.run(*command, "hg", "version", "-q")
        # Not soon: now. Nobody of the container is left to send it.
        assert receiver.store.count() == number
    assert names(receiver) == ["hg version"] * containers
    # The child of the first process; and what is no hg.
    emit = "uilog emit commandfinish x"
    for program in ("hg version -q", "uilog run -- true", emit):
        number += 1
        home.run(*command, "sh", "-c", f"{program}; exit")
        assert receiver.store.count() == number, program
    assert receiver.store.repeated() == 0


def test_a_collector_that_hangs_is_not_waited_for_in_vain(
    home: Home, receiver: Receiver, agent: str
) -> None:
    command = namespace()
    with_collector(home, receiver, agent)
    receiver.hold()
    ends_quietly(start(home, *command, "hg", "version", "-q"))
    done = start(home, *command, "uilog", "run", "--", "hg", "version", "-q")
    ends_quietly(done)
    assert receiver.store.count() == 0
    # What was not delivered in time is not lost.
    receiver.release()
    home.flush("--all")
    until("both", lambda: receiver.store.count() == 2)


def test_where_others_go_on_nobody_waits_unless_told_to(
    home: Home, receiver: Receiver
) -> None:
    with_collector(home, receiver, "yes")
    home.configure("[uilog]\nagent-idle = 60\n")
    receiver.hold()
    home.hg("version", "-q")
    # The agent has the record, and the collector has not answered.
    assert not awaits(home)
    option = "uilog.deliver-before-exit=600"
    hg = start(home, "hg", "version", "-q", "--config", option)
    until("the wait", functools.partial(awaits, home))
    assert hg.poll() is None
    receiver.release()
    ends_quietly(hg)
    assert receiver.store.count() == 2
    home.run("uilog", "agent", "stop")


@pytest.mark.parametrize("program", [(), ("uilog", "run", "--")])
def test_ctrl_c_ends_the_wait_and_changes_nothing_else(
    home: Home, receiver: Receiver, program: tuple[str, ...]
) -> None:
    with_collector(home, receiver, "yes")
    home.configure("[uilog]\ndeliver-before-exit = 600\n")
    receiver.hold()
    hg = start(home, *program, "hg", "version", "-q")
    until("the wait", functools.partial(awaits, home))
    for process in processes.of_home(str(home.path)):
        if process.pid == hg.pid or process.argv[1:3] == ("hg", "version"):
            hg.send_signal(signal.SIGINT)
    ends_quietly(hg)
    receiver.release()
    home.run("uilog", "agent", "stop")


def test_by_seconds_scripts_are_waited_for_as_well(
    home: Home, receiver: Receiver, agent: str
) -> None:
    command = namespace()
    with_collector(home, receiver, agent)
    home.configure(
        "[uilog]\ndeliver-before-exit = 600\n"
        "[logtoprocess]\ncommandfinish = sleep 0.3; echo ran >> $OUT/ran\n"
    )
    home.run(*command, "hg", "version", "-q")
    assert home.read("ran") == "ran\n"
    assert receiver.store.count() == 1
    # Where nothing is logged there is nothing to wait for.
    home.run("hg", "version", "-q", UILOG="off")


def test_a_collector_that_is_away_is_not_waited_for(
    home: Home, receiver: Receiver, agent: str
) -> None:
    with_collector(home, receiver, agent)
    receiver.close()
    home.configure("[uilog]\ndeliver-before-exit = 600\n")
    for _ in range(2):
        # It would exceed the bound of `run` by far.
        home.hg("version", "-q")


def flushed(home: Home, *args: str) -> tuple[int, str]:
    """The status of `uilog flush`, and its last line."""
    done = subprocess.run(
        ["uilog", "flush", *args],
        env=home.env,
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_jobs_last_step_waits_for_scripts_and_records(
    home: Home, receiver: Receiver, agent: str, tmp_path: Path
) -> None:
    with_collector(home, receiver, agent)
    gate = tmp_path / "gate"
    home.configure(
        "[logtoprocess]\ncommandfinish = "
        f"until test -e {gate}; do sleep 0.02; done; echo ran >> $OUT/ran\n"
    )
    assert flushed(home) == (
        0,
        "0 events done, 0 records sent to collectors; nothing is left",
    )
    home.hg("version", "-q")
    status, last = flushed(home, "--wait", "0.5")
    assert status == 1
    assert "1 left (1 in dispatchers: 1 script of process " in last, last
    assert last.endswith("still running)")
    flush = start(home, "uilog", "flush", "--wait", str(processes.WAIT))
    gate.touch()
    out, _ = flush.communicate(timeout=processes.DEADLINE)
    assert flush.returncode == 0, out
    assert out.endswith("; nothing is left\n"), out
    assert home.read("ran") == "ran\n"
    assert receiver.store.count() == 1


def test_a_jobs_last_step_tells_why_something_is_left(
    home: Home, receiver: Receiver, agent: str
) -> None:
    with_collector(home, receiver, agent)
    receiver.close()
    home.hg("version", "-q")
    status, last = flushed(home, "--wait", str(processes.WAIT))
    assert status == 1
    assert "1 left (1 in fleet: " in last, last
    assert "onnection refused" in last, last


def test_a_script_that_flushes_does_not_wait_for_itself(
    home: Home, receiver: Receiver
) -> None:
    with_collector(home, receiver, "no")
    wait = processes.WAIT
    home.configure(
        "[logtoprocess]\ncommandfinish = "
        f"uilog flush --wait {wait} > $OUT/out; echo $? >> $OUT/status\n"
        f"[uilog]\ndeliver-before-exit = {wait}\n"
    )
    home.hg("version", "-q")
    assert home.read("status") == "0\n", home.read("out")
