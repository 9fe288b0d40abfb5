"""hg behind chg: one server, whose forked workers run the commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import processes
from conftest import Chg, Home, chg_servers, until
from growing import whole_lines


def test_each_command_has_its_own_surroundings(home: Home, chg: Chg) -> None:
    home.configure(
        "[uilog]\nmax-scripts = 1\n[logtoprocess]\n"
        'commandfinish = echo "$OPT_CANONICAL_COMMAND $WORD $(pwd) $(umask)"'
        " >> $OUT/finish\n"
    )
    repository = home.repository()
    assert not processes.wait_until_gone(str(home.path))
    (home.out / "finish").unlink()
    expected = []
    for number in range(5):
        directory = home.path / f"d{number}"
        directory.mkdir()
        umask = os.umask(0o022 if number % 2 else 0o077)
        try:
            chg("root", "-R", str(repository), cwd=directory, WORD=f"w{number}")
        finally:
            os.umask(umask)
        mask = "0022" if number % 2 else "0077"
        expected.append(f"root w{number} {directory} {mask}")
        until(
            "its script", lambda: home.read("finish").splitlines() == expected
        )


def test_the_configuration_is_that_of_the_command(home: Home, chg: Chg) -> None:
    def script(word: str) -> str:
        # The server is a command, too.
        only = 'test "$OPT_CANONICAL_COMMAND" != root'
        return f"commandfinish = {only} || echo {word} >> $OUT/log"

    repository = home.repository()
    home.configure(f"[logtoprocess]\n{script('file')}\n")
    chg("root", cwd=repository)
    until("the file's", lambda: home.read("log").split() == ["file"])
    option = "logtoprocess." + script("option").replace(" = ", "=", 1)
    chg("root", "--config", option, cwd=repository)
    until("the option's", lambda: home.read("log").split()[1:] == ["option"])
    home.configure(f"[logtoprocess]\n{script('changed')}\n")
    chg("root", cwd=repository)
    until("the changed", lambda: home.read("log").split()[2:] == ["changed"])


def records(path: Path) -> list[dict[str, Any]]:
    """What a sink `file:` has got so far."""
    return [json.loads(it) for it in whole_lines(path).splitlines()]


def ends(path: Path) -> list[dict[str, Any]]:
    """The ends of commands among them."""
    return [it for it in records(path) if it["event"] == "commandfinish"]


def ended(repository: Path) -> list[str]:
    """The first words of the commands whose ends a blackbox has."""
    log = (repository / ".hg" / "blackbox.log").read_text()
    messages = [line.partition("> ")[2] for line in log.splitlines()]
    return [it.split()[0] for it in messages if " exited " in it]


def test_options_of_the_first_command_do_not_stay(home: Home, chg: Chg) -> None:
    # The first command starts the server, and chg gives that the command's
    # `--config`, `-R` and environment as well.
    repository = home.repository()
    every, first = home.path / "every.jsonl", home.path / "first.jsonl"
    home.configure(
        f"[extensions]\nblackbox =\n[uilog]\nsink.every = file:{every}\n"
    )
    options = [
        f"uilog.sink.first=file:{first}",
        "logtoprocess.commandfinish=echo $OPT_CANONICAL_COMMAND >> $OUT/first",
        "blackbox.track=nothing",
    ]
    config = [word for it in options for word in ("--config", it)]
    session, trace = "1" * 32, "2" * 32
    chg(
        *("root", "-R", str(repository), *config),
        UILOG_SESSION=session,
        TRACEPARENT=f"00-{trace}-{'3' * 16}-01",
    )
    # Outside of any repository.
    chg("init", "other")
    chg("branch", cwd=repository)
    session_of_last, trace_of_last = "4" * 32, "5" * 32
    chg(
        "id",
        cwd=repository,
        UILOG_SESSION=session_of_last,
        TRACEPARENT=f"00-{trace_of_last}-{'6' * 16}-01",
    )
    (server,) = chg_servers(home)
    until("every command", lambda: len(ends(every)) == 4)
    root, init, branch, last = ends(every)
    names = ["root", "init", "branch", "identify"]
    assert [it["process"]["command"] for it in ends(every)] == names
    assert (root["parent_session"], root["trace_id"]) == (session, trace)
    assert root["repository"]["root"] == str(repository)
    assert "repository" not in init
    for it in (init, branch):
        assert it["trace_id"] not in (trace, trace_of_last)
        assert it.get("parent_session") not in (session, session_of_last)
    assert last["parent_session"] == session_of_last
    assert last["trace_id"] == trace_of_last
    # The server's own end is logged without them, too.
    os.kill(server.pid, signal.SIGTERM)
    until("the server's end", lambda: len(ends(every)) == 5)
    assert not processes.wait_until_gone(str(home.path))
    assert [it["process"]["command"] for it in ends(first)] == ["root"]
    assert {it["session"] for it in records(first)} == {root["session"]}
    assert home.read("first") == "root\n"
    # What the server itself writes is in its repository, as with stock hg.
    assert set(ended(repository)) - {"serve"} == {"branch", "id"}


def test_one_server_tells_its_repositories_apart(home: Home, chg: Chg) -> None:
    every = home.path / "every.jsonl"
    first = home.repository()
    second = home.path / "second"
    shutil.copytree(first, second, symlinks=True)
    home.configure(
        f"[extensions]\nblackbox =\n[uilog]\nsink.every = file:{every}\n"
    )
    elsewhere = home.path / "elsewhere"
    elsewhere.mkdir()
    commands = [
        (first, second, ["id", "-R", str(second)]),
        (second, first, ["--cwd", "../repo", "branch"]),
        (elsewhere, second, ["id", "-R", "../second"]),
        (elsewhere, None, ["init", "third"]),
        (first, first, ["root"]),
    ]
    for cwd, _root, command in commands:
        chg(*command, cwd=cwd)
    until("every command", lambda: len(ends(every)) == len(commands))
    expected = [root and str(root) for _cwd, root, _command in commands]
    for event in ("command", "commandfinish"):
        found = [it for it in records(every) if it["event"] == event]
        roots = [it.get("repository", {}).get("root") for it in found]
        # The server is one, too, which the first command has started.
        assert roots[-len(expected) :] == expected
        directories = [Path(it["process"]["cwd"]) for it in found]
        # hg goes back from where `--cwd` has led before it logs the end.
        is_inside = event == "command"
        assert directories[-len(expected) :] == [
            first if cwd == second and is_inside else cwd
            for cwd, _root, _command in commands
        ]
    assert ended(first) == ["--cwd", "root"]
    # As by stock hg: what belongs to no repository is written where the server
    # has begun.
    assert ended(second) == ["id", "id", "init"]


def test_a_server_keeps_nothing_of_its_workers(home: Home, chg: Chg) -> None:
    repository = home.repository()
    home.configure("[logtoprocess]\ncommandfinish = echo x >> $OUT/log\n")
    chg("root", cwd=repository)
    (server,) = (
        s for s in chg_servers(home) if s.parent not in pids(chg_servers(home))
    )
    until("the first worker to be gone", lambda: not children(server.pid))
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    for _ in range(30):
        chg("root", cwd=repository)
    until("every script", lambda: home.read("log") == "x\n" * 31)
    until("the workers to be gone", lambda: not children(server.pid))
    assert len(os.listdir(f"/proc/{server.pid}/fd")) == before


def pids(of: list[processes.Process]) -> set[int]:
    return {process.pid for process in of}


def children(pid: int) -> list[processes.Process]:
    return [p for p in processes.everyone() if p.parent == pid]
