"""hg behind chg: one server, whose forked workers run the commands."""

from __future__ import annotations

import os

import processes
from conftest import Chg, Home, chg_servers, until


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
