"""Where measurements happen: directories, environments, child processes.

Responsible for giving uilog and stock hg the same environment, and for a
quiet machine between two measurements. Must not know what is measured.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HG = ROOT / ".venv" / "bin" / "hg"
PYTHON = ROOT / ".venv" / "bin" / "python"

# The Mercurial whose rhg is measured: the one of .venv.
RHG_VERSION = "7.2.4"
RHG_SOURCES = ROOT / ".cache" / f"mercurial-{RHG_VERSION}" / "rust"
RHG_BUILT = ROOT / ".cache" / f"rhg-{RHG_VERSION}"
# An rhg that is there already.
RHG_VARIABLE = "UILOG_BENCH_RHG"

PR_SET_CHILD_SUBREAPER = 36

MB = 1 << 20
GB = 1 << 30

# Who is compared.
NONE = "no logging"
OURS = "uilog"
STOCK = "stock logtoprocess"
EXTENSIONS = {NONE: "", OURS: "uilog =", STOCK: "logtoprocess ="}

# Each script appends one byte, so that the file's size counts the scripts
# that have run: `echo` is the shell's own, and O_APPEND loses none.
MARK = 'echo >>"$BENCH_MARKS"'

# Seconds. What has not ended by then never will.
DEADLINE = 300
# Seconds from a script's last act until its process and its shells are gone.
SETTLE = 0.005

# What would change what is measured: hg's own switches, an hg that runs us,
# and Python's bytecode, which every installation has.
UNWANTED = ("HG", "CHG", "PYTHON", "UILOG")


class Lab:
    """one benchmark run's temporary directory and its environment"""

    def __init__(
        self,
        directory: Path,
        runtime: Path,
        quick: bool,
        before: Path | None = None,
    ) -> None:
        self.directory = directory
        self.quick = quick
        # A program to compare ours with.
        self.before = before and before.resolve()
        self.marks = directory / "marks"
        self.marks.write_bytes(b"")
        # hg knows itself by the name of the file that Python was given:
        # under any other name it would search the PATH in the first event.
        self._probe = directory / "hg"
        source = Path(__file__).resolve().parent / "probe.py"
        shutil.copyfile(source, self._probe)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(UNWANTED)
        }
        self.environment["BENCH_MARKS"] = str(self.marks)
        # Where uilog keeps its journal of failures.
        self.environment["XDG_STATE_HOME"] = str(directory / "state")
        # As a login has one. Without it, what other processes of this user
        # have left in /tmp would be measured.
        self.environment["XDG_RUNTIME_DIR"] = str(runtime)
        self._repository: Path | None = None

    def pick(self, normal: int, quick: int) -> int:
        """how often to measure"""
        return quick if self.quick else normal

    def hgrc(self, who: str, **scripts: str) -> Path:
        """a configuration that logs these events to these scripts"""
        return self.configuration(EXTENSIONS[who], who, "logtoprocess", scripts)

    def configuration(
        self, extensions: str, who: str, section: str, items: dict[str, str]
    ) -> Path:
        """a configuration with these extensions, and items in a section"""
        lines = ["[ui]", "username = bench", "[extensions]", extensions]
        lines.append(f"[{section}]")
        lines += [f"{name} = {value}" for name, value in items.items()]
        name = "-".join([section, who.replace(" ", "_"), *sorted(items)])
        # A colon would make two paths of it.
        path = self.directory / f"{name.replace(':', '_')}.rc"
        path.write_text("\n".join(lines) + "\n")
        return path

    def hg_environment(self, hgrc: Path) -> dict[str, str]:
        return {**self.environment, "HGRCPATH": str(hgrc)}

    def repository(self) -> Path:
        """a repository with a few files and changesets"""
        if self._repository is not None:
            return self._repository
        path = self.directory / "repository"
        environment = self.hg_environment(self.hgrc(NONE))

        def hg(*arguments: str) -> None:
            command = [str(HG), *arguments]
            subprocess.run(command, env=environment, check=True)

        hg("init", str(path))
        for revision in range(5):
            for file in range(4):
                (path / f"file{file}").write_text(f"{revision}\n")
            hg("--cwd", str(path), "commit", "-qAm", f"change {revision}")
        self._repository = path
        return path

    def probe(self, hgrc: Path, mode: str, **arguments: Any) -> Any:
        """run probe.py as hg, in a process of its own"""
        return self.run_probe(self.hg_environment(hgrc), mode, **arguments)

    def run_probe(
        self, environment: dict[str, str], mode: str, **arguments: Any
    ) -> Any:
        self.marks.write_bytes(b"")
        command = [str(PYTHON), str(self._probe), mode, json.dumps(arguments)]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=2 * DEADLINE,
        )
        return json.loads(done.stdout)

    def start_probe(
        self, hgrc: Path, mode: str, **arguments: Any
    ) -> subprocess.Popen[bytes]:
        """the same, but it answers each line of input with one of output

        It ends with its input.
        """
        command = [str(PYTHON), str(self._probe), mode, json.dumps(arguments)]
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.hg_environment(hgrc),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def count_marks(self) -> int:
        """how many scripts have run"""
        return self.marks.stat().st_size

    def settle(self, marks: int) -> bool:
        """wait until so many scripts have run; false if they never do"""
        done = wait_until(lambda: self.count_marks() >= marks)
        time.sleep(SETTLE)
        return done


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


