"""What `uilog run` logs: each command once, whatever program it is.

Also with hg's wording, in each version.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import processes
import pytest
from conftest import CHGS, Chg, Home, until
from tools.common import HG_VERSIONS, venv_of

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="uilog run is for Linux"
)

LOGGING = """
[uilog]
max-scripts = 1
[logtoprocess]
command = cat >> $OUT/events; echo >> $OUT/events; touch $OUT/begun
command:stdin = json
commandfinish = cat >> $OUT/events; echo >> $OUT/events
commandfinish:stdin = json
"""

# A stand-in for rhg: it becomes hg if it is told so, as rhg does. Who survives
# a signal says why.
RHG = """#!/bin/sh
case $1 in
  files) echo a; exit ${STATUS-0};;
  kill) kill -$2 $$; grep ^Sig /proc/$$/status >&2; exit 99;;
esac
exec "$FALLBACK" "$@"
"""


class Logged:
    """The home of commands that are run by `uilog run`."""

    def __init__(self, home: Home) -> None:
        home.configure(LOGGING)
        self.home = home
        self.rhg = home.path / "rhg"
        self.rhg.write_text(RHG)
        self.rhg.chmod(0o755)
        hg = shutil.which("hg", path=home.env["PATH"])
        assert hg is not None
        home.env["FALLBACK"] = hg

    def run(
        self, *args: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command; returns when its scripts have ended."""
        done = subprocess.run(
            ["uilog", "run", "--", *args],
            env={**self.home.env, **env},
            cwd=cwd or self.home.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=processes.DEADLINE,
        )
        self.settle()
        return done

    def settle(self) -> None:
        left = processes.wait_until_gone(str(self.home.path))
        assert not left, [str(process) for process in left]

    def peek(self) -> list[dict[str, Any]]:
        """What has been logged so far, in its own order: two dispatchers may
        have run the scripts."""
        lines = self.home.read("events").splitlines()
        events = [json.loads(line) for line in lines if line]
        return sorted(events, key=lambda event: str(event["time"]))

    def events(self) -> list[dict[str, Any]]:
        """What has been logged since the last call, all scripts having
        ended."""
        events = self.peek()
        for name in ("events", "begun"):
            (self.home.out / name).unlink(missing_ok=True)
        return events

    def names(self) -> list[str]:
        return [event["event"] for event in self.events()]

    def end(self) -> dict[str, Any]:
        """The end of the only command since the last call."""
        until(
            "the command's end",
            lambda: BOTH[1] in [event["event"] for event in self.peek()],
        )
        self.settle()
        return self.events()[-1]


BOTH = ["command", "commandfinish"]


@pytest.fixture
def logged(home: Home) -> Logged:
    return Logged(home)


def messages(events: list[dict[str, Any]]) -> list[str]:
    """What they say, but for how long it took."""
    return [
        re.sub(r"after \d+\.\d\d seconds", "after N seconds", e["message"])
        for e in events
    ]


## Who logs


