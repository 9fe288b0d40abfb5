"""The blackbox where processes race for it, are killed, or run out of space.

What a user sees of it is in test-uilog-blackbox.t.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import processes
import pytest
from blackbox_race import (
    RHG,
    Blackbox,
    RhgWriter,
    StockWriter,
    Writer,
    assert_in_order,
    assert_none_lost,
    race,
)
from conftest import Home
from tools.common import MAIN_HG, TESTS, venv_of
from tools.upstream import AS_USER, can_run


@pytest.fixture
def blackbox(home: Home) -> Blackbox:
    """The blackbox of a repository in which only races are logged."""
    home.configure(
        "[extensions]\nblackbox =\n"
        "[blackbox]\ntrack = raced\nmaxsize = 2 KB\nmaxfiles = 1000\n"
    )
    return Blackbox(home.repository())


@pytest.mark.parametrize("processes", [8, 32])
def test_no_line_is_lost_torn_or_doubled_in_a_race(
    home: Home, blackbox: Blackbox, processes: int
) -> None:
    count = 4000 // processes
    writers = [Writer(f"ours{n}", count) for n in range(processes)]
    race(home, blackbox, writers)
    messages = blackbox.messages()
    assert_none_lost(writers, messages)
    assert_in_order(writers, messages)
    # Or there has been no race. How many rotations there are depends on how
    # often one finds another at it, and leaves the file as it is.
    assert len(blackbox.files()) > 2
    assert blackbox.unnumbered() == []


def race_with(home: Home, blackbox: Blackbox, writers: list[Writer]) -> None:
    """Races with a stranger, after which nothing is lost."""
    race(home, blackbox, writers)
    # What a stranger has moved in the instant in which we did, too, may have
    # no number, or two, until we rotate the next time.
    files = [*blackbox.unnumbered(), *blackbox.files()]
    by_id = {path.stat().st_ino: path for path in files}
    assert_none_lost(writers, blackbox.messages([*by_id.values()]))
    rotate(home, blackbox)
    assert blackbox.unnumbered() == []
    assert_none_lost(writers, blackbox.messages())


def rotate(home: Home, blackbox: Blackbox) -> None:
    """Rotates once, whatever there is, by a line that is not left there."""
    last = ("--config", "blackbox.track=command")
    home.hg(
        "root", *last, "--config", "blackbox.maxsize=1", cwd=blackbox.repository
    )
    assert blackbox.messages([blackbox.log])
    blackbox.log.unlink()


def test_a_file_with_two_numbers_keeps_one(
    home: Home, blackbox: Blackbox
) -> None:
    home.configure("[blackbox]\nmaxsize = 1\n")
    before = Writer("before", 6)
    race(home, blackbox, [before])

    def number(number: int) -> Path:
        return blackbox.log.with_name(f"blackbox.log.{number}")

    # As strangers leave it who have met us half-way.
    number(2).unlink()
    os.link(number(3), number(2))
    number(5).rename(number(7))
    after = Writer("after", 1)
    race(home, blackbox, [after])
    messages = blackbox.messages()
    assert_none_lost([before, after], messages)
    assert_in_order([before, after], messages)
    assert blackbox.unnumbered() == []


def test_nobody_loses_a_line_in_a_race_with_stock_hg(
    home: Home, blackbox: Blackbox, every_hg: str
) -> None:
    writers = [Writer(f"ours{n}", 500, every_hg) for n in range(7)]
    writers.append(StockWriter("stock", 500, every_hg))
    race_with(home, blackbox, writers)


def test_nobody_loses_a_line_in_a_race_with_rhg(
    home: Home, blackbox: Blackbox
) -> None:
    if not os.access(RHG, os.X_OK):
        pytest.skip("there is no rhg: $UILOG_TEST_RHG may name one")
    writers = [Writer(f"ours{n}", 500) for n in range(7)]
    writers.append(RhgWriter("rhg", 100))
    race_with(home, blackbox, writers)


# What a rotation and the append after it consist of. Not each exists on each
# machine.
CALLS = "?mkdir,mkdirat,openat,flock,?rename,?renameat,renameat2,linkat,"
CALLS += "?unlink,unlinkat,write"

TRACED = re.compile(r"\d+ +(?P<call>\w+)\((?P<rest>.*)")


def strace(trace: Path, *options: str) -> list[str]:
    """The command that runs another one with system calls that fail."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    return ["strace", "-f", "-qq", "-o", str(trace), *options]


