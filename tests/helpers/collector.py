"""A real collector, rotel (https://rotel.dev), between hg and a receiver.

Responsible for finding the package's program, for starting it on
free ports on the loopback, and for ending it by its process ID. Must not know
what is sent through it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import ports

# Seconds, and far more than a start or an end takes.
DEADLINE = 120

PROGRAM = "rotel-agent"


def program() -> Path | None:
    """The collector's program, if the package is installed."""
    spec = importlib.util.find_spec("rotel")
    for directory in (spec and spec.submodule_search_locations) or ():
        path = Path(directory) / PROGRAM
        if path.exists():
            return path
    return None


def why_not() -> str | None:
    """Why there is no collector here, if so."""
    path = program()
    if path is None:
        return "rotel is not installed: it has no wheel for this platform"
    done = subprocess.run(
        [path, "version"], capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"rotel: {done.stderr.strip()}"


class Rotel:
    """The collector: it may be stopped and started again, on one port."""

    def __init__(
        self,
        directory: Path,
        exporter: str | None,
        *,
        core: int | None = None,
        kind: str = "otlp",
    ) -> None:
        """Exports to this URL, or nowhere; runs on this processor, or any. At
        the URL is a collector or, by the kind, a `clickhouse`."""
        self._kind = kind
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._exporter = exporter
        self._core = core
        self._keepers = [ports.keep() for _ in range(2)]
        self.port, self._grpc = map(ports.port_of, self._keepers)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._directory / "rotel.log"

    @property
    def pid(self) -> int:
        assert self._process is not None, "it has not been started"
        return self._process.pid

    def start(self) -> None:
        assert self._process is None, "it runs already"
        path = program()
        assert path is not None, "rotel is not installed"
        argv = [
            *(str(path), "start"),
            *("--otlp-http-endpoint", f"127.0.0.1:{self.port}"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{self._grpc}"),
            *("--pid-file", str(self._directory / "pid")),
            *("--log-file", str(self._directory / "log")),
            *("--batch-timeout", "50ms"),
        ]
        if self._exporter is None:
            argv += ["--exporter", "blackhole"]
        elif self._kind == "clickhouse":
            argv += [
                *("--exporter", "clickhouse"),
                *("--clickhouse-exporter-endpoint", self._exporter),
                *("--clickhouse-exporter-compression", "none"),
            ]
        else:
            argv += [
                *("--exporter", "otlp"),
                *("--otlp-exporter-protocol", "http"),
                *("--otlp-exporter-endpoint", self._exporter),
                *("--otlp-exporter-retry-initial-backoff", "100ms"),
                *("--otlp-exporter-retry-max-backoff", "1s"),
            ]
        if self._core is not None:
            argv = ["taskset", "-c", str(self._core), *argv]
        inherited = ("PATH", "LANG", "HOME", "TMPDIR")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                env={k: v for k, v in os.environ.items() if k in inherited},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + DEADLINE
        while not self._listens():
            problem = None
            if self._process.poll() is not None:
                problem = f"it has ended with {self._process.returncode}"
            elif time.monotonic() > deadline:
                problem = "it does not listen"
            if problem is not None:
                self.stop()
                raise AssertionError(f"rotel: {problem}\n{self.said()}")
            time.sleep(0.02)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def _listens(self) -> bool:
        with socket.socket() as it:
            return it.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends it: in good order, it sends on what it has accepted."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def __enter__(self) -> Rotel:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
        for keeper in self._keepers:
            keeper.close()
