"""`uilog open --follow` in a real terminal: tmux's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from conftest import Home, until

# A hook that goes on until somebody lets it.
HOOK = "while test ! -e {go}; do sleep 0.05; done"
NAME = "a-file-whose-name-is-longer-than-a-terminal-of-eighty-columns-is-wide"


class Tmux:
    """A terminal with a shell."""

    def __init__(self, home: Home, columns: int, lines: int) -> None:
        self.home = home
        self.socket = home.path / "tmux"
        size = ["-x", str(columns), "-y", str(lines)]
        self("new-session", "-d", "-s", "t", *size, "sh")
        self("set-option", "-g", "window-size", "manual")
        self.resize(columns, lines)
        self.type("PS1='ready> '")
        self.until("\nready>")

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-f", "/dev/null", "-S", str(self.socket)]
        return self.home.run(*command, *arguments, TERM="screen", TMUX="")

    def resize(self, columns: int, lines: int) -> None:
        self("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))

    def type(self, text: str) -> None:
        self("send-keys", "-t", "t", "-l", text)
        self("send-keys", "-t", "t", "Enter")

    def key(self, name: str) -> None:
        self("send-keys", "-t", "t", name)

    def screen(self) -> list[str]:
        """Its lines, without blanks at their ends."""
        return self("capture-pane", "-p", "-t", "t").splitlines()

    def whole(self) -> str:
        return "\n".join(self.screen())

    def until(self, *texts: str) -> list[str]:
        """Waits until all of this is shown."""
        seen: list[list[str]] = [[]]

        def is_shown() -> bool:
            seen[0] = self.screen()
            whole = "\n".join(seen[0])
            return all(text in whole for text in texts)

        try:
            until(str(texts), is_shown)
        except AssertionError as error:
            shown = "\n".join(seen[0])
            raise AssertionError(f"{error}; shown is:\n{shown}") from None
        return seen[0]

    def is_alternate(self) -> bool:
        return self.format("#{alternate_on}") == "1"

    def format(self, text: str) -> str:
        return self("display-message", "-p", "-t", "t", text).strip()


@contextlib.contextmanager
def tmux(home: Home, columns: int, lines: int) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    terminal = Tmux(home, columns, lines)
    try:
        yield terminal
    finally:
        terminal("kill-server")


def follower(home: Home) -> int:
    """The process of `uilog open`."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [
            it.pid
            for it in processes.of_home(str(home.path))
            if it.argv[1:2] == ("open",)
        ]
        return bool(found)

    until("`uilog open`", is_there)
    return found[0]


@contextlib.contextmanager
def waiting(home: Home, repository: Path) -> Iterator[list[int]]:
    """A commit whose hook goes on, and another that waits for its lock."""
    go = home.path / "go"
    (repository / "a").write_text("changed")
    hook = f"hooks.pretxncommit.slow={HOOK.format(go=go)}"
    running = []

    def start(*arguments: str) -> int:
        process = subprocess.Popen(
            arguments,
            cwd=repository,
            env=home.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.append(process)
        return process.pid

    try:
        first = start("hg", "commit", "-m", "holder", "--config", hook)
        until("the lock", lambda: os.path.lexists(repository / ".hg/wlock"))
        second = start("hg", "commit", "-m", "waiter", NAME)
        yield [first, second]
    finally:
        go.touch()
        for process in running:
            process.wait(processes.DEADLINE)


def test_a_terminal_is_kept_up_to_date_and_given_back(home: Home) -> None:
    repository = home.repository()
    home.configure("[uilog]\nhistory = yes\n[ui]\ntimeout = 600\n")
    with tmux(home, 80, 24) as terminal:
        terminal.type("echo before; stty -a >$OUT/before")
        terminal.until("\nbefore", "ready>")
        with waiting(home, repository) as (holder, waiter):
            terminal.type("uilog open --follow")
            lines = terminal.until(
                f"pid {holder}",
                f"pid {waiter}  hg commit -m <redacted:message> a-file",
                "runs a hook named pretxncommit.slow",
                "waits for wlock",
                "q: quit",
            )
            assert terminal.is_alternate()
            assert max(map(len, lines)) <= 80
            # The one that waits stands below the one that holds.
            names = [line for line in lines if " hg commit" in line]
            assert f"  pid {holder}  hg commit" in names[0]
            assert names[1].startswith("└─")
            # It is cut, and says so.
            assert names[1].endswith("…")
            # As much as there is room for, as soon as there is more.
            terminal.resize(200, 50)
            terminal.until(NAME, f"pid {waiter}")
            terminal.resize(80, 3)
            terminal.until("lines more; q: quit")
            terminal.resize(80, 24)
            terminal.until("waits for wlock")
        until("the commit to be gone", lambda: NAME not in terminal.whole())
        # Ways to end it; each time the terminal is as it was.
        for end in ("q", "C-c", "SIGTERM", "SIGHUP", "C-z"):
            pid = follower(home)
            if end == "C-z":
                terminal.key(end)
                until("the shell", lambda: not terminal.is_alternate())
                terminal.type("fg")
                until("the screen", terminal.is_alternate)
                terminal.until("q: quit")
                terminal.key("q")
                status = 0
            elif end.startswith("SIG"):
                os.kill(pid, signal.Signals[end])
                status = 128 + signal.Signals[end]
            else:
                terminal.key(end)
                status = 0
            until("the shell", lambda: not terminal.is_alternate())
            terminal.type("echo status=$?; stty -a >$OUT/after; echo done")
            terminal.until(f"status={status}\ndone", "\nbefore")
            assert terminal.format("#{cursor_flag}") == "1"
            until("stty", lambda: home.read("after"))
            assert home.read("after") == home.read("before")
            (home.out / "after").unlink()
            if end != "C-z":
                terminal.type("clear; echo; echo before; uilog open -f")
                terminal.until("q: quit")


def test_it_follows_terminals_only(home: Home) -> None:
    done = subprocess.run(
        ["uilog", "open", "--follow"],
        env=home.env,
        cwd=home.path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--follow: standard output is no terminal" in done.stderr
