"""`uilog run` in a shell on a terminal: jobs, keys, windows, passwords."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator

import processes
import pytest
from conftest import Home, until
from run_processes import LISTENER, gone, in_state, wrapper_of
from terminal import Terminal

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="uilog run is for Linux"
)


@pytest.fixture
def terminal(home: Home) -> Iterator[Terminal]:
    """A terminal with a shell, in the home."""
    listener = home.path / "listener.py"
    listener.write_text(LISTENER)
    terminal = Terminal(home.env, home.path)
    yield terminal
    terminal.close()


def listen(terminal: Terminal, *names: str) -> int:
    """Starts the listener in the foreground; its process."""
    terminal.line(f"uilog run -- python3 listener.py {' '.join(names)}")
    return int(terminal.expect(r"pid (\d+)\r\n")[1])


def test_ctrl_c_reaches_the_command_once(terminal: Terminal) -> None:
    pid = listen(terminal, "SIGINT")
    terminal.type("\x03")
    terminal.expect("got SIGINT\r\n")
    terminal.type("\x03")
    terminal.expect("got SIGINT\r\n")
    os.kill(pid, signal.SIGKILL)
    assert terminal.prompt() == 128 + signal.SIGKILL
    assert terminal.shown.count("got SIGINT") == 2


def test_ctrl_c_ends_the_shells_loop(terminal: Terminal) -> None:
    terminal.line("while true; do uilog run -- sleep 100; echo again; done")
    until("sleep", lambda: sleeping(terminal))
    terminal.type("\x03")
    assert terminal.prompt() == 128 + signal.SIGINT
    assert "again" not in terminal.shown.split("done", 1)[1]


def sleeping(terminal: Terminal) -> list[processes.Process]:
    """The sleeps that a shell's commands have started."""
    by_pid = {process.pid: process for process in processes.everyone()}

    def is_below(process: processes.Process) -> bool:
        parent = by_pid.get(process.parent)
        if process.parent == terminal.pid or parent is None:
            return parent is not None
        return is_below(parent)

    sleeps = [it for it in by_pid.values() if it.argv[:1] == ("sleep",)]
    return [it for it in sleeps if is_below(it)]


def test_ctrl_backslash(terminal: Terminal) -> None:
    terminal.line("ulimit -c 0; uilog run -- sleep 100")
    until("sleep", lambda: sleeping(terminal))
    terminal.type("\x1c")
    terminal.expect("Quit")
    assert terminal.prompt() == 128 + signal.SIGQUIT


def test_ctrl_z_and_fg(terminal: Terminal) -> None:
    pid = listen(terminal, "SIGINT")
    wrapper = wrapper_of(pid)
    terminal.type("\x1a")
    terminal.expect(r"\[1\]\+  Stopped +uilog run")
    assert terminal.prompt() == 128 + signal.SIGTSTP
    in_state(pid, "T")
    in_state(wrapper, "T")
    terminal.line("fg")
    in_state(pid, "S")
    in_state(wrapper, "S")
    terminal.type("\x03")
    terminal.expect("got SIGINT\r\n")
    # And once more.
    terminal.type("\x1a")
    terminal.expect(r"\[1\]\+  Stopped +uilog run")
    terminal.prompt()
    terminal.line("fg")
    in_state(pid, "S")
    terminal.type("\x03")
    terminal.expect("got SIGINT\r\n")
    os.kill(pid, signal.SIGKILL)
    assert terminal.prompt() == 128 + signal.SIGKILL


def test_ctrl_z_and_bg(terminal: Terminal) -> None:
    pid = listen(terminal)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.prompt()
    terminal.run("bg")
    in_state(pid, "S")
    in_state(wrapper_of(pid), "S")
    terminal.run("kill %1")
    gone(pid)
    until(
        "the shell to be told",
        lambda: "Terminated" in terminal.run("jobs")[1] + terminal.shown,
    )


def test_kill_of_a_stopped_job(terminal: Terminal) -> None:
    pid = listen(terminal)
    wrapper = wrapper_of(pid)
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.prompt()
    terminal.run("kill %1")
    gone(pid)

    def has_ended() -> bool:
        # When a shell reaps a job that it has ended, is its own affair.
        process = processes.look(wrapper)
        return process is None or process.state == "Z"

    until("the end of the wrapper", has_ended)