@dataclass
class Call:
    """A system call that a command has made."""

    name: str
    # Its number among those of its name.
    number: int
    # Whether it names a file of the blackbox.
    is_ours: bool


def calls_of_a_rotation(home: Home, repository: Path) -> list[Call]:
    """What a command that rotates does from then until it has logged."""
    trace = home.path / "trace"
    home.run(*strace(trace, f"--trace={CALLS}"), "hg", "root", cwd=repository)
    counts: Counter[str] = Counter()
    found: list[Call] = []
    # The last one that names a file opens it, the next writes to it.
    length = 0
    for line in trace.read_text().splitlines():
        match = TRACED.match(line)
        if match is None:
            continue
        name = match["call"]
        counts[name] += 1
        is_ours = f"{repository}/.hg/" in line and "blackbox.log" in line
        if is_ours or found:
            found.append(Call(name, counts[name], is_ours))
        if is_ours:
            length = len(found)
    return found[: length + 1]


def test_a_writer_that_is_killed_in_a_rotation_loses_nothing(
    home: Home,
) -> None:
    template = home.repository()
    home.configure(
        "[extensions]\nblackbox =\n"
        "[blackbox]\ntrack = command, raced\nmaxsize = 1\n"
    )
    before = Writer("before", 3)
    after = Writer("after", 2)

    race(home, Blackbox(template), [before])

    def prepare(name: str) -> Blackbox:
        blackbox = Blackbox(home.path / name)
        # A log has two names: these stay one file.
        copy = ["cp", "-a", str(template), str(blackbox.repository)]
        subprocess.run(copy, check=True)
        return blackbox

    calls = calls_of_a_rotation(home, prepare("traced").repository)
    names = {call.name for call in calls}
    assert {"openat", "flock", "linkat", "renameat2", "write"} < names
    assert len(calls) > 15
    for call in calls:
        blackbox = prepare(f"{call.name}{call.number}")
        trace = home.path / "trace"
        kill = f"--inject={call.name}:signal=KILL:when={call.number}"
        done = subprocess.run(
            [*strace(trace, f"--trace={call.name}", kill), "hg", "root"],
            env=home.env,
            cwd=blackbox.repository,
            capture_output=True,
        )
        assert done.returncode == -signal.SIGKILL, (call, done)
        last = trace.read_text().splitlines()[-2]
        is_ours = f"{blackbox.repository}/.hg/" in last and "blackbox" in last
        assert is_ours == call.is_ours, (call, last)
        # It has not come to its own line.
        files = [*blackbox.unnumbered(), *blackbox.files()]
        assert set(blackbox.messages(files)) == set(before.messages()), call
        # Where there is no log, the next line begins it, and only the one
        # after that rotates.
        race(home, blackbox, [after])
        expected = before.messages() + after.messages()
        assert blackbox.messages() == expected, call
        assert blackbox.unnumbered() == [], call


@dataclass
class Outcome:
    """What a user sees of a command."""

    status: int
    out: bytes
    err: bytes


def outcome(
    home: Home, cwd: Path, *argv: str, wrapper: Sequence[str] = (), **env: str
) -> Outcome:
    done = subprocess.run(
        [*wrapper, *argv],
        env={**home.env, **env},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=processes.DEADLINE,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


NO_BLACKBOX = ("--config", "extensions.blackbox=!")
NO_UILOG = ("--config", "extensions.uilog=!")


def lost(home: Home) -> int:
    """How many events the journal of failures says are lost."""
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    if not journal.exists():
        return 0
    lines = journal.read_text().splitlines()
    return sum(json.loads(line)["lost"] for line in lines)


@pytest.fixture
def traced(home: Home) -> Blackbox:
    """The blackbox of a repository that logs the begin of each command."""
    repository = home.repository()
    home.configure("[extensions]\nblackbox =\n[blackbox]\ntrack = command\n")
    return Blackbox(repository)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        *(("openat", error) for error in ("EACCES", "EROFS", "ESTALE")),
        *(("write", error) for error in ("ENOSPC", "EDQUOT", "EIO", "ESTALE")),
    ],
)
def test_what_fails_is_told_as_by_stock_hg(
    home: Home, traced: Blackbox, call: str, error: str
) -> None:
    traced.log.write_bytes(b"before\n")
    fail = f"--inject={call}:error={error}"
    wrapper = strace(home.path / "trace", f"--trace-path={traced.log}", fail)
    command = ("hg", "identify", "--debug")

    def run(*options: str, debug: bool = True) -> Outcome:
        args = command if debug else command[:-1]
        return outcome(
            home, traced.repository, *args, *options, wrapper=wrapper
        )

    ours = run()
    assert error in (home.path / "trace").read_text()
    assert lost(home) == 1
    assert b"cannot write to blackbox.log" in ours.err + ours.out
    assert ours == run(*NO_UILOG)
    assert run(debug=False) == run(*NO_BLACKBOX, debug=False)
    assert traced.log.read_bytes() == b"before\n"


