"""Runs every test suite of uilog and adds them up.

Responsible for starting each suite in its own way, reading its result and
telling the truth about the sum: a suite that does not start, that ends badly
without a failed test, or that runs no test counts as one failure, and what was
left out is said with its reason. The last line is `N passed, N failed`.

Must not know what any test checks. Environments, wheels and Mercurial's
sources are made by the Makefile; `make test` starts this file with the Python
of .venv, and it needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable
from xml.etree import ElementTree

# Resolved, because run-tests.py compares the Python on the PATH with its own
# by name: through a symlink it would miss, and $PYTHON would lose its venv.
ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
CACHE = ROOT / ".cache"

# The Mercurial in .venv comes last: if one of the older ones breaks, its
# report is not the one at the end of the screen.
MAIN_HG = "7.2.4"
HG_VERSIONS = ("6.3.3", "6.9.5", "7.0.3", MAIN_HG)

# Mercurial 6.3.3 reaches into C structures that Python 3.12 has hidden.
FIRST_PYTHON_WITHOUT: dict[str, tuple[int, int]] = {"6.3.3": (3, 12)}

JOBS = 2
# Seconds. run-tests.py ends a .t file that takes longer than T_TIMEOUT, but
# goes on waiting for what that has started; the limit of the suite ends both.
T_TIMEOUT = 180
T_SUITE_TIMEOUT = 900
PYTEST_TIMEOUT = 1200
# With the compilation of everything.
CARGO_TIMEOUT = 1800
# For what tests leave behind to end by itself.
SETTLE_TIMEOUT = 10
# What a suite gets between SIGTERM and SIGKILL to clean up.
TERM_GRACE = 10

ENABLE = ("--extra-config-opt", "extensions.uilog=")

# Set when we have been told to end, and what we have started has to.
ENDING = threading.Event()


@dataclass(frozen=True)
class UpstreamTest:
    """A test of Mercurial's own that must pass unmodified."""

    name: str
    versions: tuple[str, ...] = HG_VERSIONS
    # Versions of which only `make soak` has the time.
    soak: tuple[str, ...] = ()
    chg: bool = False
    # Whether it sleeps for a second and expects the work to be done.
    alone: bool = False
    # Whether root may do too much for it.
    as_user: bool = False
    # Whether it need not pass, but print what it prints without the extension:
    # for those that do not pass everywhere without it, or not as root.
    compared: bool = False


OLDER_HGS = tuple(v for v in HG_VERSIONS if v != MAIN_HG)