@contextmanager
def adopting() -> Iterator[None]:
    """processes that our children leave behind become our children"""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def processor_time(pid: int) -> int:
    """nanoseconds that a process has used so far, all of its threads"""
    # clock_getcpuclockid(3): the whole process, in the scheduler's own count
    return time.clock_gettime_ns((~pid << 3) | 2)


def in_turn(who: Sequence[str], round_number: int) -> list[str]:
    """the same contenders, each round beginning with another one"""
    at = round_number % len(who)
    return [*who[at:], *who[:at]]


def free_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0


def sizes_that_fit(sizes: Sequence[float]) -> tuple[list[float], list[str]]:
    """the memory sizes (in GB) that this machine has room for, and a note"""
    room = free_bytes()
    fitting = [size for size in sizes if size * GB * 1.25 + GB / 2 < room]
    notes = [
        f"LEFT OUT: {size:g} GB, because only {room / GB:.1f} GB are free."
        for size in sizes
        if size not in fitting
    ]
    return fitting, notes


def size_name(size: float) -> str:
    return f"{size:g} GB"


def rhg() -> Path | None:
    """rhg: the one that the environment names, or the sources', built"""
    named = os.environ.get(RHG_VARIABLE)
    if named:
        return Path(named)
    if not RHG_SOURCES.exists() or shutil.which("cargo") is None:
        return None
    subprocess.run(
        [
            *("cargo", "build", "--release", "--locked", "-p", "rhg"),
            *("--target-dir", str(RHG_BUILT)),
        ],
        cwd=RHG_SOURCES,
        check=True,
    )
    return RHG_BUILT / "release" / "rhg"


def runtime_root() -> Path:
    """where a directory for running programs is to be: in memory, as a login's
    is, if that can be had"""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK | os.X_OK) else Path("/tmp")


def is_debug_build() -> bool:
    """whether our native module is one that nobody would install"""
    packages = HG.parent.parent.glob("lib/python*/site-packages")
    modules = [
        module
        for package in packages
        for module in package.glob("hgext3rd/uilog/_native*.so")
    ]
    # A release build is stripped.
    return any(b".debug_line" in section_names(it) for it in modules)


def section_names(path: Path) -> bytes:
    """what the sections of a program are called; nothing, if it is none of
    64 bits"""
    data = path.read_bytes()
    if not data.startswith(b"\x7fELF\x02\x01"):
        return b""

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    # elf(5): e_shoff, e_shentsize and e_shstrndx; sh_offset and sh_size
    names = number(40, 8) + number(58, 2) * number(62, 2)
    begin = number(names + 24, 8)
    return data[begin : begin + number(names + 32, 8)]


def machine() -> dict[str, str]:
    """what the figures depend on"""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
            break
    cores = len(os.sched_getaffinity(0))
    version = subprocess.run(
        [str(HG), "version", "-q"], stdout=subprocess.PIPE, check=True
    )
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    huge = pages.read_text().strip() if pages.exists() else "none"
    runtime = runtime_root()
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    now = datetime.now(timezone.utc)
    return {
        "processor": f"{model}, {cores} cores",
        "memory": f"{free_bytes() / GB:.1f} GB available",
        "kernel": f"{platform.system()} {platform.release()}",
        "huge pages": huge,
        "runtime directory": f"in {runtime}",
        "Python": f"{platform.python_version()} ({sys.implementation.name})",
        "Mercurial": version.stdout.decode().strip(),
        "load average": load,
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
    }
