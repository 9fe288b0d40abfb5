"""The emergency brake where one process serves many commands."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Chg, Home, chg_servers, until
from growing import whole_lines
from terminal import Terminal

OFF = "[uilog]\nenabled = no\n"


def ended(path: Path) -> list[str]:
    """The commands whose ends a sink `file:` has."""
    if not path.exists():
        return []
    records = [json.loads(it) for it in whole_lines(path).splitlines()]
    ends = [it for it in records if it["event"] == "commandfinish"]
    return [it["process"]["command"] for it in ends]


def test_chg_serves_each_client_by_its_environment(
    home: Home, chg: Chg
) -> None:
    repository = home.repository()
    log = home.path / "log"
    home.configure(f"[uilog]\nsink.file = file:{log}\n")
    # The first one starts a server that knows nothing of uilog.
    chg("root", cwd=repository, UILOG="off")
    assert "is switched off" in chg("debuguilog", cwd=repository, UILOG="off")
    (server,) = chg_servers(home)
    chg("id", cwd=repository)
    chg("root", cwd=repository, UILOG="off")
    chg("branch", cwd=repository)
    until("both commands", lambda: ended(log) == ["identify", "branch"])
    # There are two, and both stay.
    servers = chg_servers(home)
    assert len(servers) == 2
    assert server.pid in {it.pid for it in servers}


def test_chg_sees_that_the_configuration_has_changed(
    home: Home, chg: Chg
) -> None:
    repository = home.repository()
    log = home.path / "log"
    home.configure(f"[uilog]\nsink.file = file:{log}\n")
    text = home.hgrc.read_text()
    chg("id", cwd=repository)
    until("a command", lambda: ended(log) == ["identify"])
    home.configure(OFF)
    chg("root", cwd=repository)
    assert "is switched off" in chg("debuguilog", cwd=repository)
    home.hgrc.write_text(text)
    chg("root", "--config", "uilog.enabled=no", cwd=repository)
    chg("branch", cwd=repository)
    until("a command", lambda: ended(log) == ["identify", "branch"])


def test_a_command_server_heeds_each_command(home: Home) -> None:
    repository = home.repository()
    log = home.path / "log"
    scripts = 'commandfinish = echo "$OPT_CANONICAL_COMMAND" >> $OUT/finish'
    home.configure(
        f"[extensions]\nlogtoprocess =\nblackbox =\n"
        f"[blackbox]\ntrack = commandfinish\n"
        f"[uilog]\nsink.file = file:{log}\n"
        f"[logtoprocess]\n{scripts}\n"
    )
    other = home.path / "other"
    other.mkdir()
    with home.serving(repository) as client:
        client.rawcommand([b"init", str(other).encode()])
        (other / ".hg" / "hgrc").write_text(OFF)
        client.rawcommand([b"id"])
        client.rawcommand([b"root", b"--config", b"uilog.enabled=no"])
        # The end is logged with a ui that knows nothing of the repository.
        client.rawcommand([b"tip", b"-R", str(other).encode()])
        client.rawcommand([b"branch"])
        commands = ["init", "identify", "branch"]
        until("the last command", lambda: ended(log)[2:] == ["branch"])
        assert ended(log) == commands
        # hg's own extension has run the scripts of the others.
        own = {"init", "identify", "root", "branch"}

        def run() -> set[str]:
            return set(home.read("finish").splitlines()) - {"serve"}

        until("all scripts", lambda: own <= run())


def test_emit_says_on_a_terminal_that_nothing_is_logged(home: Home) -> None:
    why = "UILOG=off in the environment"
    text = f"uilog: nothing is logged: uilog is switched off: {why}\n"
    terminal = Terminal({**home.env, "UILOG": "off"}, home.path)
    try:
        assert terminal.run("uilog emit backup done") == (0, text)
        assert terminal.run("uilog emit backup done 2>/dev/null") == (0, "")
        # The command has the terminal to itself.
        assert terminal.run("uilog run -- tty | grep -c dev/pts") == (0, "1\n")
    finally:
        terminal.close()