@pytest.mark.parametrize(
    "fault",
    [
        "openat:error=ESTALE:when=1",
        "write:error=ESTALE:when=1",
        "write:error=EINTR:when=1",
    ],
)
def test_what_passes_loses_nothing(
    home: Home, traced: Blackbox, fault: str
) -> None:
    traced.log.write_bytes(b"")
    trace = home.path / "trace"
    path = f"--trace-path={traced.log}"
    home.run(
        *strace(trace, path, f"--inject={fault}"),
        *("hg", "root"),
        cwd=traced.repository,
    )
    assert "INJECTED" in trace.read_text()
    assert traced.messages() == [b"root"]
    assert lost(home) == 0


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_files_are_rotated_where_there_are_no_locks(
    home: Home, blackbox: Blackbox, error: str
) -> None:
    home.configure("[blackbox]\nmaxsize = 1\n")
    writer = Writer("unlocked", 5)
    argv = writer.argv(blackbox.repository)
    trace = home.path / "trace"
    home.run(
        *strace(trace, "--trace=flock", f"--inject=flock:error={error}"), *argv
    )
    # The log's and that of the directory of second names.
    assert trace.read_text().count("INJECTED") == 2 * 4
    assert blackbox.messages() == writer.messages()
    assert len(blackbox.files()) == 5
    assert blackbox.unnumbered() == []


def assert_dates_are_those_of_hg(home: Home, version: str, **env: str) -> None:
    repository = home.repository()
    home.configure(
        "[extensions]\nblackbox =\n[blackbox]\nmaxsize = 0\n"
        "[devel]\ndefault-date = 0 0\n"
    )
    python = venv_of(version) / "bin" / "python"
    helper = TESTS / "helpers" / "date_parity.py"
    argv = (str(python), str(helper), str(repository))
    said = home.run(*argv, cwd=None, **env)
    result = re.fullmatch(
        r"(\d+) the same, (\d+) unknown to hg, faults: {}\n", said
    )
    assert result is not None, said
    assert int(result[1]) > 10000
    # What cannot be decoded.
    assert int(result[2]) < 500


def test_dates_are_those_of_hg(home: Home, every_hg: str) -> None:
    assert_dates_are_those_of_hg(home, every_hg)


def test_dates_are_those_of_hg_in_other_surroundings(home: Home) -> None:
    assert_dates_are_those_of_hg(
        home, MAIN_HG, HGENCODING="latin-1", TZ="Asia/Kathmandu"
    )


# Somebody who has Python's whole process speak the user's language, as hg does
# before it shows a menu.
SPEAKS = """\
import locale
import os
import time

locale.setlocale(locale.LC_ALL, '')
march = (2020, 3, 3, 0, 0, 0, 1, 63, 0)
with open(os.path.join(os.environ['OUT'], 'months'), 'a') as fp:
    fp.write(time.strftime('%b\\n', march))
"""


def test_dates_are_read_in_any_language(home: Home) -> None:
    if shutil.which("localedef") is None:
        pytest.skip("there is no localedef to make another language with")
    locales = home.path / "locales"
    locales.mkdir()
    german = "de_DE.UTF-8"
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(locales / german)],
        capture_output=True,
    )
    if not (locales / german).exists():
        pytest.skip(f"there is no German: {made.stderr.decode()}")
    repository = home.repository()
    home.extension("speaks", SPEAKS)
    home.configure(
        "[extensions]\nblackbox =\n[devel]\ndefault-date = 1583193600 0\n"
        "[blackbox]\ndate-format = %a %d %b %Y %H:%M:%S\n"
    )
    languages = {
        "German": {"LC_ALL": german, "LOCPATH": str(locales)},
        "none": {"LC_ALL": "POSIX"},
    }
    for language in languages.values():
        home.run("hg", "root", cwd=repository, **language)
    assert home.read("months").split() == ["Mär", "Mar"]
    day = ["blackbox", "-l", "0", "--event", "commandfinish"]
    day += ["--since", "2020-03-03", "--until", "2020-03-03"]
    for number, language in enumerate(languages.values()):
        lines = home.run("hg", *day, cwd=repository, **language).splitlines()
        ends = [it for it in lines if " exited 0 " in it]
        # Each command is one more, itself not included.
        assert len(ends) == len(languages) + number, lines
        assert all(it.startswith("Tue 03 Mar 2020 00:00:00 ") for it in ends)


