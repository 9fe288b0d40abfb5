"""Structured sinks with real parties: hg, its dispatcher, a spool, a network
that fails, a collector, and a receiver that checks what has come."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fleet
import jsonschema
import processes
import pytest
from collector import Rotel, why_not
from conftest import Home, until
from fault_proxy import FAULTS, FaultProxy
from fleet import Listener, Source
from otlp_receiver import Receiver, Record

SCHEMA = Path(__file__).parent.parent / "docs" / "schema-v1.json"

TRACE = "0af7651916cd43dd8448eb211c80319c"
JOB = "b7ad6b7169203331"

OK, ERROR = 0, 2

MACHINES = 4
EVENTS = 20_000
# What a machine logs that has been spared some of its faults.
MORE = 500


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """What is behind the collector; it must have had nothing to complain of."""
    with Receiver() as receiver:
        yield receiver
        assert not receiver.store.complaints
        assert not receiver.store.different()


@pytest.fixture
def rotel(tmp_path: Path, receiver: Receiver) -> Iterator[Rotel]:
    """A collector in front of the receiver."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Rotel(tmp_path / "rotel", receiver.url) as rotel:
        yield rotel


def sink(home: Home, name: str, url: str, **options: str) -> None:
    """Configures a sink."""
    lines = [f"sink.{name} = {url}"]
    lines += [f"sink.{name}:{key} = {it}" for key, it in options.items()]
    home.configure("\n".join(["[uilog]", *lines, ""]))


def ends(receiver: Receiver) -> list[Record]:
    """The spans of commands, in their order."""
    spans = receiver.store.spans()
    found = [it for it in spans if it.attributes["hg.event"] == "commandfinish"]
    return sorted(found, key=lambda it: it.end)


def refused(home: Home, *args: str, cwd: Path) -> int:
    """Runs a command that is to fail; its status."""
    done = subprocess.run(
        ["hg", *args], env=home.env, cwd=cwd, capture_output=True, check=False
    )
    assert done.returncode != 0
    return done.returncode


def test_every_command_is_one_span(
    home: Home, receiver: Receiver, rotel: Rotel
) -> None:
    sink(home, "fleet", f"otlp:{rotel.url}", track="commandfinish")
    repository = home.repository()
    (repository / "a").write_text("b\n")
    home.hg("commit", "-m", "second", cwd=repository)
    home.hg("log", "-l", "1", cwd=repository)
    status = refused(home, "update", "--rev", "nowhere", cwd=repository)
    with home.serving(repository) as client:
        pid = client.server.pid
        client.log(limit=1)
        client.status()
    names = ["init", "commit", "commit", "log", "update"]
    names += ["log", "status", "serve"]
    until("every span", lambda: len(ends(receiver)) >= len(names))
    spans = ends(receiver)
    assert [it.name for it in spans] == [f"hg {name}" for name in names]
    assert receiver.store.count() == len(names)
    for span, name in zip(spans, names):
        failed = name == "update"
        assert span.status == (ERROR if failed else OK)
        told = span.attributes
        assert told["process.exit.code"] == (status if failed else 0)
        assert told["hg.command"] == name
        assert told["process.executable.name"] == "hg"
        assert told["process.owner"]
        assert span.resource["service.name"] == "hg"
        assert span.resource["host.name"]
        assert span.start < span.end
        if name not in ("init", "serve"):
            # It comes from nowhere.
            assert "vcs.repository.name" not in told
            assert told["hg.repository.root"] == str(repository)
    args = spans[3].attributes["process.command_args"]
    assert args == ["hg", "log", "--limit=1"]
    served = {it.attributes["process.pid"] for it in spans[5:]}
    assert served == {pid}
    # Without a parent each command is a trace of its own.
    assert len({it.trace for it in spans}) == len(spans)
    assert not any(it.parent for it in spans)


