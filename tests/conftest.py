"""What the tests of live processes share: an hg of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hglib
import pytest

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import processes
from growing import whole_lines

if TYPE_CHECKING:
    from connections import Client

from tools.common import (
    FIRST_PYTHON_WITHOUT,
    HG_VERSIONS,
    MAIN_HG,
    Tier,
    venv_of,
)

# `make test` builds it, where there is a C compiler.
CHGS = sorted((Path(__file__).parent.parent / ".cache").glob("chg-*/chg"))

# The signals that are blocked when no test has run yet.
SIGNAL_MASK = signal.pthread_sigmask(signal.SIG_BLOCK, [])

# What a home begins with.
# An agent ends with what it has to do: so whoever waits for a home's processes
# waits for its records, and no process outlives its test.
HGRC = "[uilog]\nagent-idle = 0\n[extensions]\nuilog =\n"
# The same without a setting, for tests of what nobody asks for.
BARE_HGRC = "[extensions]\nuilog =\n"

# What takes longer than the time that one test has.
SOAK = (pytest.mark.soak, pytest.mark.timeout(7200))

Chg = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier",
        choices=[tier.name.lower() for tier in Tier],
        default=Tier.TEST.name.lower(),
        help="how much to run (tests/README.md)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background jobs ignore it, and so would the hg of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "soak: takes minutes")
    config.addinivalue_line("markers", "test_all: only before a release")
    config.addinivalue_line(
        "markers", "contract: under each Mercurial with each change"
    )


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """No test or fixture leaves signals blocked, which commands of later tests
    inherit."""
    yield
    left = signal.pthread_sigmask(signal.SIG_SETMASK, SIGNAL_MASK)
    assert left == SIGNAL_MASK, f"left blocked: {left}"


def tier_of(item: pytest.Item) -> Tier:
    """What runs a test."""
    if item.get_closest_marker("soak"):
        return Tier.SOAK
    if item.get_closest_marker("test_all"):
        return Tier.ALL
    params = getattr(item, "callspec", None)
    version = params.params.get("every_hg", MAIN_HG) if params else MAIN_HG
    if version == MAIN_HG or item.get_closest_marker("contract"):
        return Tier.TEST
    return Tier.ALL


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    wanted = Tier[config.getoption("--tier").upper()]
    for item in items:
        tier = tier_of(item)
        if tier > wanted:
            why = f"it belongs to `{tier.command}`"
            item.add_marker(pytest.mark.skip(reason=why))


class Home:
    """A home directory, its hgrc, and what its processes leave behind."""

    def __init__(self, path: Path, templates: Path | None = None) -> None:
        """The other directory has repositories to copy, one for each hg."""
        self.path = path
        self._templates = templates or path / "templates"
        self.out = path / "out"
        self.out.mkdir()
        self.hgrc = path / "hgrc"
        # Of its own: queues, pages and agents of other tests lie elsewhere.
        self.runtime = path / "run"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        kept = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
        self.env = {k: v for k, v in os.environ.items() if k in kept}
        self.env.update(
            HOME=str(path),
            XDG_RUNTIME_DIR=str(self.runtime),
            OUT=str(self.out),
            HGRCPATH=str(self.hgrc),
            HGUSER="test",
        )
        self.hgrc.write_text(HGRC)
        self._first_env = self.env.copy()

    def configure(self, text: str) -> None:
        """Adds lines to the hgrc."""
        with self.hgrc.open("a") as fp:
            fp.write(text)

    def extension(self, name: str, text: str) -> None:
        """Enables an extension with this source."""
        path = self.path / f"{name}.py"
        path.write_text(text)
        self.configure(f"[extensions]\n{name} = {path}\n")

    def hg(self, *args: str, cwd: Path | None = None) -> str:
        """Runs a command of hg's; see `run`."""
        return self.run("hg", *args, cwd=cwd)

    def run(self, *args: str, cwd: Path | None = None, **env: str) -> str:
        """Runs a program, which has to succeed, and returns its output."""
        done = subprocess.run(
            args,
            env={**self.env, **env},
            cwd=cwd or self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=processes.DEADLINE,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def flush(self, *args: str) -> None:
        """Waits until all that has been logged has arrived, or tells what has
        not."""
        self.run("uilog", "flush", "--wait", str(processes.WAIT), *args)

    def agents(self) -> list[processes.Process]:
        """The agents that run for this home."""
        serving = ("agent", "serve", str(self.runtime / "uilog"))
        found = processes.everyone()
        return [it for it in found if it.argv[1:4] == serving]

    def work(self, repository: Path, log: str) -> None:
        """Runs a command in which each of four workers runs `log`: a line of
        Python, for which the repository is `repo`."""
        # Fewer would not be worth more than one process to hg.
        for number in range(1000):
            (repository / f"file{number}").write_text(f"{number}\n")
        self.hg("commit", "-qAm", "many", cwd=repository)
        self.hg("update", "null", cwd=repository)
        self.extension(
            "workers",
            "from mercurial import extensions\n"
            "from mercurial.merge_utils import update\n"
            "def extsetup(ui):\n"
            "    extensions.wrapfunction(update, 'batchget', batchget)\n"
            "def batchget(orig, repo, *args, **kwargs):\n"
            f"    {log}\n"
            "    return orig(repo, *args, **kwargs)\n",
        )
        self.configure("[worker]\nenabled = yes\nnumcpus = 4\n")
        self.hg("update", "tip", cwd=repository)

    def repository(self) -> Path:
        """A repository with one commit."""
        if self._is_untouched():
            return self.unseen_repository()
        return self._new_repository()

    def unseen_repository(self) -> Path:
        """A repository with one commit, of which nothing is logged: a copy,
        because each start of hg takes its time."""
        hg = shutil.which("hg", path=self.env["PATH"])
        assert hg is not None
        template = self._templates / hg.replace(os.sep, "_")
        if not template.exists():
            template.mkdir(parents=True)
            maker = Home(template)
            maker.env["PATH"] = self.env["PATH"]
            maker._new_repository()
        path = self.path / "repo"
        shutil.copytree(template / path.name, path, symlinks=True)
        return path

    def _new_repository(self) -> Path:
        path = self.path / "repo"
        self.hg("init", str(path))
        (path / "a").write_text("a\n")
        self.hg("commit", "-Am", "a", cwd=path)
        return path

    def _is_untouched(self) -> bool:
        """Whether hg here logs nothing yet."""
        env = {**self.env, "PATH": self._first_env["PATH"]}
        return self.hgrc.read_text() == HGRC and env == self._first_env

    @contextlib.contextmanager
    def serving(self, repository: Path) -> Iterator[hglib.client.hgclient]:
        """A command server in a repository."""
        # hglib passes on the environment of this process and adds to it.
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.env)
        try:
            client = hglib.open(str(repository))
            try:
                yield client
            finally:
                client.close()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def read(self, name: str) -> str:
        """What scripts have written so far, in whole lines."""
        return whole_lines(self.out / name).decode()


