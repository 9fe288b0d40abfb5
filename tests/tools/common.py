"""What every suite is made of: parts, the processes that these run, and a count
of what came out.

Must not know any suite.
"""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

# Resolved, because run-tests.py compares the Python on the PATH with its own
# by name: through a symlink it would miss, and $PYTHON would lose its venv.
ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "tests"
CACHE = ROOT / ".cache"

# The newest comes last: if one of the older ones breaks, its report is not the
# one at the end of the screen.
MAIN_HG = "7.2.4"
HG_VERSIONS = ("6.3.3", "6.9.5", "7.0.3", MAIN_HG)
# The last release of each minor version since the oldest: those above and the
# others, with which only the contract is run (versions.py).
MINOR_HGS = (
    "6.3.3",
    "6.4.5",
    "6.5.3",
    "6.6.3",
    "6.7.4",
    "6.8.2",
    "6.9.5",
    "7.0.3",
    "7.1.2",
    MAIN_HG,
)

# Mercurial 6.3.3 reaches into C structures that Python 3.12 has hidden.
FIRST_PYTHON_WITHOUT: dict[str, tuple[int, int]] = {"6.3.3": (3, 12)}

# How many parts run at a time. Two for each processor: tests wait as well.
JOBS = 2 * max(2, os.cpu_count() or 1)
# Seconds, for what tests leave behind to end by itself.
SETTLE_TIMEOUT = 10
# What a suite gets between SIGTERM and SIGKILL to clean up.
TERM_GRACE = 10

# Set when we have been told to end, and what we have started has to.
ENDING = threading.Event()


