"""Connections through OpenSSH, to a server of the test's own.

uilog is compared with stock hg: where stock hg waits, the test shows that.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
import sshd
from conftest import Home, until
from connections import STOCK, Client, Finished, finish, lives
from tools.common import MAIN_HG

# What hg runs on the other side, where nothing is left of the test's
# environment.
REMOTE = """\
#!/bin/sh
PATH='{path}' HOME='{home}' HELPERS='{helpers}' OUT='{out}' HGRCPATH=/dev/null
export PATH HOME HELPERS OUT HGRCPATH
{before}
hg "$@"
{after}
"""

# Leaves a process behind there, and says something at each time.
HOLDING = """\
echo one >&2
. "$HELPERS/ssh.sh"
hold
"""

ENDING = """\
status=$?
echo two >&2
mark ends
exit $status
"""


class Remote(Client):
    """hg, and a repository behind a real server."""

    def __init__(self, home: Home, server: sshd.Sshd) -> None:
        super().__init__(home)
        self.server = server
        self.place = self.repository()
        self.url = f"ssh://server/{self.place}"
        self.command = home.path / "remotehg"
        home.configure(f"[ui]\nssh = {server.ssh}\n")
        home.configure(f"remotecmd = {self.command}\n")

    def behave(self, before: str = "", after: str = "") -> None:
        """Makes the other side do something beside serving."""
        env = self.home.env
        text = REMOTE.format(
            path=env["PATH"],
            home=env["HOME"],
            helpers=env["HELPERS"],
            out=env["OUT"],
            before=before,
            after=after,
        )
        self.command.write_text(text)
        self.command.chmod(0o755)

    def ssh_clients(self) -> list[processes.Process]:
        """The processes of ssh that serve us."""
        config = str(self.server.config)
        found = processes.of_home(str(self.home.path))
        return [p for p in found if p.argv[:3] == ("ssh", "-F", config)]


@pytest.fixture
def remote(home: Home) -> Iterator[Remote]:
    reason = sshd.missing()
    if reason is not None:
        pytest.skip(reason)
    with sshd.running(home.path / "sshd") as server:
        remote = Remote(home, server)
        yield remote
        remote.release()


def exchange(remote: Remote, is_all: bool, *options: str) -> Iterator[Finished]:
    """What hg says when it exchanges something with another repository."""
    url, clone = remote.url, remote.home.path / "clone"

    def commit(place: Path, name: str) -> None:
        (place / name).write_text(f"{name}\n")
        how = ("-m", name, "-d", "0 0", *STOCK)
        assert remote.run("commit", "-A", *how, cwd=place).status == 0

    if is_all:
        yield remote.run("id", url, *options)
    yield remote.run("clone", url, str(clone), *options)
    if is_all:
        commit(remote.place, "theirs")
        yield remote.run("incoming", *options, cwd=clone)
        yield remote.run("pull", "-u", *options, cwd=clone)
    commit(clone, "ours")
    if is_all:
        yield remote.run("outgoing", *options, cwd=clone)
    yield remote.run("push", *options, cwd=clone)


def test_everything_is_as_with_stock_hg(every_hg: str, remote: Remote) -> None:
    remote.behave()
    before = remote.home.path / "before"
    shutil.copytree(remote.place, before)
    is_all = every_hg == MAIN_HG
    stock = list(exchange(remote, is_all, *STOCK))
    for place in (remote.place, remote.home.path / "clone"):
        shutil.rmtree(place)
    shutil.copytree(before, remote.place)
    ours = []
    for done in exchange(remote, is_all):
        ours.append(done)
        (closed,) = remote.closed()
        assert closed["url"] == remote.url
        assert (closed["outcome"], closed["exit_code"]) == ("closed", 0)
        assert not closed["leaked"]
    assert ours == stock
    assert len(ours) == (6 if is_all else 2)
    assert not any(done.status for done in ours), ours
    assert b"\nremote: added 1 changesets" in ours[-1].out


def test_who_holds_standard_error_over_there_is_not_waited_for(
    every_hg: str, remote: Remote
) -> None:
    remote.behave(HOLDING, ENDING)
    stock = remote.start("id", remote.url, *STOCK)
    until("its server to end", lambda: remote.marks("ends"))
    timeout = ("--config", "uilog.peer-timeout=5")
    ours = remote.run("id", remote.url, *timeout)
    (closed,) = remote.closed()
    assert (closed["outcome"], closed["leaked"]) == ("timeout", False)
    # This one has begun later.
    assert stock.poll() is None
    assert len(remote.marks("holders")) == 2
    assert all(map(lives, remote.marks("holders")))
    # One ssh is stock hg's.
    left = remote.ssh_clients()
    remote.release()
    assert finish(stock) == ours
    assert ours.status == 0
    assert ours.out.endswith(b"\nremote: two\n")
    assert ours.err == b"remote: one\n"
    assert len(left) == 1


def test_connections_share_one_of_ssh(remote: Remote) -> None:
    remote.behave()
    # Short: a socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="uilog.") as sockets:
        remote.server.configure(
            "    ControlMaster auto\n"
            "    ControlPersist 60\n"
            f"    ControlPath {sockets}/s\n"
        )
        stock = twice(remote, Path(sockets), *STOCK)
        ours = twice(remote, Path(sockets))
    assert ours == stock
    assert [done.status for done in ours] == [0, 0]

    def outcomes() -> list[str]:
        events = [e for e in remote.logged() if e["event"] == "peerclose"]
        return [event["options"]["outcome"] for event in events]

    until("what is logged", lambda: len(outcomes()) >= 2)
    assert outcomes() == ["closed", "closed"]


def twice(remote: Remote, sockets: Path, *options: str) -> list[Finished]:
    """Connects twice, by one connection that outlives both."""
    exit_master = [*remote.server.ssh.split(), "-O", "exit", "server"]
    try:
        done = [remote.run("id", remote.url, *options) for _ in range(2)]
        assert (sockets / "s").exists()
    finally:
        subprocess.run(exit_master, check=False, capture_output=True)
    until("the master to end", lambda: not remote.ssh_clients())
    return done