def until(what: str, condition: Callable[[], object]) -> None:
    """Waits for a condition; only a hang reaches the deadline."""
    deadline = time.monotonic() + processes.DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def kill(pid: int, sent: int = signal.SIGKILL) -> None:
    """Sends a signal to a process, which may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sent)


class Agents:
    """A home with an agent: its runtime directory, and a file that its only
    sink writes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.runtime = home.runtime
        self.file = home.path / "audit.jsonl"
        home.configure(
            "[uilog]\nagent-idle = 60\n"
            f"sink.audit = file:{self.file}\n"
            "sink.audit:track = commandfinish\n"
        )

    def queues(self) -> list[Path]:
        """The queues of records that there are."""
        return sorted((self.runtime / "uilog").glob("records-*"))

    def running(self) -> list[processes.Process]:
        return self.home.agents()

    def flush(self) -> None:
        """Delivers all that waits."""
        self.home.flush()

    def records(self) -> list[dict[str, object]]:
        """What the sink has got."""
        if not self.file.exists():
            return []
        lines = self.file.read_text().splitlines()
        return [json.loads(line) for line in lines if line]

    def commands(self) -> list[str]:
        """The names of the commands that the sink has been told of, each
        record once."""
        named = {}
        for record in self.records():
            process = record["process"]
            assert isinstance(process, dict)
            named[record["id"]] = process["command"]
        return list(named.values())


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates").resolve()


@pytest.fixture
def home(tmp_path: Path, templates: Path) -> Iterator[Home]:
    """A home whose processes are gone when the test ends."""
    home = Home(tmp_path.resolve(), templates)
    yield home
    left = processes.wait_until_gone(str(home.path))
    assert not left, [str(process) for process in left]


@pytest.fixture(params=HG_VERSIONS)
def every_hg(request: pytest.FixtureRequest, home: Home) -> str:
    """Each Mercurial in turn, first on the PATH; returns its version."""
    version: str = request.param
    limit = FIRST_PYTHON_WITHOUT.get(version)
    if limit is not None and sys.version_info >= limit:
        pytest.skip(f"Mercurial {version} does not build for this Python")
    programs = venv_of(version) / "bin"
    assert (programs / "hg").exists(), f"no {programs}/hg: use `make venvs`"
    home.env["PATH"] = f"{programs}{os.pathsep}{home.env['PATH']}"
    return version


@pytest.fixture
def versions(pytestconfig: pytest.Config) -> tuple[str, ...]:
    """The Mercurials that one test is to go through by itself."""
    if Tier[pytestconfig.getoption("--tier").upper()] >= Tier.ALL:
        return HG_VERSIONS
    return (MAIN_HG,)


@pytest.fixture
def chg(home: Home) -> Iterator[Chg]:
    """Runs a command through chg; its server ends with the test."""
    if not CHGS:
        pytest.skip("chg is not built: is there a C compiler?")
    # Short: a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="uilog.") as sockets:
        os.chmod(sockets, 0o700)
        home.env["CHGSOCKNAME"] = f"{sockets}/s"

        def run(*args: str, cwd: Path | None = None, **env: str) -> str:
            return home.run(str(CHGS[-1]), *args, cwd=cwd, **env)

        try:
            yield run
        finally:
            for server in chg_servers(home):
                kill(server.pid, signal.SIGTERM)
            # One that ends removes its socket.
            until("chg's servers to be gone", lambda: not chg_servers(home))


def chg_servers(home: Home) -> list[processes.Process]:
    return [
        process
        for process in processes.of_home(str(home.path))
        if "chgunix" in process.argv and process.state != "Z"
    ]


@pytest.fixture
def agents(home: Home) -> Iterator[Agents]:
    """A home with an agent, which is ended with the test."""
    agents = Agents(home)
    yield agents
    home.run("uilog", "agent", "stop")
    assert agents.running() == []


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    """hg with what it connects by; whoever holds something is let go."""
    # It needs this module.
    import connections

    client = connections.Client(home)
    yield client
    client.release()
