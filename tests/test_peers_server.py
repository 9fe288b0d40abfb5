"""Connections of the commands that a command server runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import hglib
import pytest
from conftest import until
from connections import OPENING, TIP, URL, Client, lives
from processes import children, descriptors

# What a command server may take for itself in some 150 commands.
MARGIN_BYTES = 1024 * 1024


@contextlib.contextmanager
def serving(client: Client) -> Iterator[hglib.client.hgclient]:
    """A command server in a repository."""
    with client.home.serving(client.repository()) as server:
        yield server


def resident(pid: int) -> int:
    """How much memory a process has, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_closed_peer_that_is_kept_holds_no_descriptor(
    client: Client,
) -> None:
    client.ssh("serve\n")
    client.commands(OPENING)
    with serving(client) as server:
        # The first one starts what runs the scripts.
        server.rawcommand([b"lookup"])
        before = descriptors(server.server.pid)
        with pytest.raises(hglib.error.CommandError):
            server.rawcommand([b"keep", b"50"])
        assert descriptors(server.server.pid) == before


OUTER = """\
from mercurial import commandserver, extensions

outer = []


def uisetup(ui):
    extensions.wrapfunction(commandserver.server, '__init__', init)


def init(orig, self, ui, *args, **kwargs):
    orig(self, ui, *args, **kwargs)
    outer.append(connect(ui))


@command(b'outer', [], norepo=True)
def askouter(ui):
    ui.write(outer[0].lookup(b'tip')[:6].hex().encode() + b'\\n')
"""

# The pool is remotefilelog's own, in a repository that is not: for one that
# is, both sides would need a configuration that has nothing to do with this.
POOLED = """\
from hgext.remotefilelog import connectionpool


def reposetup(ui, repo):
    repo.connectionpool = connectionpool.connectionpool(repo)


@command(b'pooled', [])
def pooled(ui, repo):
    with repo.connectionpool.get(b'ssh://server/repo') as connection:
        ui.write(connection.peer.lookup(b'tip')[:6].hex().encode() + b'\\n')
"""


def test_a_command_server_keeps_nothing_of_its_commands(
    client: Client,
) -> None:
    client.ssh("serve\n")
    client.commands(OPENING)
    with serving(client) as server:
        pid = server.server.pid
        commands = [
            [b"id", URL.encode()],
            [b"lookup"],
            [b"tangle", b"1"],
            [b"drop", b"1"],
        ]

        def run(times: int) -> None:
            for number in range(times):
                server.rawcommand(commands[number % len(commands)])
                # Neither processes nor zombies.
                assert children(pid) == []

        run(52)
        before = descriptors(pid), resident(pid)
        run(148)
        assert descriptors(pid) == before[0]
        assert resident(pid) <= before[1] + MARGIN_BYTES
        counts = server.rawcommand([b"counts"]).decode().splitlines()
        assert "opened 200" in counts
        assert "open 0" in counts
        assert "leaked 150" in counts
        assert "closed 200" in counts
        until(
            "every script",
            lambda: client.home.read("events").count('"peerclose"') == 200,
        )


def test_a_command_closes_what_it_has_opened_itself(client: Client) -> None:
    client.ssh("serve\n")
    client.commands(OPENING + OUTER)
    with serving(client) as server:
        (outer,) = client.marks("starts")
        for command in ([b"keep", b"50"], [b"tangle", b"3"], [b"drop", b"3"]):
            with contextlib.suppress(hglib.error.CommandError):
                server.rawcommand(command)
            assert server.rawcommand([b"outer"]) == f"{TIP}\n".encode()
            others = set(client.marks("starts")) - {outer}
            assert lives(outer)
            assert not any(map(lives, others))
            assert len(children(server.server.pid)) == 1
        counts = server.rawcommand([b"counts"]).decode().splitlines()
        assert "open 1" in counts
        assert "leaked 56" in counts
    # It has ended with the command that the server is.
    assert not lives(outer)
    ends = '"canonical_command":"serve"'
    until("the server's end", lambda: ends in client.home.read("events"))


def test_pooled_connections_outlive_their_command(client: Client) -> None:
    client.ssh("serve\n")
    client.commands(OPENING + POOLED)
    with serving(client) as server:
        for _ in range(3):
            assert server.rawcommand([b"pooled"]) == f"{TIP}\n".encode()
            server.rawcommand([b"lookup"])
        # One for all, and one for each of the others.
        first, *others = client.marks("starts")
        assert len(others) == 3
        assert lives(first)
        assert not any(map(lives, others))
    assert not lives(first)