def as_user() -> tuple[str, ...]:
    """What makes us an ordinary user, who owns what we have made."""
    if os.geteuid() != 0:
        return ()
    if not can_run([*AS_USER, "true"]):
        pytest.skip("root cannot become an ordinary user here")
    return AS_USER


READ_ONLY = {
    "appended": "echo a > .hg/blackbox.log",
    "missing": "",
    "unwritable": "echo a > .hg/blackbox.log; chmod a-w .hg/blackbox.log",
    "due": "echo a > .hg/blackbox.log",
    "due, two old": "for n in '' .1 .2; do echo a > .hg/blackbox.log$n; done",
    "due, a gap": "for n in '' .2 .3; do echo a > .hg/blackbox.log$n; done",
    "due, full": "for n in '' .1 .2 .3; do echo a > .hg/blackbox.log$n; done",
}


@pytest.mark.parametrize("case", READ_ONLY)
def test_a_read_only_repository_is_told_as_by_stock_hg(
    home: Home, traced: Blackbox, case: str
) -> None:
    user = as_user()
    home.configure("[blackbox]\nmaxfiles = 4\n")
    if case.startswith("due"):
        home.configure("[blackbox]\nmaxsize = 1\n")
    home.run("sh", "-ec", READ_ONLY[case], cwd=traced.repository)
    dot_hg = traced.log.parent
    before = sorted(os.listdir(dot_hg))
    dot_hg.chmod(0o555)

    def run(*options: str) -> Outcome:
        command = ("hg", "identify", *options)
        return outcome(home, traced.repository, *command, wrapper=user)

    # What cannot be rotated grows.
    is_written = case == "appended" or case.startswith("due")
    refusal = b"warning: cannot write to blackbox.log: Permission denied\n"
    try:
        ours = run("--debug")
        assert ours.out.count(refusal) == (0 if is_written else 1)
        assert lost(home) == (0 if is_written else 1)
        stock = run("--debug", *NO_UILOG)
        # Stock hg makes sure that it may trust the number of links, for which
        # it needs another file, and gives up.
        assert stock.out.count(refusal) == 1
        if is_written:
            stock.out = stock.out.replace(refusal, b"")
        assert ours == stock
        assert run() == run(*NO_BLACKBOX)
    finally:
        dot_hg.chmod(0o755)
    assert sorted(os.listdir(dot_hg)) == before
    if is_written:
        assert traced.log.read_bytes().count(b"> identify") == 2


def plant_link(kept: Path, victim: Path) -> None:
    kept.symlink_to(victim)