def test_a_command_that_catches_ctrl_z_goes_on(terminal: Terminal) -> None:
    pid = listen(terminal, "SIGTSTP", "SIGINT")
    terminal.type("\x1a")
    terminal.expect("got SIGTSTP\r\n")
    terminal.type("\x03")
    terminal.expect("got SIGINT\r\n")
    in_state(wrapper_of(pid), "S")
    os.kill(pid, signal.SIGKILL)
    terminal.prompt()
    assert terminal.shown.count("got SIGTSTP") == 1


def test_a_command_that_stops_itself(terminal: Terminal) -> None:
    for name in ("STOP", "TSTP", "TTIN", "TTOU"):
        terminal.line(f"uilog run -- sh -c 'kill -{name} $$; echo on; exit 4'")
        terminal.expect("Stopped")
        terminal.prompt()
        terminal.line("fg")
        terminal.expect("on\r\n")
        assert terminal.prompt() == 4


def test_a_command_that_stops_its_group(terminal: Terminal) -> None:
    # As an editor does on Ctrl-Z.
    terminal.line("uilog run -- python3 -c 'import os; os.kill(0, 20)'")
    terminal.expect("Stopped")
    terminal.prompt()
    terminal.line("fg")
    assert terminal.prompt() == 0


def test_a_background_command_that_reads_the_terminal(
    terminal: Terminal,
) -> None:
    terminal.run("uilog run -- sh -c 'read line; echo \"<$line>\"' &")
    until("it to be stopped", lambda: "Stopped" in terminal.run("jobs")[1])
    terminal.line("fg")
    terminal.line("words")
    terminal.expect("<words>\r\n")
    assert terminal.prompt() == 0


def test_the_size_of_the_window(terminal: Terminal) -> None:
    pid = listen(terminal, "SIGWINCH")
    terminal.resize(33, 99)
    terminal.expect("got SIGWINCH\r\n")
    os.kill(pid, signal.SIGKILL)
    terminal.prompt()
    assert terminal.shown.count("got SIGWINCH") == 1
    assert terminal.run("uilog run -- stty size") == (0, "33 99\n")


def test_a_password_is_not_shown(terminal: Terminal) -> None:
    terminal.line(
        "uilog run -- python3 -c 'import getpass;"
        " print(\"<%s>\" % getpass.getpass(\"give: \"))'"
    )
    terminal.expect("give: ")
    terminal.type("secret\n")
    between = terminal.expect(r"([^<]*)<secret>\r\n")[1]
    assert "secret" not in between
    assert terminal.prompt() == 0


def test_a_raw_terminal(terminal: Terminal) -> None:
    terminal.line(
        "uilog run -- python3 -c 'import sys, tty, os; tty.setraw(0);"
        " print(\"raw\", flush=True); print(os.read(0, 1), flush=True)'"
        "; stty sane"
    )
    terminal.expect("raw\r?\n")
    # No signal in raw mode.
    terminal.type("\x03")
    terminal.expect(re.escape("b'\\x03'"))
    assert terminal.prompt() == 0


def test_a_terminal_that_goes_away(home: Home, terminal: Terminal) -> None:
    out = home.out / "hup"
    terminal.line(
        "uilog run -- sh -c 'trap \"echo hup >>$OUT/hup; exit\" HUP;"
        " echo there; while :; do sleep 0.1; done'"
    )
    terminal.expect("there\r\n")
    terminal.hang_up()
    until("the signal", out.exists)
    assert processes.wait_until_gone(str(home.path)) == []
    # The kernel signals the group, and so does the shell: who has handled the
    # first signal by then gets a second one, with us or without.
    assert out.read_text() in ("hup\n", "hup\nhup\n")


def test_a_shell_inside(terminal: Terminal) -> None:
    terminal.line("uilog run -- bash --norc --noprofile -i")
    terminal.prompt()
    terminal.line("sleep 100")
    until("sleep", lambda: sleeping(terminal))
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.prompt()
    # A job that the shell still believes stopped keeps it from leaving.
    terminal.run("kill -9 %1; disown %1")
    terminal.line("exit 9")
    assert terminal.prompt() == 9
    # The terminal is the outer shell's again.
    assert terminal.run("echo back") == (0, "back\n")
