"""Processes that log to one blackbox at the same time, and its content."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import processes
from conftest import Home
from tools.common import CACHE, MAIN_HG, TESTS, venv_of

DRIVER = TESTS / "helpers" / "log_events.py"

RHG = os.environ.get("UILOG_TEST_RHG") or str(CACHE / "rhg" / "rhg")

LINE = re.compile(
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ @[0-9a-f]{40}"
    rb" \(\d+\)> (?P<message>.*)\n"
)
DURATION = re.compile(rb"after \d+\.\d+ seconds")


@dataclass
class Blackbox:
    """The log of a repository, all of it."""

    repository: Path

    @property
    def log(self) -> Path:
        return self.repository / ".hg" / "blackbox.log"

    @property
    def kept(self) -> Path:
        return self.repository / ".hg" / ".blackbox.log.kept"

    def files(self) -> list[Path]:
        """The files by the names that everybody knows, the oldest first."""
        old = self.log.parent.glob("blackbox.log.*")
        by_age = sorted(old, key=lambda path: -int(path.suffix[1:]))
        return [path for path in (*by_age, self.log) if path.exists()]

    def hidden(self) -> list[Path]:
        """The names that only we know."""
        if not self.kept.exists():
            return []
        names = self.kept.iterdir()
        return [path for path in names if not path.name.startswith("lock")]

    def unnumbered(self) -> list[Path]:
        """Files that are to get their number with the next rotation."""
        numbered = {path.stat().st_ino for path in self.files()}
        return [p for p in self.hidden() if p.stat().st_ino not in numbered]

    def messages(self, files: list[Path] | None = None) -> list[bytes]:
        """What was logged, without what hg adds; each line has to be whole."""
        messages = []
        for path in self.files() if files is None else files:
            for line in path.read_bytes().splitlines(keepends=True):
                match = LINE.fullmatch(line)
                assert match is not None, (path, line)
                messages.append(
                    DURATION.sub(b"after N seconds", match["message"])
                )
        return messages


@dataclass
class Writer:
    """What logs numbered events, once it is let go: uilog by itself."""

    name: str
    count: int
    version: str = MAIN_HG

    def argv(self, repository: Path) -> list[str]:
        python = venv_of(self.version) / "bin" / "python"
        args = [str(repository), self.name, str(self.count)]
        return [str(python), str(DRIVER), *args]

    def env(self, home: Home) -> dict[str, str]:
        return home.env

    def messages(self) -> list[bytes]:
        """What it logs, in this order."""
        return [f"{self.name} {n}".encode() for n in range(self.count)]


class StockWriter(Writer):
    """Mercurial's own blackbox."""

    def env(self, home: Home) -> dict[str, str]:
        hgrc = home.path / "stock.hgrc"
        hgrc.write_text("[extensions]\nuilog = !\n")
        return {**home.env, "HGRCPATH": f"{home.hgrc}{os.pathsep}{hgrc}"}


class RhgWriter(Writer):
    """One rhg after the other, each of which logs its begin and its end."""

    def argv(self, repository: Path) -> list[str]:
        loop = """\
echo ready; cat; cd "$2"; i=0
while test $i -lt "$4"; do
    "$1" --config "race.$3=$i" root > "$OUT/root" || exit 1
    i=$((i+1))
done"""
        args = [RHG, str(repository), self.name, str(self.count)]
        return ["sh", "-c", loop, "sh", *args]

    def env(self, home: Home) -> dict[str, str]:
        hgrc = home.path / "rhg.hgrc"
        # It knows no other extension than some of Mercurial's own.
        hgrc.write_text(
            "[rhg]\non-unsupported = abort\nignored-extensions = uilog\n"
        )
        return {**home.env, "HGRCPATH": f"{home.hgrc}{os.pathsep}{hgrc}"}

    def messages(self) -> list[bytes]:
        found = []
        for n in range(self.count):
            command = f"(rust) --config 'race.{self.name}={n}' root"
            end = f"{command} exited 0 after N seconds"
            found += [command.encode(), end.encode()]
        return found


@dataclass
class Racer:
    """A writer that runs."""

    writer: Writer
    process: subprocess.Popen[bytes]

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == b"ready\n", self.failure()

    def failure(self) -> str:
        """Waits for its end; what it has to say, if it has failed."""
        out, err = self.process.communicate(timeout=processes.DEADLINE)
        text = (out + err).decode("utf-8", "replace")
        if self.process.returncode == 0 and not text:
            return ""
        return f"{self.writer.name}: {self.process.returncode}: {text}"


def race(home: Home, blackbox: Blackbox, writers: Sequence[Writer]) -> None:
    """Runs writers that begin to log at the same time."""
    racers: list[Racer] = []
    gate, opener = os.pipe()
    try:
        for writer in writers:
            process = subprocess.Popen(
                writer.argv(blackbox.repository),
                env=writer.env(home),
                stdin=gate,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            racers.append(Racer(writer, process))
        for racer in racers:
            racer.wait_until_ready()
        os.close(opener)
        opener = -1
        failures = [racer.failure() for racer in racers]
        assert not any(failures), failures
    finally:
        os.close(gate)
        if opener >= 0:
            os.close(opener)
        for racer in racers:
            racer.process.kill()
            racer.process.wait()


def assert_none_lost(writers: Sequence[Writer], messages: list[bytes]) -> None:
    """Everything is there, and once."""
    expected = {text for writer in writers for text in writer.messages()}
    lost = expected - set(messages)
    assert not lost, f"{len(lost)}: {sorted(lost)}"
    doubled = Counter(messages) - Counter(expected)
    assert not doubled


def assert_in_order(writers: Sequence[Writer], messages: list[bytes]) -> None:
    """Each writer's messages stand in the order in which it logged them."""
    for writer in writers:
        mine = set(writer.messages())
        assert [text for text in messages if text in mine] == writer.messages()
