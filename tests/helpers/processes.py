"""The processes of one test, as /proc shows them.

A process belongs to the test if its environment has the test's HOME, which
run-tests.py and conftest.py set to a separate directory. A
dispatcher has no environment; the environments in its queue show it.

The .t files start it often, so it imports little: dataclasses and pathlib would
take longer than its work.

usage: processes.py wait | dispatchers
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

# Seconds, and far more than anything here takes: only a hang gets there.
DEADLINE = 120

# Seconds, the same for a program that tells what is left when its time is over:
# whoever has started it is still there then.
WAIT = DEADLINE // 2

# Where a queue's frames begin (queue/layout.rs).
FIRST_FRAME = 4096


class Process:
    """One process, as it was when it was looked at."""

    def __init__(
        self,
        pid: int,
        stat: list[bytes],
        argv: tuple[str, ...],
        environ: tuple[bytes, ...],
    ) -> None:
        """Of its stat file, what follows the name."""
        self.pid = pid
        self.parent = int(stat[1])
        self.state = stat[0].decode()
        self.start = int(stat[19])
        # Both are empty while it is between two programs, for zombies and for
        # the kernel.
        self.argv = argv
        self.environ = environ

    def is_dispatcher(self) -> bool:
        name = os.path.basename(self.argv[0]) if self.argv else ""
        is_ours = name in ("uilog", "uilog-dispatcher")
        return is_ours and self.argv[1:] == ("dispatch",)

    def __str__(self) -> str:
        return f"{self.pid} ({self.state}) {' '.join(self.argv)}"


def look(pid: int) -> Process | None:
    """A process, or None if there is none of this number."""
    proc = f"/proc/{pid}"
    try:
        # The name in parentheses may hold anything.
        stat = read(f"{proc}/stat").rpartition(b")")[2]
    except OSError:
        return None
    argv = contents(f"{proc}/cmdline").decode("utf-8", "replace")
    environ = contents(f"{proc}/environ")
    return Process(
        pid,
        stat.split(),
        tuple(argv.split("\0")[:-1]),
        tuple(environ.split(b"\0")[:-1]),
    )


def read(path: str) -> bytes:
    # Without a buffer it is a third of the work, and this is what tests wait
    # by: while they do, others need the processors.
    with open(path, "rb", buffering=0) as fp:
        return fp.readall()


def contents(path: str) -> bytes:
    """What is in a file, or nothing: one that ends has no memory already."""
    try:
        return read(path)
    except OSError:
        return b""


def everyone() -> list[Process]:
    """Every process that can be looked at."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if not pids:
        raise SystemExit("these tests need /proc")
    found = (look(pid) for pid in sorted(pids))
    return [process for process in found if process is not None]


def children(pid: int) -> list[Process]:
    """Those of a process, dead ones among them."""
    return [process for process in everyone() if process.parent == pid]


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def ancestors() -> list[Process]:
    """This process, its parent, and so on."""
    line = []
    pid = os.getpid()
    while pid > 0:
        process = look(pid)
        if process is None:
            break
        line.append(process)
        pid = process.parent
    return line


def of_home(home: str) -> list[Process]:
    """The processes with this HOME, but for us and who has started us.

    Among them any of which it cannot be told yet, if it is younger than the
    oldest one that waits for us.
    """
    return list(filter(belonging(home), everyone()))


def surely_of_home(home: str) -> list[Process]:
    """The processes that certainly have this HOME, for whoever kills them:
    others may be another test's."""
    needle = os.fsencode(f"HOME={home}")
    waiting = {process.pid for process in ancestors()}

    def is_sure(process: Process) -> bool:
        if process.pid in waiting:
            return False
        if process.is_dispatcher():
            return serves(process.pid, needle) is True
        return needle in process.environ

    return list(filter(is_sure, everyone()))


def belonging(home: str) -> Callable[[Process], bool]:
    """What tells whether a process has this HOME; see `of_home`."""
    needle = os.fsencode(f"HOME={home}")
    line = ancestors()
    waiting = {process.pid for process in line}
    starts = [p.start for p in line if needle in p.environ]
    since = min(starts, default=line[0].start)

    def belongs(process: Process) -> bool:
        if process.pid in waiting:
            return False
        if process.environ:
            return needle in process.environ
        if process.start < since or process.state in "ZX":
            return False
        if process.is_dispatcher():
            return serves(process.pid, needle) is not False
        # In the middle of an exec it has neither.
        return not process.argv and has_program(process.pid)

    return belongs


def serves(dispatcher: int, needle: bytes) -> bool | None:
    """Whether a dispatcher's queue holds an environment with this entry; None
    if it holds nothing yet."""
    fds = f"/proc/{dispatcher}/fd"
    answer = None
    try:
        for fd in os.listdir(fds):
            if os.readlink(f"{fds}/{fd}").startswith("/memfd:uilog"):
                queue = read(f"{fds}/{fd}")
                if needle + b"\0" in queue:
                    return True
                if len(queue) > FIRST_FRAME:
                    answer = False
    except OSError:
        # It ends, or has closed what we have just seen.
        return None
    return answer


def has_program(pid: int) -> bool:
    """Whether it is a process with a program, not one of the kernel's."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return True


def wait_until_gone(home: str, deadline: float = DEADLINE) -> list[Process]:
    """Waits for the processes of this HOME to end; returns who has not."""
    until = time.monotonic() + deadline
    remaining = of_home(home)
    while remaining and time.monotonic() <= until:
        time.sleep(0.01)
        # As long as one is there it is enough to look at those.
        belongs = belonging(home)
        found = (look(process.pid) for process in remaining)
        remaining = [p for p in found if p is not None and belongs(p)]
        remaining = remaining or of_home(home)
    return remaining


def main(argv: list[str]) -> int:
    home = os.environ["HOME"]
    if argv == ["dispatchers"]:
        needle = os.fsencode(f"HOME={home}")
        for process in everyone():
            if process.is_dispatcher() and serves(process.pid, needle):
                print(process.pid)
        return 0
    if argv == ["wait"]:
        remaining = wait_until_gone(home)
        for process in remaining:
            # Not into a pipe, whose other end may be what is waited for.
            print(
                f"still there after {DEADLINE} seconds: {process}",
                file=sys.stderr,
            )
        return 1 if remaining else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
