"""Runs a .t file under one Mercurial's own run-tests.py."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.common import (
    CACHE,
    Finished,
    Options,
    Result,
    clean_environ,
    conclude,
    missing_for,
    run,
    settle,
    venv_of,
)

# Seconds. run-tests.py ends a .t file that takes longer than T_TIMEOUT, but
# goes on waiting for what that has started; the second limit ends both. A file
# can be several tests.
T_TIMEOUT = 600
T_FILE_TIMEOUT = 2000


@dataclass(frozen=True)
class Limits:
    """Seconds for each test, and for a file of them."""

    test: int = T_TIMEOUT
    file: int = T_FILE_TIMEOUT


def weight_of(path: Path) -> float:
    """How long a .t file takes, compared with others: by its size, as
    run-tests.py has it."""
    return path.stat().st_size if path.exists() else 0


def run_tests(
    options: Options,
    result: Result,
    version: str,
    path: Path,
    args: Sequence[str],
    wrapper: Sequence[str] = (),
    *,
    venv: Path | None = None,
    limits: Limits = Limits(),
    scratch: Path | None = None,
) -> tuple[Finished, dict[str, str]]:
    """Runs a .t file under one Mercurial's run-tests.py.

    Returns as well, by name, what those tests in it printed that did not print
    what they expect.
    """
    venv = venv_of(version) if venv is None else venv
    python = venv / "bin" / "python"
    # Short: below it are sockets, whose path may have 107 bytes.
    if scratch is None:
        scratch = Path(tempfile.mkdtemp(prefix="uilog."))
    scratch.mkdir(exist_ok=True)
    try:
        argv = [
            *wrapper,
            str(python),
            str(CACHE / f"mercurial-{version}" / "tests" / "run-tests.py"),
            f"--with-hg={venv / 'bin' / 'hg'}",
            "--jobs=1",
            f"--timeout={limits.test}",
            # Where it puts test-x.t.err and its times: not into our tree.
            f"--outputdir={scratch}",
            f"--tmpdir={scratch / 't'}",
            "--color=never",
            *args,
            path.name,
        ]
        done = run(
            argv,
            cwd=path.parent,
            env=clean_environ(),
            timeout=limits.file,
            verbose=options.verbose,
            result=result,
        )
        settle(scratch, result)
        printed = {
            err.name[: -len(".err")]: err.read_text("utf-8", "replace")
            for err in scratch.glob("*.err")
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


def run_t_file(
    options: Options,
    version: str,
    path: Path,
    args: Sequence[str],
    wrapper: Sequence[str],
    result: Result,
    *,
    venv: Path | None = None,
) -> None:
    """Runs a .t file that has to pass."""
    missing = missing_for(version, venv)
    if missing is not None:
        result.fail(missing)
        return
    done, _printed = run_tests(
        options, result, version, path, args, wrapper, venv=venv
    )
    ran = Ran.said_in(done.output)
    if ran is not None:
        result.failed += ran.failed
        result.passed += ran.run - ran.failed
        result.left_out += ran.skipped.items()
        if len(ran.skipped) != ran.skipped_count:
            result.fail(
                f"{path.name}: {ran.skipped_count} tests skipped, "
                f"{len(ran.skipped)} of them named"
            )
    # One file can be several tests, but never none.
    some = ran.run + ran.skipped_count if ran is not None else 0
    if done.ended_well() and not some:
        result.fail(f"run-tests.py has not run {path.name}")
    conclude(result, done, options)