def plant_anothers(kept: Path, victim: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    kept.mkdir(0o700)
    os.chown(kept, 12345, 12345)


@pytest.mark.parametrize("plant", [plant_link, plant_anothers])
def test_what_others_put_beside_the_log_stays_and_costs_no_line(
    home: Home, traced: Blackbox, plant: Callable[[Path, Path], None]
) -> None:
    user = as_user() if plant is plant_anothers else ()
    home.configure("[blackbox]\nmaxsize = 1\n")
    victim = home.path / "victim"
    victim.mkdir(0o700)
    for number in range(20):
        (victim / f"1-1-1-{number}").write_text(str(number))
    (victim / f"lock-{victim.stat().st_ino}").write_text("")
    plant(traced.kept, victim)

    def state(path: Path) -> list[tuple[str, int, int, int]]:
        status = [(p.name, p.lstat()) for p in (path, *sorted(path.iterdir()))]
        return [(n, s.st_ino, s.st_nlink, s.st_mode) for n, s in status]

    before = state(victim), state(traced.kept)
    for name in ("identify", "root", "branch"):
        done = outcome(home, traced.repository, "hg", name, wrapper=user)
        assert (done.status, done.err) == (0, b"")
    assert (state(victim), state(traced.kept)) == before
    assert traced.messages() == [b"identify", b"root", b"branch"]
    assert len(traced.files()) == 3
    assert lost(home) == 0


def test_what_cannot_be_rotated_grows_and_that_is_reported_once(
    home: Home, traced: Blackbox
) -> None:
    home.configure("[blackbox]\nmaxsize = 1\ntrack = command, commandfinish\n")
    traced.log.write_bytes(b"full\n")
    obstacle = traced.log.with_suffix(".log.1")
    os.mkfifo(obstacle)
    why = b"blackbox.log.1 is in the way: it is not a regular file"
    warning = b"warning: cannot rotate '%s': %s\n"
    warning %= (os.fsencode(traced.log), why)
    done = outcome(home, traced.repository, "hg", "id", "--debug")
    assert (done.out + done.err).count(warning) == 1
    assert (done.out + done.err).count(why) == 1
    done = outcome(home, traced.repository, "hg", "id")
    assert why not in done.out + done.err
    report = outcome(home, traced.repository, "hg", "debuguilog").out
    assert b"fault-log-file: 1" in report, report
    assert lost(home) == 0
    assert obstacle.is_fifo()
    text = traced.log.read_bytes()
    assert text.count(b"> id") == 4
    assert text.startswith(b"full\n")


def test_a_disk_that_is_full_is_told_as_by_stock_hg(
    home: Home, traced: Blackbox
) -> None:
    disk = home.path / "disk"
    disk.mkdir()
    namespace = ("unshare", "--map-root-user", "--mount")
    mount = f"mount -t tmpfs -o size=4k none '{disk}'"
    if not can_run([*namespace, "sh", "-c", mount]):
        pytest.skip("no file system can be mounted here")
    fill = f"head -c 4096 /dev/zero > '{disk}/log'"
    traced.log.unlink(missing_ok=True)
    traced.log.symlink_to(disk / "log")

    def run(*options: str) -> Outcome:
        script = f'{mount} && {fill} && hg identify "$@"'
        argv = ("sh", "-ec", script, "sh", *options)
        return outcome(home, traced.repository, *argv, wrapper=namespace)

    ours = run("--debug")
    full = b"warning: cannot write to blackbox.log: No space left on device\n"
    assert ours.out.startswith(full)
    assert lost(home) == 1
    assert ours == run("--debug", *NO_UILOG)
    assert run() == run(*NO_BLACKBOX)


def test_a_limit_on_file_sizes_is_told_as_by_stock_hg(
    home: Home, traced: Blackbox
) -> None:
    traced.log.write_bytes(b"x" * 9000 + b"\n")

    def run(*options: str) -> Outcome:
        # 4096 bytes: the journal is to fit.
        argv = ("sh", "-ec", 'ulimit -f 8; hg identify "$@"', "sh", *options)
        return outcome(home, traced.repository, *argv)

    ours = run("--debug")
    assert ours.out.startswith(
        b"warning: cannot write to blackbox.log: File too large\n"
    )
    assert lost(home) == 1
    assert ours == run("--debug", *NO_UILOG)
    assert run() == run(*NO_BLACKBOX)


def test_a_command_server_logs_every_command(home: Home) -> None:
    repository = home.repository()
    home.configure(
        "[extensions]\nblackbox =\n"
        "[blackbox]\ntrack = commandfinish\nmaxsize = 500\nmaxfiles = 1000\n"
    )
    blackbox = Blackbox(repository)
    with home.serving(repository) as server:
        pid = server.server.pid
        server.rawcommand([b"root"])
        open_files = processes.descriptors(pid)
        for _ in range(100):
            server.rawcommand([b"root"])
        assert processes.descriptors(pid) == open_files
    finished = b"root exited 0 after N seconds"
    assert blackbox.messages().count(finished) == 101
    assert len(blackbox.files()) > 20
    assert blackbox.unnumbered() == []
    assert lost(home) == 0


def test_workers_log_as_themselves(home: Home) -> None:
    repository = home.repository()
    # Nothing else: what makes the repository is logged, too.
    home.configure(
        "[extensions]\nblackbox =\n[blackbox]\ntrack = worker\nmaxsize = 1\n"
    )
    home.work(repository, "repo.ui.log(b'worker', b'worker\\n')")
    blackbox = Blackbox(repository)
    assert blackbox.messages() == [b"worker"] * 4
    lines = b"".join(path.read_bytes() for path in blackbox.files())
    assert len(set(re.findall(rb" \((\d+)\)> ", lines))) == 4
