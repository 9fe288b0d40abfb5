"""What the tests of structured sinks share: machines with hg that send
somewhere, what their dispatchers need, and who listens on a socket."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import processes
from conftest import Home
from growing import whole_lines
from tools.common import MAIN_HG, venv_of

HELPERS = Path(__file__).parent

# What a dispatcher may need of its own at most, whatever a receiver does. One
# that is not optimized took up to 12 MB in these tests, 1.3 of them for what is
# relocated in its program; an optimized one less than 10.
MEMORY_BYTES = 14 << 20


class Source:
    """A process of hg's that logs as many events as it is asked for."""

    def __init__(self, home: Home, repository: Path, name: str) -> None:
        self.name = name
        self.logged = 0
        argv = [
            str(venv_of(MAIN_HG) / "bin" / "python"),
            *(str(HELPERS / "fleet_source.py"), str(repository), name),
        ]
        self._process = subprocess.Popen(
            argv,
            env=home.env,
            cwd=home.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready\n"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def log(self, count: int) -> dict[str, Any]:
        """Logs so many events; what the logger says then."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        self.logged += count
        status: dict[str, Any] = json.loads(self._line())
        return status

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(processes.DEADLINE) == 0

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def dispatchers(home: Home) -> list[int]:
    """Those that serve an hg of this home."""
    return [
        it.pid
        for it in processes.of_home(str(home.path))
        if it.is_dispatcher() and it.state != "Z"
    ]


def certain_dispatchers(home: Home) -> list[int]:
    """The same, but for those of which it cannot be told yet."""
    return [
        it.pid
        for it in processes.surely_of_home(str(home.path))
        if it.is_dispatcher() and it.state != "Z"
    ]


def peak_bytes(pid: int) -> int:
    """The most memory of its own that a process has had at a time. The pages
    of its program do not count: others share them, and how many they are is
    the compiler's choice."""
    memory = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmHWM", "RssFile"):
            memory[name] = int(value.split()[0]) * 1024
    # A zombie has neither.
    assert len(memory) == 2, f"process {pid} has no memory"
    return memory["VmHWM"] - memory["RssFile"]


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file that nobody writes any more, each of them JSON."""
    assert path.read_bytes() == whole_lines(path), path
    yield from records_so_far(path)


def records_so_far(path: Path) -> Iterator[dict[str, Any]]:
    """Those of a file that somebody may still be writing."""
    # Beside a writer that has been stopped within its line somebody may have
    # ended that line with an empty one.
    yield from map(json.loads, filter(None, whole_lines(path).splitlines()))


class Listener:
    """Listens on a unix socket and keeps each line, or reads nothing."""

    def __init__(self, path: Path, *, reads: bool = True) -> None:
        self._lines: list[bytes] = []
        self._lock = threading.Lock()
        self._reads = reads
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(16)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                # It has been shut down.
                return
            with self._lock:
                self._open.append(connection)
            if self._reads:
                thread = threading.Thread(target=self._read, args=[connection])
                thread.start()
                self._threads.append(thread)

    def _read(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            for line in stream:
                with self._lock:
                    self._lines.append(line)

    def records(self) -> list[dict[str, Any]]:
        with self._lock:
            lines = list(self._lines)
        assert all(line.endswith(b"\n") for line in lines), lines
        return [json.loads(line) for line in lines]

    def connections(self) -> int:
        with self._lock:
            return len(self._open)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # The other end has gone.
                pass
        for thread in self._threads:
            thread.join()
        for connection in self._open:
            connection.close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