# One line for each.
UPSTREAM = (
    UpstreamTest("test-logtoprocess.t", alone=True),
    UpstreamTest(
        "test-logtoprocess.t", versions=(MAIN_HG,), chg=True, alone=True
    ),
    UpstreamTest("test-push-race.t", soak=OLDER_HGS),
    UpstreamTest("test-ssh.t"),
    UpstreamTest("test-ssh-bundle1.t"),
    UpstreamTest("test-ssh-proto.t"),
    UpstreamTest("test-ssh-clone-r.t"),
    UpstreamTest("test-ssh-batch.t"),
    UpstreamTest("test-ssh-repoerror.t", as_user=True),
    UpstreamTest("test-devel-warnings.t"),
    UpstreamTest("test-blackbox.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-blackbox.t", compared=True, as_user=True),
    UpstreamTest(
        "test-blackbox.t", versions=(MAIN_HG,), compared=True, chg=True
    ),
    UpstreamTest("test-hook.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-tags.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest("test-setdiscovery.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest("test-obsolete-tag-cache.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-commandserver.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-profile.t", compared=True, soak=OLDER_HGS),
)

# What makes root an ordinary user, who still owns what root does.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@dataclass
class Result:
    """What one suite came to."""

    suite: str
    passed: int = 0
    failed: int = 0
    # (test, reason)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def fail(self, why: str) -> None:
        """Counts a failure that no test of the suite accounts for."""
        print(f"FAILED: {self.suite}: {why}", flush=True)
        self.failed += 1


@dataclass(frozen=True)
class Options:
    """The command line, resolved."""

    only: frozenset[str]
    versions: tuple[str, ...]
    pattern: str | None
    soak: bool
    verbose: bool


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


def clean_environ(venv: Path | None) -> dict[str, str]:
    """Our environment without what would change how hg or uilog behave."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name == "UILOG_TEST_RHG"
        or (
            not name.startswith(("HG", "CHG", "UILOG", "PYTHON", "MAKE"))
            and name not in ("MFLAGS", "RUST_LOG", "VIRTUAL_ENV")
        )
    }
    if venv is not None:
        env["PATH"] = f"{venv / 'bin'}{os.pathsep}{env.get('PATH', '')}"
    return env


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: dict[str, str],
    timeout: float,
    verbose: bool,
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
                show_session(proc.pid)
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


def show_session(session: int) -> None:
    """Prints what still runs in a session: somewhere in there it hangs."""
    if shutil.which("ps") is not None:
        argv = ["ps", "-o", "pid,ppid,stat,etime,args", "-s", str(session)]
        sys.stdout.flush()
        subprocess.run(argv, check=False)


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


def settle(directory: Path) -> None:
    """Waits for what outlives the tests that have run in a directory.

    A chg server ends a second after its socket is gone, and logs that; it
    would bring back a directory that has been removed under it.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while users := users_of(directory):
        if time.monotonic() > deadline:
            for user in users:
                print(f"STILL RUNNING after the tests: {user}")
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


def run_cargo(options: Options, result: Result) -> None:
    """Unit, integration and documentation tests of the workspace."""
    if shutil.which("cargo") is None:
        result.fail("there is no cargo")
        return
    argv = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast"]
    if options.pattern is not None:
        argv.append(options.pattern)
    done = run(
        argv,
        cwd=ROOT,
        env=clean_environ(None),
        timeout=CARGO_TIMEOUT,
        verbose=options.verbose,
    )
    summary = re.compile(
        r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;",
        re.MULTILINE,
    )
    ignored = 0
    for match in summary.finditer(done.output):
        result.passed += int(match[1])
        result.failed += int(match[2])
        ignored += int(match[3])
    named = re.findall(
        r"^test (.+) \.\.\. ignored(?:, (.*))?$", done.output, re.MULTILINE
    )
    for name, reason in named:
        result.left_out.append((name, reason or "it is marked #[ignore]"))
    if ignored > len(named):
        # A test that writes to the terminal itself can tear such a line.
        rest = ignored - len(named)
        result.left_out.append((f"{rest} more", "they are marked #[ignore]"))
    conclude(result, done, options)


def run_pytest(options: Options, result: Result) -> None:
    """tests/test_*.py"""
    venv = ROOT / ".venv"
    with tempfile.TemporaryDirectory(prefix="uilog-pytest.") as tmp:
        report = Path(tmp) / "report.xml"
        argv = [
            str(venv / "bin" / "python"),
            "-m",
            "pytest",
            f"--junit-xml={report}",
            f"--basetemp={Path(tmp) / 'tests'}",
            f"--numprocesses={JOBS}",
            "-v" if options.verbose else "-q",
        ]
        if options.pattern is not None:
            argv += ["-k", options.pattern]
        done = run(
            argv,
            cwd=ROOT,
            env=clean_environ(venv),
            timeout=PYTEST_TIMEOUT,
            verbose=options.verbose,
        )
        try:
            cases = list(ElementTree.parse(report).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            cases = []
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skipped is not None:
            reason = skipped.get("message") or "it gives no reason"
            if skipped.get("type") == "pytest.xfail":
                reason = f"it is expected to fail: {reason}"
            result.left_out.append((name, reason))
        else:
            result.passed += 1
    # pytest has a status of its own for "no test": that is ours to judge.
    if done.status == 5 and not done.timed_out:
        done = Finished(0, done.output, False)
    conclude(result, done, options)


def conclude(result: Result, done: Finished, options: Options) -> None:
    """Holds a suite's count against how its process ended."""
    if not options.verbose and (result.failed or not done.ended_well()):
        print(done.output, flush=True)
    if (not done.ended_well() and not result.failed) or done.timed_out:
        result.fail(done.describe())


def venv_of(version: str) -> Path:
    return ROOT / ".venv" if version == MAIN_HG else ROOT / ".venvs" / version


def missing_for(version: str) -> str | None:
    """What make has not yet built for this Mercurial, if anything."""
    for path in (
        venv_of(version) / "bin" / "hg",
        CACHE / f"mercurial-{version}" / "tests" / "run-tests.py",
    ):
        if not path.exists():
            return f"{path.relative_to(ROOT)} is missing: use `make test`"
    return None


def run_tests(
    options: Options,
    version: str,
    directory: Path,
    names: Sequence[str],
    args: Sequence[str],
    jobs: int,
    wrapper: Sequence[str] = (),
) -> tuple[Finished, dict[str, str]]:
    """Runs .t files of one directory under one Mercurial's run-tests.py.

    Returns as well, by name, what those tests printed that did not print what
    they expect.
    """
    venv = venv_of(version)
    python = venv / "bin" / "python"
    # Short: below it are sockets, whose path may have 107 bytes.
    scratch = Path(tempfile.mkdtemp(prefix="uilog."))
    try:
        argv = [
            *wrapper,
            str(python),
            str(CACHE / f"mercurial-{version}" / "tests" / "run-tests.py"),
            f"--with-hg={venv / 'bin' / 'hg'}",
            f"--jobs={jobs}",
            f"--timeout={T_TIMEOUT}",
            # Where it puts test-x.t.err and its times: not into our tree.
            f"--outputdir={scratch}",
            f"--tmpdir={scratch / 't'}",
            "--color=never",
            *args,
            *names,
        ]
        done = run(
            argv,
            cwd=directory,
            env=clean_environ(None),
            timeout=T_SUITE_TIMEOUT,
            verbose=options.verbose,
        )
        settle(scratch)
        printed = {
            path.name[: -len(".err")]: path.read_text("utf-8", "replace")
            for path in scratch.glob("*.err")
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return done, printed


@dataclass(frozen=True)
class Ran:
    """What run-tests.py says at its end."""

    run: int
    failed: int
    skipped: dict[str, str]
    # Of the skipped ones: all of them must have been named.
    skipped_count: int

    @classmethod
    def said_in(cls, output: str) -> Ran | None:
        ran = re.search(
            r"^# Ran (\d+) tests, (\d+) skipped, (\d+) failed"
            r"(?:, (\d+) errors)?\.$",
            output,
            re.MULTILINE,
        )
        if ran is None:
            return None
        named = re.findall(r"^Skipped (\S+): (.*)$", output, re.MULTILINE)
        failed = int(ran[3]) + int(ran[4] or 0)
        return cls(int(ran[1]), failed, dict(named), int(ran[2]))


def run_t_files(
    options: Options,
    result: Result,
    version: str,
    directory: Path,
    names: Sequence[str],
    args: Sequence[str],
    jobs: int,
    wrapper: Sequence[str] = (),
) -> None:
    """Runs .t files that have to pass."""
    missing = missing_for(version)
    if missing is not None:
        result.fail(missing)
        return
    done, _printed = run_tests(
        options, version, directory, names, args, jobs, wrapper
    )
    ran = Ran.said_in(done.output)
    if ran is not None:
        result.failed += ran.failed
        result.passed += ran.run - ran.failed
        result.left_out += ran.skipped.items()
        if len(ran.skipped) != ran.skipped_count:
            result.fail(
                f"{ran.skipped_count} tests skipped, "
                f"{len(ran.skipped)} of them named"
            )
    # One file can be several tests, but never none.
    some = ran.run + ran.skipped_count if ran is not None else 0
    if done.ended_well() and some < len(names):
        result.fail("run-tests.py has not run every file")
    conclude(result, done, options)


@dataclass(frozen=True)
class Compared:
    """A test of Mercurial's own, in one of the ways to run it."""

    name: str
    args: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()


@dataclass(frozen=True)
class Printed:
    """What a test of Mercurial's own has printed: nothing, if as expected."""

    # By test, of which one file can hold several.
    unexpected: dict[str, str]
    skipped: dict[str, str]
    # Why it is not known, if so.
    problem: str | None = None


def compare(
    options: Options,
    result: Result,
    version: str,
    tests: Sequence[Compared],
) -> None:
    """Runs tests of Mercurial's with and without the extension, which must
    make no difference to what they print."""
    missing = missing_for(version)
    if missing is not None:
        result.fail(missing)
        return
    with ThreadPoolExecutor(JOBS) as pool:
        try:
            run_pair = partial(printed_by_both, options, version)
            pairs = list(pool.map(run_pair, tests))
        except BaseException:
            ENDING.set()
            raise
    for test, (stock, ours) in zip(tests, pairs):
        problem = stock.problem or ours.problem
        if problem is not None:
            result.fail(f"{test.name}: {problem}")
        elif stock != ours:
            result.fail(f"{test.name} prints something else")
            show_difference(stock, ours)
        elif ours.skipped:
            result.left_out += ours.skipped.items()
        else:
            result.passed += 1


def printed_by_both(
    options: Options, version: str, test: Compared
) -> tuple[Printed, Printed]:
    """What it prints without the extension, and with it."""
    stock = printed_by_stock(options, version, test)
    ours = printed_by(options, version, test, ENABLE)
    if stock != ours:
        # Mercurial's own output is not the same each time, such as where two
        # streams of a server meet.
        stock = printed_by(options, version, test)
        ours = printed_by(options, version, test, ENABLE)
    return stock, ours


def printed_by_stock(options: Options, version: str, test: Compared) -> Printed:
    """What it prints without the extension: run once, and remembered."""
    # Who runs what with what, and Mercurial itself, by its hash.
    pin = TESTS / "requirements" / f"hg-{version}.txt"
    source = CACHE / f"mercurial-{version}" / "tests" / test.name
    how = repr((sys.version, os.geteuid(), test.wrapper, test.args))
    key = hashlib.sha256(
        how.encode() + pin.read_bytes() + source.read_bytes()
    ).hexdigest()
    path = CACHE / f"upstream-{version}" / f"{test.name}-{key[:16]}.json"
    if path.exists():
        return Printed(**json.loads(path.read_text()))
    printed = printed_by(options, version, test)
    if printed.problem is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(printed)))
        new.replace(path)
    return printed


def printed_by(
    options: Options, version: str, test: Compared, args: Sequence[str] = ()
) -> Printed:
    """What it prints with these additional options of run-tests.py."""
    directory = CACHE / f"mercurial-{version}" / "tests"
    args = [*test.args, *args]
    done, printed = run_tests(
        options, version, directory, [test.name], args, 1, test.wrapper
    )
    ran = Ran.said_in(done.output)
    problem = None
    if ran is None or done.timed_out:
        problem = done.describe()
    elif re.search(r"^Failed \S+: timed out$", done.output, re.MULTILINE):
        problem = "not at its end within its time limit"
    elif ran.failed != len(printed) or not (ran.run or ran.skipped_count):
        problem = "it is not known what it has printed"
    if problem is not None and not options.verbose:
        print(done.output, flush=True)
    return Printed(printed, ran.skipped if ran is not None else {}, problem)


def show_difference(stock: Printed, ours: Printed) -> None:
    """Prints where two outputs differ."""
    for test in sorted(stock.unexpected.keys() | ours.unexpected.keys()):
        before, after = (
            printed.unexpected.get(test, "(as expected)").splitlines()
            for printed in (stock, ours)
        )
        names = (f"{test} without uilog", f"{test} with it")
        for line in difflib.unified_diff(before, after, *names, lineterm=""):
            print(line)
    if stock.skipped != ours.skipped:
        print(f"skipped: {stock.skipped} without uilog, {ours.skipped} with it")
    sys.stdout.flush()


def run_ours(options: Options, result: Result, version: str) -> None:
    """tests/test-*.t under one Mercurial."""
    names = sorted(
        path.name
        for path in TESTS.glob("test-*.t")
        if options.pattern is None or options.pattern in path.name
    )
    if not names:
        return
    # Their own default is $TESTDIR/dummyssh, and $TESTDIR is our directory.
    upstream_tests = CACHE / f"mercurial-{version}" / "tests"
    python = venv_of(version) / "bin" / "python"
    ssh = f'ui.ssh="{python}" "{upstream_tests / "dummyssh"}"'
    args = ["--extra-config-opt", ssh]
    run_t_files(options, result, version, TESTS, names, args, JOBS)


def run_upstream(options: Options, result: Result, version: str) -> None:
    """Mercurial's own tests, with the extension on, under one Mercurial."""
    directory = CACHE / f"mercurial-{version}" / "tests"
    together = []
    compared = []
    for test in UPSTREAM:
        if version not in test.versions:
            continue
        if options.pattern is not None and options.pattern not in test.name:
            continue
        if version in test.soak and not options.soak:
            result.left_out.append((test.name, "it is slow: use `make soak`"))
            continue
        args: tuple[str, ...] = ()
        if test.chg:
            chg = CACHE / f"chg-{version}" / "chg"
            if not chg.exists():
                if shutil.which("cc") is None:
                    why = "there is no C compiler to build chg"
                    result.left_out.append((f"{test.name} with chg", why))
                else:
                    result.fail("chg is missing: use `make test`")
                continue
            args = (f"--with-chg={chg}",)
        wrapper: tuple[str, ...] = ()
        if test.as_user and os.geteuid() == 0:
            if not can_run([*AS_USER, "true"]):
                why = "root cannot become an ordinary user here"
                result.left_out.append((test.name, why))
                continue
            wrapper = AS_USER
        if test.compared:
            compared.append(Compared(test.name, args, wrapper))
        elif test.alone or wrapper:
            run_t_files(
                options,
                result,
                version,
                directory,
                [test.name],
                (*args, *ENABLE),
                1,
                wrapper,
            )
        else:
            together.append(test.name)
    if together:
        run_t_files(options, result, version, directory, together, ENABLE, JOBS)
    if compared:
        # For an ordinary user some of them are the same.
        compare(options, result, version, list(dict.fromkeys(compared)))


def can_run(argv: Sequence[str]) -> bool:
    """Whether a program is there, and succeeds."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return done.returncode == 0


Run = Callable[[Options, Result], None]
RunWithHg = Callable[[Options, Result, str], None]

WITHOUT_HG: dict[str, Run] = {"cargo": run_cargo, "pytest": run_pytest}
WITH_HG: dict[str, RunWithHg] = {"t": run_ours, "upstream": run_upstream}
SUITES = (*WITHOUT_HG, *WITH_HG)


def run_suites(options: Options) -> Iterator[Result]:
    """Runs what was asked for, one suite after the other."""
    for suite, body in WITHOUT_HG.items():
        if suite in options.only:
            yield run_suite(options, Result(suite), body)
    for suite, with_hg in WITH_HG.items():
        if suite not in options.only:
            continue
        for version in options.versions:
            yield run_suite(
                options,
                Result(f"{suite} hg-{version}"),
                partial(run_with_hg, with_hg, version),
            )


def run_with_hg(
    with_hg: RunWithHg, version: str, options: Options, result: Result
) -> None:
    """Runs a suite under one Mercurial, if that one can be had at all."""
    limit = FIRST_PYTHON_WITHOUT.get(version)
    if limit is not None and sys.version_info >= limit:
        python = platform.python_version()
        why = f"Mercurial {version} does not build for Python {python}"
        result.left_out.append(("all of it", why))
    else:
        with_hg(options, result, version)


def run_suite(options: Options, result: Result, body: Run) -> Result:
    """Runs one suite between its headline and its own count."""
    print(f"\n=== {result.suite}", flush=True)
    start = time.monotonic()
    try:
        body(options, result)
    except OSError as exc:
        result.fail(f"cannot be started: {exc}")
    result.seconds = time.monotonic() - start
    nothing = not (result.passed or result.failed or result.left_out)
    if nothing and options.pattern is None:
        result.fail("it has no test")
    for name, why in result.left_out:
        print(f"LEFT OUT: {name} because {why}")
    print(
        f"{result.suite}: {result.passed} passed, {result.failed} failed "
        f"in {result.seconds:.1f} s",
        flush=True,
    )
    return result


def report(results: Sequence[Result]) -> int:
    """Prints the table and the sum; returns the exit status."""
    width = max(len(result.suite) for result in results)
    print(f"\n{'suite':{width}}  passed  failed  left out  seconds")
    for result in results:
        print(
            f"{result.suite:{width}}  {result.passed:6}  {result.failed:6}"
            f"  {len(result.left_out):8}  {result.seconds:7.1f}"
        )
    print()
    for result in results:
        for name, why in result.left_out:
            print(f"LEFT OUT: {result.suite}: {name} because {why}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    if not passed and not failed:
        print("FAILED: not one test was run")
        failed = 1
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def parse_args(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="tests/run.py",
        description="Runs the test suites of uilog; start it by `make test`, "
        "which builds what it needs: make test ARGS='--only t --hg 7.2.4'",
        epilog="Suites: cargo (cargo test), pytest (tests/test_*.py), "
        "t (tests/test-*.t under each Mercurial), upstream (Mercurial's own "
        "tests with the extension on, under each Mercurial).",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=SUITES,
        metavar="SUITE",
        help="run this suite only (repeatable): " + ", ".join(SUITES),
    )
    parser.add_argument(
        "--hg",
        action="append",
        choices=HG_VERSIONS,
        metavar="VERSION",
        help="run t and upstream under this Mercurial only (repeatable): "
        + ", ".join(HG_VERSIONS),
    )
    parser.add_argument(
        "-k",
        metavar="PATTERN",
        dest="pattern",
        help="run only tests whose name matches: a filter of cargo test, an "
        "expression for pytest -k, a part of a .t file's name",
    )
    parser.add_argument(
        "--soak",
        action="store_true",
        help="run what is too slow for every day as well",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show all output as it comes, not only that of failed suites",
    )
    args = parser.parse_args(argv)
    return Options(
        only=frozenset(args.only or SUITES),
        versions=tuple(
            v for v in HG_VERSIONS if args.hg is None or v in args.hg
        ),
        pattern=args.pattern,
        soak=args.soak,
        verbose=args.verbose,
    )


def main(argv: Sequence[str]) -> int:
    options = parse_args(argv)
    # Told to end, we end what we have started: see run().
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda got, _frame: sys.exit(128 + got))
    return report(list(run_suites(options)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
