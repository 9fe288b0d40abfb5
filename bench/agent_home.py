"""Users whose commands are compared: with an agent, with a dispatcher for each
command, with stock hg, or without logging.

Must not know what is measured.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import environment_of
from lab import HG, NONE, ROOT, STOCK, Lab, wait_until

sys.path.append(str(ROOT / "tests" / "helpers"))

import processes
from otlp_receiver import Receiver

AGENT = "uilog, agent = yes"
EACH = "uilog, agent = no"


@dataclass
class Home:
    """a user with a configuration, who has a runtime directory of his own"""

    who: str
    environment: dict[str, str]
    runtime: Path

    def agent(self) -> int | None:
        """the process id of his agent"""
        for it in processes.everyone():
            is_agent = it.argv[1:3] == ("agent", "serve") and it.state != "Z"
            if is_agent and Path(it.argv[3]).is_relative_to(self.runtime):
                return it.pid
        return None

    def stop(self) -> None:
        if self.agent() is None:
            return
        argv = [str(HG.parent / "uilog"), "agent", "stop"]
        subprocess.run(argv, env=self.environment, check=True)

    def start(self) -> None:
        """by a command, as always; until it has nothing to do"""
        argv = [str(HG), "version", "-q"]
        subprocess.run(
            argv,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        assert wait_until(lambda: self.agent() is not None)
        assert wait_until(self.is_idle)

    def is_idle(self) -> bool:
        """whether no queue is left"""
        return not list(self.runtime.glob("uilog/records-*"))

    def queue_bytes(self) -> int:
        """the memory that queues take"""
        total = 0
        for it in self.runtime.glob("uilog/*"):
            try:
                total += it.stat().st_blocks * 512
            except OSError:
                # Its records have arrived.
                continue
        return total


def await_records(receiver: Receiver, count: int) -> None:
    """wait until so many different records have come"""
    assert wait_until(lambda: receiver.store.count() >= count)


@contextmanager
def home_of(lab: Lab, who: str, name: str, url: str = "") -> Iterator[Home]:
    """a user; his agent ends with it"""
    runtime = Path(tempfile.mkdtemp(prefix="uilog-bench-", dir="/dev/shm"))
    if who in (NONE, STOCK):
        scripts = (
            {} if who == NONE else {"foo": "true", "commandfinish": "true"}
        )
        hgrc = lab.hgrc(who, **scripts)
    else:
        items = {
            "agent": "yes" if who == AGENT else "no",
            "agent-idle": "600",
            "sink.fleet": f"otlp:{url}",
            "sink.fleet:track": "foo, commandfinish",
        }
        hgrc = lab.configuration("uilog =", f"{who}-{name}", "uilog", items)
    environment = environment_of(lab, hgrc, lab.directory / f"home-{name}")
    environment["XDG_RUNTIME_DIR"] = str(runtime)
    home = Home(who, environment, runtime)
    try:
        yield home
    finally:
        home.stop()
        shutil.rmtree(runtime)
