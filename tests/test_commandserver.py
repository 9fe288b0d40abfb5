"""A real command server, driven by python-hglib."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hglib
import processes
import pytest
from conftest import Home, until
from growing import whole_lines
from processes import children, descriptors

SCRIPTS = """\
[logtoprocess]
command = echo "$MSG1" >> $OUT/command
commandfinish = echo "$OPT_CANONICAL_COMMAND $OPT_RETURN_CODE" >> $OUT/finish
"""


@pytest.fixture
def server(home: Home) -> Iterator[hglib.client.hgclient]:
    """A command server in a repository."""
    repository = home.repository()
    home.configure(SCRIPTS)
    with home.serving(repository) as client:
        yield client


def count(home: Home, name: str) -> int:
    return len(home.read(name).splitlines())


def test_every_command_reaches_its_script(
    home: Home, server: hglib.client.hgclient
) -> None:
    pid = server.server.pid
    for _ in range(20):
        server.log(limit=1)
    after_twenty = descriptors(pid)
    for _ in range(100):
        server.log(limit=1)
        # No process of ours is a child of the server, not even a dead one.
        assert children(pid) == []
    assert descriptors(pid) == after_twenty
    until("every script", lambda: count(home, "finish") == 120)
    assert set(home.read("finish").splitlines()) == {"log 0"}

    def logged() -> int:
        # The server's own command is there, too.
        lines = home.read("command").splitlines()
        return sum(line.startswith("log ") for line in lines)

    until("every script", lambda: logged() == 120)


def test_configuration_changes_between_commands(
    home: Home, server: hglib.client.hgclient
) -> None:
    def run(*options: str) -> None:
        args = [b"id"]
        for option in options:
            args += [b"--config", option.encode()]
        server.rawcommand(args)

    def scripts(script: str) -> str:
        return f"logtoprocess.commandfinish={script}"

    run(scripts("echo one >> $OUT/order"), "uilog.max-scripts=1")
    run(scripts(""), scripts(""))
    run(scripts("echo two >> $OUT/order"), "uilog.max-scripts=1")
    until("both", lambda: home.read("order").split() == ["one", "two"])
    # The file's own script is back.
    run()
    until("the first script", lambda: home.read("finish") == "identify 0\n")


def test_each_command_has_its_own_directory_and_repository(
    home: Home,
) -> None:
    first = home.repository()
    second = home.path / "second"
    shutil.copytree(first, second, symlinks=True)
    every = home.path / "every.jsonl"
    home.configure(
        "[extensions]\nblackbox =\n"
        f"[uilog]\nmax-scripts = 1\nsink.every = file:{every}\n"
        "[logtoprocess]\ncommand = pwd >> $OUT/command\n"
        "commandfinish = pwd >> $OUT/finish\n"
    )
    once = home.path / "once.jsonl"
    here = Path.cwd()
    commands = [
        (second, second, ["--cwd", str(second), "root"]),
        (here, first, ["root", "--config", f"uilog.sink.once=file:{once}"]),
        (home.path, second, ["--cwd", str(home.path), "-R", "second", "root"]),
        (here, None, ["--cwd", str(home.path / "nowhere"), "root"]),
        (here, None, ["-R", "nowhere", "root"]),
        (here, None, ["init", str(home.path / "third")]),
        (here, first, ["root"]),
    ]
    with home.serving(first) as client:
        for _cwd, _root, command in commands:
            with contextlib.suppress(hglib.error.CommandError):
                client.rawcommand([it.encode() for it in command])
    assert not processes.wait_until_gone(str(home.path))
    found = [json.loads(it) for it in whole_lines(every).splitlines()]
    found = [it for it in found if not it["message"].startswith("serve ")]
    ends = [it for it in found if it["event"] == "commandfinish"]
    assert [it.get("repository", {}).get("root") for it in ends] == [
        root and str(root) for _cwd, root, _command in commands
    ]
    # hg goes back from where `--cwd` has led before it logs the end.
    assert {it["process"]["cwd"] for it in ends} == {str(here)}
    begun = [str(cwd) for cwd, _, it in commands if "nowhere" not in str(it)]
    begins = [it for it in found if it["event"] == "command"]
    assert [it["process"]["cwd"] for it in begins] == begun
    # The same for scripts, of which the server's own command has some, too.
    assert home.read("command").split() == [str(here), *begun]
    assert home.read("finish").split() == [str(here)] * (len(commands) + 1)
    # And the option of one command is nobody else's.
    messages = [
        json.loads(it)["message"] for it in whole_lines(once).splitlines()
    ]
    assert len(messages) == 2, messages
    assert all("once.jsonl" in it for it in messages)


def test_a_failing_command_is_logged_with_its_status(
    home: Home, server: hglib.client.hgclient
) -> None:
    with pytest.raises(hglib.error.CommandError):
        server.rawcommand([b"update", b"--rev", b"nowhere"])
    until("the script", lambda: home.read("finish") == "update 255\n")


def test_a_killed_server_loses_nothing(
    home: Home, server: hglib.client.hgclient
) -> None:
    for _ in range(50):
        server.log(limit=1)
    server.server.kill()
    server.server.wait()
    until("every script", lambda: count(home, "finish") == 50)


def test_sixteen_servers_at_once(home: Home) -> None:
    repository = home.repository()
    home.configure(SCRIPTS)
    arguments = ["hg", "serve", "--cmdserver", "pipe"]
    servers = [
        subprocess.Popen(
            arguments,
            env=home.env,
            cwd=repository,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(16)
    ]
    command = b"id"
    request = b"runcommand\n" + len(command).to_bytes(4, "big") + command
    for server in servers:
        assert server.stdin is not None
        server.stdin.write(request * 5)
        server.stdin.flush()
    for server in servers:
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(100) == 0
    # Of the five commands that each was asked for.
    until("every script", lambda: home.read("finish").count("identify 0") == 80)