def test_a_job_its_commands_and_their_hooks_are_one_trace(
    home: Home, receiver: Receiver, rotel: Rotel
) -> None:
    repository = home.repository()
    sink(home, "fleet", f"otlp:{rotel.url}")
    home.configure(
        "[hooks]\npre-commit.look = hg log -l 1\n"
        "[alias]\nouter = !hg id && $HG status\n"
    )
    (repository / "a").write_text("b\n")
    job = {"TRACEPARENT": f"00-{TRACE}-{JOB}-01"}
    home.run("hg", "commit", "-m", "second", cwd=repository, **job)
    home.run("hg", "outer", cwd=repository, **job)
    names = {"hg commit", "hg log", "hg id", "hg status", "hg identify"}
    names -= {"hg id"}

    def came() -> set[str]:
        return {it.name for it in ends(receiver)}

    def logs() -> list[Record]:
        return [it for it in receiver.store.records() if it.signal == "log"]

    # Each process sends its own, and spans apart from log records.
    until("every command", lambda: names <= came())
    until("the hook", lambda: "hook pre-commit.look" in told(receiver))
    until(
        "what they are parts of",
        lambda: all(ancestry(receiver, it)[-1].parent == JOB for it in names),
    )
    until("the log records", logs)
    assert "hg commit" in [it.name for it in ancestry(receiver, "hg log")]
    assert {it.trace for it in receiver.store.spans()} == {TRACE}
    assert {it.trace for it in logs()} == {TRACE}


def told(receiver: Receiver) -> set[str]:
    return {it.name for it in receiver.store.spans()}


def ancestry(receiver: Receiver, name: str) -> list[Record]:
    """The span of this name, its parent, and so on, as far as they have
    come."""
    spans = receiver.store.spans()
    by_span = {it.span: it for it in spans}
    line = [it for it in spans if it.name == name]
    assert len(line) == 1
    while line[-1].parent in by_span:
        line.append(by_span[line[-1].parent])
        assert len(line) < 10
    return line


def spool(home: Home) -> dict[str, Any]:
    """What `uilog spool` says of the only one."""
    done = subprocess.run(
        ["uilog", "spool", "-T", "json"],
        env=home.env,
        cwd=home.path,
        capture_output=True,
        check=False,
    )
    # 1 if there is something to look after.
    assert done.returncode in (0, 1), done.stderr
    (found,) = json.loads(done.stdout)["spools"]
    said: dict[str, Any] = found
    return said


def test_nobody_waits_for_a_collector_that_is_away(
    home: Home, receiver: Receiver, rotel: Rotel
) -> None:
    sink(home, "fleet", f"otlp:{rotel.url}", track="commandfinish")
    repository = home.repository()
    until("the first two", lambda: receiver.store.count() == 2)
    assert not processes.wait_until_gone(str(home.path))
    rotel.stop()
    for _ in range(5):
        home.hg("id", cwd=repository)
    # The dispatchers have ended, although nothing has been delivered.
    assert not processes.wait_until_gone(str(home.path))
    assert receiver.store.count() == 2
    rotel.start()
    # Whoever comes next sends what the others have left, once it may.
    count = 7

    def all_is_sent() -> bool:
        nonlocal count
        home.hg("id", cwd=repository)
        count += 1
        assert not processes.wait_until_gone(str(home.path))
        return not spool(home)["pending"]

    until("what waited to be sent", all_is_sent)
    until("what waited", lambda: receiver.store.count() >= count)
    assert receiver.store.count() == count
    assert receiver.store.repeated() == 0


class Machine:
    """A machine of the fleet: a home, a network that fails, a source."""

    def __init__(self, path: Path, collector: str, seed: int) -> None:
        path.mkdir()
        self.home = Home(path.resolve())
        # Its dispatcher is what is measured.
        self.home.configure("[uilog]\nagent = no\n")
        # A batch of a few records that is refused is rejected, rightly.
        self.proxy = FaultProxy(collector, minimum=2000)
        sink(self.home, "fleet", f"otlp:{self.proxy.url}", timeout="1")
        self.seed = seed
        repository = path / "repo"
        self.home.hg("init", str(repository), "--config", "uilog.sink.fleet=")
        self.source = Source(self.home, repository, path.name)
        self.peak = 0

    def plan(self) -> list[str]:
        faults = list(FAULTS)
        random.Random(self.seed).shuffle(faults)
        self.proxy.plan(it for fault in faults for it in (fault, "pass"))
        return faults

    def log(self, count: int) -> None:
        status = self.source.log(count)
        assert status["counters"]["lost"] == 0, status

    def look(self) -> None:
        for pid in fleet.certain_dispatchers(self.home):
            with contextlib.suppress(OSError, AssertionError):
                self.peak = max(self.peak, fleet.peak_bytes(pid))

    def close(self) -> None:
        self.source.close()
        self.proxy.close()
        left = processes.wait_until_gone(str(self.home.path))
        assert not left, [str(it) for it in left]