@dataclass
class Result:
    """What a suite, or a part of one, came to."""

    suite: str
    passed: int = 0
    failed: int = 0
    # (test, reason)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    # What there is to be read of it.
    said: list[str] = field(default_factory=list)
    # Of the processes, added up.
    seconds: float = 0.0
    # (seconds, test): of each test that is timed by itself.
    timed: list[tuple[float, str]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def fail(self, why: str) -> None:
        """Counts a failure that no test of the suite accounts for."""
        self.say(f"FAILED: {self.suite}: {why}")
        self.failed += 1

    def add(self, part: Result) -> None:
        """Counts what a part of this suite came to."""
        self.passed += part.passed
        self.failed += part.failed
        self.left_out += part.left_out
        self.said += part.said
        self.seconds += part.seconds
        self.timed += part.timed


class When(enum.Enum):
    """When a part is run."""

    # Before all others, one after the other.
    FIRST = enum.auto()
    BESIDE_OTHERS = enum.auto()
    # After all others, one after the other.
    LAST = enum.auto()


@dataclass(frozen=True)
class Part:
    """What a suite has run as one: it writes down what it comes to."""

    run: Callable[[Result], object]
    # How long it takes, compared with others: the longest begin first.
    weight: float
    when: When = When.BESIDE_OTHERS
    # What it is shown as among the slowest tests; a part that is many tests
    # times them itself.
    name: str | None = None


class Tier(enum.IntEnum):
    """How much is run; each tier includes the one before (tests/README.md)."""

    # `make test`: each point once, with each change.
    TEST = enum.auto()
    # `make test-all`: each point under each Mercurial, before a release.
    ALL = enum.auto()
    # `make soak`: what takes minutes by itself.
    SOAK = enum.auto()

    @property
    def command(self) -> str:
        """What runs it."""
        return {self.TEST: "make test", self.ALL: "make test-all"}.get(
            self, "make soak"
        )


@dataclass(frozen=True)
class Options:
    """The command line, resolved."""

    only: frozenset[str]
    versions: tuple[str, ...]
    pattern: str | None
    tier: Tier
    verbose: bool

    def leaves_out(self, tier: Tier) -> str | None:
        """Why a test of this tier is not run, if so."""
        if tier <= self.tier:
            return None
        return f"it belongs to `{tier.command}`"


@dataclass(frozen=True)
class Finished:
    """A process that has ended, and what it wrote."""

    status: int
    output: str
    timed_out: bool

    def ended_well(self) -> bool:
        return self.status == 0 and not self.timed_out

    def describe(self) -> str:
        if self.timed_out:
            return "not at its end within its time limit"
        if self.status < 0:
            return f"ended by signal {-self.status}"
        return f"exit status {self.status}"


def clean_environ(*venvs: Path) -> dict[str, str]:
    """Our environment without what would change how hg or uilog behave; the
    programs of these virtual environments come first, in this order."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name == "UILOG_TEST_RHG"
        or (
            not name.startswith(("HG", "CHG", "UILOG", "PYTHON", "MAKE"))
            and name not in ("MFLAGS", "RUST_LOG", "VIRTUAL_ENV")
        )
    }
    for venv in reversed(venvs):
        env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    return env


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: dict[str, str],
    timeout: float,
    verbose: bool,
    result: Result,
) -> Finished:
    """Runs a process and reads what it wrote.

    Through a file and not a pipe: a process that a test leaves behind would
    hold the pipe open, and we would wait for it.
    """
    if verbose:
        print(f"+ {' '.join(argv)}", flush=True)
    with tempfile.TemporaryFile() as out:
        proc = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        shown = 0
        deadline = time.monotonic() + timeout
        timed_out = False
        try:
            while True:
                try:
                    proc.wait(0.2)
                except subprocess.TimeoutExpired:
                    timed_out = time.monotonic() > deadline
                if verbose:
                    shown = show_from(out.fileno(), shown)
                if proc.returncode is not None or timed_out or ENDING.is_set():
                    break
            if timed_out:
                result.say(processes_of_session(proc.pid))
        finally:
            if proc.returncode is None:
                stop_group(proc)
        if verbose:
            show_from(out.fileno(), shown)
        out.seek(0)
        output = out.read().decode("utf-8", "replace")
    return Finished(proc.returncode, output, timed_out)


def show_from(fd: int, offset: int) -> int:
    """Prints what a file has gained; returns the new offset.

    pread, because the file position is the child's as well.
    """
    while data := os.pread(fd, 1 << 16, offset):
        offset += len(data)
        sys.stdout.write(data.decode("utf-8", "replace"))
    sys.stdout.flush()
    return offset


def processes_of_session(session: int) -> str:
    """What still runs in a session: somewhere in there it hangs."""
    if shutil.which("ps") is None:
        return ""
    argv = ["ps", "-o", "pid,ppid,stat,etime,args", "-s", str(session)]
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True)
    return done.stdout


def users_of(directory: Path) -> list[str]:
    """The processes whose HOME is below a directory, where /proc tells."""
    needle = f"\0HOME={directory}/".encode()
    users = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = b"\0" + (entry / "environ").read_bytes()
            argv = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if needle in environ:
            words = argv.decode("utf-8", "replace").split("\0")
            users.append(f"{entry.name} {' '.join(words)}")
    return users


def settle(directory: Path, result: Result) -> None:
    """Waits for what outlives the tests that have run in a directory.

    A chg server ends a second after its socket is gone, and logs that; it
    would bring back a directory that has been removed under it.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while users := users_of(directory):
        if time.monotonic() > deadline:
            for user in users:
                result.say(f"STILL RUNNING after the tests: {user}")
            break
        time.sleep(0.1)


def stop_group(proc: subprocess.Popen[bytes]) -> None:
    """Ends a process that we have started, and its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(proc.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            proc.wait(TERM_GRACE)
        # The group may outlive its leader.
        os.killpg(proc.pid, signal.SIGKILL)
    proc.wait()


def conclude(result: Result, done: Finished, options: Options) -> None:
    """Holds a suite's count against how its process ended."""
    if not options.verbose and (result.failed or not done.ended_well()):
        result.say(done.output)
    if (not done.ended_well() and not result.failed) or done.timed_out:
        result.fail(done.describe())


def venv_of(version: str) -> Path:
    """Where a Mercurial is installed, with uilog as it is built for tests."""
    return ROOT / ".venvs" / version


def missing_for(version: str, venv: Path | None = None) -> str | None:
    """What make has not yet built for this Mercurial, if anything."""
    for path in (
        (venv or venv_of(version)) / "bin" / "hg",
        CACHE / f"mercurial-{version}" / "tests" / "run-tests.py",
    ):
        if not path.exists():
            make = "make test" if venv is None else "make test-versions"
            return f"{path.relative_to(ROOT)} is missing: use `{make}`"
    return None