def test_a_program_of_any_kind(logged: Logged) -> None:
    done = logged.run("sh", "-c", "echo out; echo 'to err' >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert done.stderr == "to err\n"
    begun, ended = logged.events()
    formatted = "sh -c 'echo out; echo '\\''to err'\\'' >&2; exit 3'"
    assert begun["message"] == f"{formatted}\n"
    text = f"{formatted} exited 3 after N seconds\n"
    assert messages([ended]) == [text]
    options = ended["options"]
    assert options["return_code"] == 3
    assert options["canonical_command"] == "sh"
    assert options["duration"] == ended["duration"]
    assert options["peak_memory_bytes"] > 100_000
    assert options["user_cpu_seconds"] >= 0
    assert options["system_cpu_seconds"] >= 0
    assert "signal" not in options
    assert begun["session"] == ended["session"]
    assert begun["parent_session"] is None
    assert begun["pid"] == ended["pid"] != os.getpid()
    assert begun["time"] < ended["time"]


def test_a_native_rhg(logged: Logged) -> None:
    done = logged.run(str(logged.rhg), "files", STATUS="1")
    assert (done.returncode, done.stdout) == (1, "a\n")
    events = logged.events()
    assert messages(events) == ["files\n", "files exited 1 after N seconds\n"]
    assert events[1]["options"]["canonical_command"] == "files"


def test_hg_logs_itself(every_hg: str, logged: Logged) -> None:
    logged.run("hg", "root", cwd=logged.home.repository())
    logged.settle()
    logged.events()
    logged.run("hg", "root", cwd=logged.home.path / "repo")
    events = logged.events()
    assert messages(events) == ["root\n", "root exited 0 after N seconds\n"]
    # hg does not know its peak.
    assert "peak_memory_bytes" not in events[1]["options"]


def test_rhg_that_falls_back(logged: Logged) -> None:
    repository = logged.home.repository()
    logged.settle()
    logged.events()
    logged.run(str(logged.rhg), "log", "-l1", cwd=repository)
    events = logged.events()
    assert messages(events) == [
        "log -l1\n",
        "log -l1 exited 0 after N seconds\n",
    ]
    assert "peak_memory_bytes" not in events[1]["options"]


def test_hg_without_uilog(logged: Logged) -> None:
    other = logged.home.path / "other.hgrc"
    other.write_text("")
    command = f"HGRCPATH={other} exec $FALLBACK version -q"
    logged.rhg.write_text(f"#!/bin/sh\n{command}\n")
    logged.run(str(logged.rhg), "version", "-q")
    assert messages(logged.events()) == [
        "version -q\n",
        "version -q exited 0 after N seconds\n",
    ]
    # Nobody is to log it.
    logged.run("hg", "version", "--config", "extensions.uilog=!")
    assert logged.events() == []


def test_an_hg_that_stops_before_it_logs(logged: Logged) -> None:
    # hg logs nothing of these itself.
    logged.run("hg", "no-such-command")
    _, ended = logged.events()
    assert ended["options"]["canonical_command"] is None
    assert ended["options"]["return_code"] == 255
    logged.run("hg", "root", "--cwd", "/no/such/directory")
    assert logged.events() == []
    journal = logged.home.path / ".local/state/uilog/failures.jsonl"
    failure = json.loads(journal.read_text())
    assert failure["kind"] == "config"
    assert "No such file or directory" in failure["detail"]


def test_a_late_hg(logged: Logged) -> None:
    # The outer one has logged the beginning before hg is there.
    logged.home.extension(
        "late",
        "import os, time\n"
        "def uisetup(ui):\n"
        "    while not os.path.exists(os.environ['OUT'] + '/begun'):\n"
        "        time.sleep(0.01)\n",
    )
    logged.run("hg", "version", "-q")
    begun, ended = logged.events()
    assert [begun["event"], ended["event"]] == BOTH
    assert begun["session"] == ended["session"]
    assert begun["id"] != ended["id"]
    assert "peak_memory_bytes" not in ended["options"]
    # It is the time of the start.
    assert begun["time"] < ended["time"]


@pytest.mark.parametrize("where", ["uisetup", "extsetup", "command"])
def test_a_killed_hg(logged: Logged, where: str) -> None:
    logged.home.extension(
        "killed",
        "import os\n"
        "from mercurial import registrar\n"
        "cmdtable = {}\n"
        "command = registrar.command(cmdtable)\n"
        "@command(b'killed', [], norepo=True)\n"
        "def killed(ui):\n"
        "    os.kill(os.getpid(), 9)\n"
        + (
            ""
            if where == "command"
            else f"def {where}(ui):\n    os.kill(os.getpid(), 9)\n"
        ),
    )
    done = logged.run("hg", "killed")
    assert done.returncode == -signal.SIGKILL
    begun, ended = logged.events()
    assert messages([begun, ended]) == [
        "killed\n",
        "killed exited 137 after N seconds\n",
    ]
    assert ended["options"]["signal"] == signal.SIGKILL
    assert begun["session"] == ended["session"]
    assert begun["id"] != ended["id"]


def test_nested_commands(logged: Logged) -> None:
    repository = logged.home.repository()
    logged.settle()
    logged.events()
    logged.run(
        *("hg", "status", "--config", "hooks.pre-status=hg root"),
        cwd=repository,
    )
    events = logged.events()
    assert [e["event"] for e in events] == [*BOTH[:1], *BOTH, *BOTH[1:]]
    outer, inner = events[0], events[1]
    assert outer["message"].startswith("status")
    assert inner["message"].startswith("root")
    assert inner["session"] != outer["session"]
    assert inner["parent_session"] == outer["session"]
    # And below another program.
    logged.run("sh", "-c", "hg root; true", cwd=repository)
    events = logged.events()
    assert len(events) == 4
    by_message = {e["message"].split()[0]: e for e in events}
    assert by_message["root"]["parent_session"] == by_message["sh"]["session"]
    # A run within a run.
    logged.run("sh", "-c", "uilog run -- true; true")
    events = logged.events()
    assert [e["message"].split()[0] for e in events[:2]] == ["sh", "true"]
    assert len(events) == 4
    assert events[0]["parent_session"] is None
    assert events[1]["parent_session"] == events[0]["session"]


def test_a_program_that_becomes_hg(logged: Logged) -> None:
    repository = logged.home.repository()
    logged.settle()
    logged.events()
    logged.run("sh", "-c", "exec hg root", cwd=repository)
    begun, ended = messages(logged.events())
    # Where hg takes more than a second, it is not known yet what it will be.
    assert begun in ("root\n", "sh -c 'exec hg root'\n")
    assert ended == "root exited 0 after N seconds\n"


def test_the_variable_is_for_one_process(logged: Logged) -> None:
    repository = logged.home.repository()
    hook = "hooks.pre-root=env > $OUT/hook"
    logged.run("hg", "root", "--config", hook, cwd=repository)
    variables = logged.home.read("hook")
    assert "UILOG_RUN=" not in variables
    assert "UILOG_SESSION=" in variables
    assert "UILOG_DEPTH=" not in variables


def test_a_command_server(logged: Logged) -> None:
    # Its own beginning and end are two of many.
    script = (
        "import hglib, sys;"
        "hglib.HGPATH = sys.argv[1];"
        "c = hglib.open(sys.argv[2]); c.root(); c.status(); c.close()"
    )
    repository = logged.home.repository()
    hg = logged.home.path / "hg-run"
    hg.write_text('#!/bin/sh\nexec uilog run -- hg "$@"\n')
    hg.chmod(0o755)
    logged.settle()
    logged.events()
    subprocess.run(
        [sys.executable, "-c", script, str(hg), str(repository)],
        env=logged.home.env,
        check=True,
        timeout=processes.DEADLINE,
    )
    logged.settle()
    events = logged.events()
    words = [(e["event"], e["message"].split()[0]) for e in events]
    assert words == [
        ("command", "serve"),
        ("command", "root"),
        ("commandfinish", "root"),
        ("command", "status"),
        ("commandfinish", "status"),
        ("commandfinish", "serve"),
    ]


RUN_BY_CHG = ("root", "status")


def test_chg(logged: Logged, chg: Chg) -> None:
    repository = logged.home.repository()
    program = str(CHGS[-1])
    for _ in range(2):
        logged.home.run("uilog", "run", "--", program, "root", cwd=repository)
    chg("status", cwd=repository)

    def words() -> list[tuple[str, str]]:
        found = [(e["event"], e["message"].split()[0]) for e in logged.peek()]
        return [(event, word) for event, word in found if word in RUN_BY_CHG]

    # Its server goes on, so that its scripts may, too.
    until("the events", lambda: len(words()) >= 6)
    assert words() == [
        ("command", "root"),
        ("commandfinish", "root"),
        ("command", "root"),
        ("commandfinish", "root"),
        ("command", "status"),
        ("commandfinish", "status"),
    ]


def test_a_command_that_cannot_be_started(logged: Logged) -> None:
    assert logged.run("/no/such/program", "a b").returncode == 127
    begun, ended = logged.events()
    assert begun["message"] == "/no/such/program 'a b'\n"
    assert ended["options"]["return_code"] == 127
    assert logged.run(str(logged.home.path)).returncode == 126
    assert logged.events()[1]["options"]["return_code"] == 126


@pytest.mark.parametrize(
    ("name", "mercurial", "other"),
    [
        ("INT", 255, 130),
        ("TERM", 255, 143),
        ("PIPE", 255, 141),
        ("KILL", 137, 137),
        ("SEGV", 139, 139),
    ],
)
def test_signals(logged: Logged, name: str, mercurial: int, other: int) -> None:
    number = getattr(signal, f"SIG{name}")
    done = logged.run(str(logged.rhg), "kill", name)
    assert done.returncode == -number, done.stderr
    options = logged.end()["options"]
    assert (options["return_code"], options["signal"]) == (mercurial, number)
    logged.run("sh", "-c", f"kill -{name} $$")
    options = logged.end()["options"]
    assert (options["return_code"], options["signal"]) == (other, number)


def test_a_signal_without_a_name(logged: Logged) -> None:
    number = signal.SIGRTMIN
    done = logged.run("sh", "-c", f"kill -{int(number)} $$")
    assert done.returncode == -number
    options = logged.events()[1]["options"]
    assert (options["return_code"], options["signal"]) == (128 + number, number)


def test_a_record_names_the_program_that_ran(logged: Logged) -> None:
    logged.home.configure(f"[uilog]\nsink.f = file:{logged.home.out}/records\n")

    def ran(*args: str) -> tuple[dict[str, Any], dict[str, Any]]:
        logged.run(*args)
        logged.events()
        lines = logged.home.read("records").splitlines()
        records = [json.loads(line) for line in lines]
        begun, ended = (it for it in records if it["event"] in BOTH)
        (logged.home.out / "records").unlink()
        assert begun["process"]["executable"] == ended["process"]["executable"]
        return ended, ended["process"]

    record, process = ran("sh", "-c", "exit 3")
    assert process["executable"] == shutil.which("sh")
    assert process["program"] == process["command"] == "sh"
    assert process["command_line"] == "sh -c 'exit 3'"
    # What it has used is there once.
    assert record["usage"]["peak_memory_bytes"] > 100_000
    assert set(record["options"]) == {
        *("return_code", "duration", "canonical_command"),
    }
    # By what is executed, not by what it is called.
    link = logged.home.path / "tool"
    link.symlink_to(logged.rhg)
    for program in logged.rhg, link:
        _, process = ran(str(program), "files")
        assert process["executable"] == str(program)
        assert (process["command"], process["command_line"]) == ("files",) * 2
        assert "program" not in process
    # An hg that logs itself names itself.
    _, process = ran("hg", "version", "-q")
    assert process["executable"] == logged.home.env["FALLBACK"]
    assert process["command"] == "version"
    assert "program" not in process


def test_a_broken_hgrc_keeps_nothing_from_running(logged: Logged) -> None:
    logged.home.configure("what is this\n")
    done = logged.run("echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert logged.events() == []
    journal = logged.home.path / ".local/state/uilog/failures.jsonl"
    failure = json.loads(journal.read_text())
    assert failure["kind"] == "config"
    assert failure["detail"].startswith("config error at ")
    # There may be a secret in it.
    assert "what is this" not in failure["detail"]


def test_what_needs_no_hgrc_runs_without_a_directory(logged: Logged) -> None:
    gone = logged.home.path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", "cd gone && rmdir ../gone && uilog run -- echo here"],
        env=logged.home.env,
        cwd=logged.home.path,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")


## The blackbox


def test_the_blackbox_of_another_program(logged: Logged) -> None:
    logged.home.configure("[extensions]\nblackbox =\n")
    repository = logged.home.repository()
    log = repository / ".hg/blackbox.log"
    log.unlink()
    logged.run("sh", "-c", "exit 7", cwd=repository)
    node = logged.home.run(
        *("hg", "log", "-r", ".", "-T", "{node}"),
        *("--config", "extensions.blackbox=!"),
        cwd=repository,
    )
    lines = log.read_text().splitlines()
    pattern = rf"\S+ \S+ \S+ @{node} \(\d+\)> sh -c 'exit 7'"
    assert re.fullmatch(pattern, lines[0])
    end = pattern + r" exited 7 after \d+\.\d\d seconds"
    assert re.fullmatch(end, lines[1])
    assert len(lines) == 2


def test_mercurial_writes_its_blackbox_itself(logged: Logged) -> None:
    logged.home.configure("[extensions]\nblackbox =\n")
    repository = logged.home.repository()
    log = repository / ".hg/blackbox.log"
    log.unlink()
    logged.run("hg", "root", cwd=repository)
    text = log.read_text()
    assert text.count("> root\n") == text.count("> root exited 0 after") == 1
    log.unlink()
    # rhg would, and the stand-in does not.
    logged.run(str(logged.rhg), "files", cwd=repository)
    assert not log.exists()


## A real rhg


RHG_PROGRAM = os.environ.get("UILOG_TEST_RHG")
RECIPE = """
[rhg]
on-unsupported = fallback
fallback-executable = {hg}
ignored-extensions = uilog
"""


@pytest.mark.skipif(
    RHG_PROGRAM is None,
    reason="LEFT OUT: a real rhg, because UILOG_TEST_RHG names none",
)
def test_a_real_rhg(logged: Logged) -> None:
    assert RHG_PROGRAM is not None
    logged.home.configure(RECIPE.format(hg=logged.home.env["FALLBACK"]))
    repository = logged.home.repository()
    logged.settle()
    logged.events()
    done = logged.run(RHG_PROGRAM, "files", cwd=repository)
    assert (done.returncode, done.stdout) == (0, "a\n")
    events = logged.events()
    assert messages(events) == ["files\n", "files exited 0 after N seconds\n"]
    # It has not become hg.
    assert "peak_memory_bytes" in events[1]["options"]
    done = logged.run(RHG_PROGRAM, "log", "-T", "{rev}\\n", cwd=repository)
    assert done.stdout == "0\n"
    events = logged.events()
    assert [event["event"] for event in events] == BOTH
    assert "peak_memory_bytes" not in events[1]["options"]


## The words


VECTORS = [
    "root",
    "status",
    "st",
    "stat --all",
    "sum",
    "-q log -l 1 -T '{node}'",
    "log -r 'all() - 0' --template 'a b\"c'",
    "history",
    "--config ui.verbose=no id",
    "identify ''",
    "cat a",
    "files 'it'\\''s' 'ü' $'\\xff' 'a*b' a=b a:b a@b a,b a~b a%b a_b",
    "files -- --x",
    "mine",
    "min",
    "other",
    "two-words",
    "twowords",
    "update --rev 0",
    "co",
    "showconfig ui.username",
    "debugrevspec 0",
    "debugrevs 0",
    "--repository . branch",
    "-R . branch",
    "--no-verbose branch",
    "help",
    "--version",
    "status --help",
    "export nothing",
    "log -r nothing",
    "--cwd .hg root",
    "purge -p",
    "verify -q",
    "version -q",
]

ALIASES = """
[alias]
mine = log -l 1
other = mine -q
two-words = status
log = log -q
"""


@pytest.mark.parametrize("vector", VECTORS)
def test_words_are_those_of_every_hg(
    home: Home, versions: tuple[str, ...], vector: str
) -> None:
    logged = Logged(home)
    home.configure(ALIASES)
    repository = home.repository()
    stand_in = home.path / "stand-in/hg"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\nexit $STATUS\n")
    stand_in.chmod(0o755)
    for version in versions:
        hg = venv_of(version) / "bin/hg"
        if not hg.exists():
            continue
        logged.settle()
        logged.events()
        done = subprocess.run(
            ["bash", "-c", f"exec {shlex.quote(str(hg))} {vector}"],
            env=home.env,
            cwd=repository,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=processes.DEADLINE,
        )
        real = logged.end()
        subprocess.run(
            ["bash", "-c", f"exec uilog run -- {stand_in} {vector}"],
            env={**home.env, "STATUS": str(done.returncode)},
            cwd=repository,
            check=False,
            timeout=processes.DEADLINE,
        )
        ours = logged.end()
        assert real["event"] == ours["event"] == "commandfinish"
        assert messages([ours]) == messages([real]), version
        for name in ("canonical_command", "return_code"):
            theirs = real["options"][name]
            assert ours["options"][name] == theirs, (version, name)


@pytest.mark.parametrize("version", HG_VERSIONS)
def test_the_table_of_commands(version: str) -> None:
    python = venv_of(version) / "bin/python"
    if not python.exists():
        pytest.skip(f"Mercurial {version} does not build for this Python")
    script = (
        "from mercurial import commands\n"
        "try:\n"
        "    from mercurial import initialization, tables\n"
        "    initialization.init()\n"
        "    table = tables.command_table\n"
        "except ImportError:\n"
        "    table = commands.table\n"
        "for name in table: print(name.decode())\n"
    )
    done = subprocess.run(
        [str(python), "-c", script], capture_output=True, text=True, check=True
    )
    root = Path(__file__).parent.parent
    path = root / "rust/uilog-event/src/command/commands.txt"
    known = {
        line.removesuffix(":").split(": ")[0].replace(" ", "|")
        for line in path.read_text().splitlines()
        if not line.startswith(("#", "*", "+"))
    }
    there = set(done.stdout.split())
    assert there <= known, sorted(there - known)