def bad_network(
    directory: Path, receiver: Receiver, rotel: Rotel, times: int
) -> None:
    """Sends 20,000 events through more than 50 faults, so many times."""
    store = receiver.store
    with contextlib.ExitStack() as stack:
        machines = []
        for number in range(MACHINES):
            path = directory / f"machine{number}"
            machine = Machine(path, rotel.url, number)
            stack.callback(machine.close)
            machines.append(machine)
        planned: list[str] = []
        for _ in range(times):
            for machine in machines:
                planned += machine.plan()
                machine.log(EVENTS // MACHINES)

            def arrived() -> bool:
                for machine in machines:
                    machine.look()
                if store.count() < sum(it.source.logged for it in machines):
                    return False
                # Who sends much at a time meets few of its faults.
                unhurt = [it for it in machines if it.proxy.left()]
                for machine in unhurt:
                    machine.log(MORE)
                return not unhurt

            until("every event", arrived)
        # What has arrived may still be without its answer.
        until(
            "every answer",
            lambda: not any(spool(it.home)["pending"] for it in machines),
        )
        done = [fault for it in machines for fault in it.proxy.done]
        assert len(done) >= 50 * times
        assert Counter(done) == Counter(planned)
    assert store.count() == sum(it.source.logged for it in machines)
    assert store.count() >= times * EVENTS
    by_source: dict[str, list[int]] = {}
    for record in store.records():
        options = record.attributes
        numbers = by_source.setdefault(options["hg.option.source"], [])
        numbers.append(options["hg.option.number"])
    for machine in machines:
        expected = list(range(machine.source.logged))
        # Each once: what came twice had the same id.
        assert sorted(by_source[machine.source.name]) == expected
        assert 0 < machine.peak < fleet.MEMORY_BYTES
        # Those are the spool's own counts, too.
        kept = spool(machine.home)
        assert kept["sent"] == len(expected)
        counts = ("pending", "evicted", "rejected", "damaged", "counts_lost")
        assert not any(kept[name] for name in counts), kept
    # An answer that was lost on its way costs a repetition.
    assert store.repeated() > 0


def test_nothing_is_lost_in_a_bad_network(
    tmp_path: Path, receiver: Receiver, rotel: Rotel
) -> None:
    bad_network(tmp_path, receiver, rotel, 1)


@pytest.mark.soak
@pytest.mark.timeout(1000)
def test_nothing_is_lost_in_a_bad_network_for_long(
    tmp_path: Path, receiver: Receiver, rotel: Rotel
) -> None:
    bad_network(tmp_path, receiver, rotel, 10)


def test_a_collector_that_never_answers_costs_no_memory(
    home: Home, receiver: Receiver
) -> None:
    home.configure("[uilog]\nagent = no\n")
    sink(home, "fleet", f"otlp:{receiver.url}", timeout="2")
    repository = home.path / "repo"
    home.hg("init", str(repository), "--config", "uilog.sink.fleet=")
    receiver.hold()
    with Source(home, repository, "source") as source:
        for _ in range(4):
            status = source.log(EVENTS // 4)
            pid = status["dispatcher"]["pid"]
        until("the spool", lambda: not source.log(0)["dispatcher"]["waiting"])
        assert receiver.store.count() == 0
        assert fleet.peak_bytes(pid) < fleet.MEMORY_BYTES
        receiver.release()
        until("every event", lambda: receiver.store.count() >= EVENTS)
        assert fleet.peak_bytes(pid) < fleet.MEMORY_BYTES
        status = source.log(0)
        assert status["dispatcher"]["pid"] == pid
        assert status["counters"]["lost"] == 0
    assert receiver.store.count() == EVENTS


def has_ended(pid: int) -> bool:
    return processes.look(pid) is None


def test_a_killed_dispatcher_loses_nothing(
    home: Home, receiver: Receiver, rotel: Rotel
) -> None:
    home.configure("[uilog]\nagent = no\n")
    sink(home, "fleet", f"otlp:{rotel.url}")
    repository = home.path / "repo"
    home.hg("init", str(repository), "--config", "uilog.sink.fleet=")
    count = 3000
    with Source(home, repository, "source") as source:
        for _ in range(3):
            pid = source.log(count // 3 - 1)["dispatcher"]["pid"]
            # In the middle of its work, which the next one finds.
            os.kill(pid, signal.SIGKILL)
            until("its end", functools.partial(has_ended, pid))
            status = source.log(1)
            assert status["dispatcher"]["pid"] != pid
        until("every event", lambda: receiver.store.count() >= count)
        assert status["counters"]["lost"] == 0
    numbers = Counter(
        it.attributes["hg.option.number"] for it in receiver.store.records()
    )
    assert numbers == Counter(range(count))


RSYSLOG = """\
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{socket}" CreatePath="off" UseSysTimeStamp="off"
      UseSpecialParser="off" ParseHostname="on" RateLimit.Interval="0")
template(name="lines" type="list" option.jsonf="on") {{
  property(outname="event" name="msgid" format="jsonf")
  property(outname="program" name="app-name" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omfile" file="{out}" template="lines")
"""


@pytest.fixture
def syslog(home: Home) -> Iterator[tuple[Path, Path]]:
    """A real syslog daemon: its socket, and what it writes."""
    program = shutil.which("rsyslogd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("there is no rsyslogd: install rsyslog")
    directory = home.path / "rsyslog"
    directory.mkdir()
    # A socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="uilog.") as sockets:
        socket, out = Path(sockets) / "log", directory / "out"
        conf = directory / "conf"
        conf.write_text(RSYSLOG.format(socket=socket, out=out))
        argv = [program, "-n", "-f", str(conf), "-i", str(directory / "pid")]
        with (directory / "said").open("wb") as said:
            daemon = subprocess.Popen(argv, stdout=said, stderr=said)
        try:
            until("rsyslogd", socket.exists)
            yield socket, out
        finally:
            daemon.terminate()
            daemon.wait(processes.DEADLINE)


def test_one_sink_that_hangs_stops_no_other(
    home: Home,
    receiver: Receiver,
    rotel: Rotel,
    syslog: tuple[Path, Path],
) -> None:
    daemon, written = syslog
    repository = home.repository()
    expected = home.hg("log", cwd=repository)
    log = home.out / "log.jsonl"
    with contextlib.ExitStack() as stack:
        sockets = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="uilog."))
        )
        reader = stack.enter_context(Listener(sockets / "reader"))
        hung = stack.enter_context(Listener(sockets / "hung", reads=False))
        home.configure("[uilog]\nagent = no\n")
        sink(home, "fleet", f"otlp:{rotel.url}")
        sink(home, "audit", f"file:{log}")
        sink(home, "agent", f"unix:{sockets / 'reader'}")
        sink(home, "hung", f"unix:{sockets / 'hung'}", timeout="1")
        sink(home, "desk", f"syslog:{daemon}")
        source = stack.enter_context(Source(home, repository, "source"))
        count = 2000
        status = source.log(count)
        assert status["counters"]["lost"] == 0
        # Meanwhile somebody works, and gets what he always gets.
        assert home.hg("log", cwd=repository) == expected
        pid = status["dispatcher"]["pid"]

        def numbers(found: list[Any]) -> list[int]:
            return sorted(it for it in found if it is not None)

        def in_file() -> list[int]:
            found = fleet.records_so_far(log)
            told = [it.get("options", {}) for it in found]
            return numbers([it.get("number") for it in told])

        def at_reader() -> list[int]:
            told = [it.get("options", {}) for it in reader.records()]
            return numbers([it.get("number") for it in told])

        def collected() -> list[int]:
            told = [it.attributes for it in receiver.store.records()]
            return numbers([it.get("hg.option.number") for it in told])

        def at_syslog() -> list[int]:
            data = [it["data"] for it in fleet.records_so_far(written)]
            found = [re.search(r' number="(\d+)"', it) for it in data]
            return numbers([int(it[1]) for it in found if it])

        everything = list(range(count))
        until("the file", lambda: in_file() == everything)
        until("the socket", lambda: at_reader() == everything)
        until("the collector", lambda: collected() == everything)
        until("syslog", lambda: at_syslog() == everything)
        until("who hangs", hung.connections)
        assert fleet.peak_bytes(pid) < fleet.MEMORY_BYTES
        # The others are there until the last dispatcher has ended.
        source.close()
        assert not processes.wait_until_gone(str(home.path))
    # What the one did not take is counted, and nothing else.
    state = home.path / ".local" / "state" / "uilog"
    failures = list(fleet.records(state / "failures.jsonl"))
    assert all("uilog.sink.hung: " in it["detail"] for it in failures)
    assert 0 < sum(it["lost"] for it in failures) <= count + 10


def validator() -> jsonschema.protocols.Validator:
    schema = json.loads(SCHEMA.read_text())
    kind = jsonschema.Draft202012Validator
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def test_each_line_keeps_the_schema(home: Home) -> None:
    log = home.out / "log.jsonl"
    sink(home, "audit", f"file:{log}", track="*", ignore="")
    home.configure("[hooks]\npost-log.look = true\n[alias]\nlook = log -l 1\n")
    repository = home.repository()
    home.hg("log", cwd=repository)
    home.hg("look", cwd=repository)
    home.hg("clone", str(repository), str(home.path / "clone"))
    (home.path / "clone" / "b").write_text("b\n")
    home.hg("commit", "-Am", "b", cwd=home.path / "clone")
    home.hg("incoming", str(home.path / "clone"), cwd=repository)
    home.hg("pull", "-u", str(home.path / "clone"), cwd=repository)
    refused(home, "update", "--rev", "\udcff", cwd=repository)
    assert not processes.wait_until_gone(str(home.path))
    check = validator()
    events = set()
    ids = set()
    for record in fleet.records(log):
        check.validate(record)
        events.add(record["event"])
        ids.add(record["id"])
    assert {"command", "commandfinish", "exthook", "incoming"} <= events
    assert len(ids) == sum(1 for _ in fleet.records(log))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_an_untrusted_hgrc_sends_nothing_anywhere(home: Home) -> None:
    repository = home.repository()
    mine, theirs = home.out / "mine.jsonl", home.out / "theirs.jsonl"
    sink(home, "audit", f"file:{mine}")
    hgrc = repository / ".hg" / "hgrc"
    hgrc.write_text(
        "[uilog]\n"
        f"sink.theirs = file:{theirs}\n"
        f"sink.audit = file:{theirs}\n"
        "sink.audit:redact = no\n"
    )
    nobody = 65534
    os.chown(hgrc, nobody, nobody)
    home.hg("log", "--config", "auth.x.password=secret", cwd=repository)
    assert not processes.wait_until_gone(str(home.path))
    assert not theirs.exists()
    text = mine.read_text()
    assert "commandfinish" in text
    assert "secret" not in text
    # It was the owner, and nothing else.
    os.chown(hgrc, os.getuid(), os.getgid())
    home.hg("log", cwd=repository)
    assert not processes.wait_until_gone(str(home.path))
    # As with scripts, the end of a command is logged by the user's own hgrc.
    assert '"command"' in theirs.read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_two_users_share_no_sink_and_no_spool(receiver: Receiver) -> None:
    nobody = 65534
    user = ["setpriv", "--clear-groups"]
    user += ["--reuid", str(nobody), "--regid", str(nobody)]
    if subprocess.call([*user, "hg", "version", "-q"], cwd="/"):
        pytest.skip("another user may not run this hg")
    # Where both have access, which pytest's directories are not.
    with tempfile.TemporaryDirectory(prefix="uilog.") as directory:
        shared = Path(directory).resolve()
        shared.chmod(0o755)
        path = shared / "other"
        for it in (path, shared / "mine", shared / "open"):
            it.mkdir()
        repository = Home(shared / "mine").repository()
        team = shared / "open" / "team.jsonl"
        (repository / ".hg" / "hgrc").write_text(
            f"[uilog]\nsink.team = file:{team}\n"
        )
        other = Home(path)
        sink(other, "fleet", f"otlp:{receiver.url}", track="commandfinish")
        for it in (path, *path.rglob("*")):
            os.chown(it, nobody, nobody)
        team.parent.chmod(0o777)

        def log(*options: str) -> None:
            said = other.run(*user, "hg", "log", *options, cwd=repository)
            assert "changeset" in said
            assert not processes.wait_until_gone(str(path))

        log()
        until("its span", lambda: receiver.store.count() == 1)
        (span,) = ends(receiver)
        assert span.attributes["process.real_user.id"] == nobody
        assert not team.exists()
        state = path / ".local" / "state" / "uilog"
        spool = (state / "spool" / "fleet").stat()
        assert (spool.st_uid, spool.st_mode & 0o777) == (nobody, 0o700)
        assert not (state / "failures.jsonl").exists()
        # Where others could write nothing is kept, and that is told.
        log("--config", f"uilog.spool={team.parent}")
        (failure,) = fleet.records(state / "failures.jsonl")
        assert failure["lost"] == 1
        assert str(team.parent) in failure["detail"]
        assert receiver.store.count() == 1
        assert not list(team.parent.iterdir())
