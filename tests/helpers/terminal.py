"""A terminal, and an interactive shell in it that has job control."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from pathlib import Path

import processes

# What the shell shows when it waits for a command; nothing else prints it.
PROMPT = "ready<%s> "


class Terminal:
    """The far end of a pty, and the shell at the near end."""

    def __init__(self, env: dict[str, str], cwd: Path) -> None:
        self.shown = ""
        # How much of `shown` has been looked at.
        self.at = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                    signal.signal(name, signal.SIG_DFL)
                # No line editing: the terminal shows what is typed as it is.
                shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
                os.execvpe("bash", shell, {**env, "PS1": PROMPT % "$?"})
            finally:
                os._exit(127)
        self.resize(24, 80)
        self.prompt()

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def line(self, text: str) -> None:
        """Types a line and waits until it has been echoed."""
        self.type(text + "\n")
        self.expect(re.escape(text) + r"\r?\n")

    def expect(self, pattern: str) -> re.Match[str]:
        """Waits until this is shown, after what was expected before."""
        deadline = time.monotonic() + processes.DEADLINE
        while True:
            match = re.compile(pattern).search(self.shown, self.at)
            if match:
                self.at = match.end()
                return match
            remaining = deadline - time.monotonic()
            unread = self.shown[self.at :]
            assert remaining > 0, f"waited in vain for {pattern!r}: {unread!r}"
            if select.select([self.fd], [], [], remaining)[0]:
                try:
                    text = os.read(self.fd, 65536)
                except OSError:
                    text = b""
                assert text, f"the end, and no {pattern!r}: {unread!r}"
                self.shown += text.decode("utf-8", "replace")

    def prompt(self) -> int:
        """Waits for the shell's prompt; the status of the last command."""
        return int(self.expect(PROMPT % r"(\d+)")[1])

    def run(self, text: str) -> tuple[int, str]:
        """Runs a command to its end: its status, and what was shown."""
        self.line(text)
        start = self.at
        status = self.prompt()
        prompt = PROMPT % status
        shown = self.shown[start : self.at - len(prompt)]
        return status, shown.replace("\r\n", "\n")

    def hang_up(self) -> None:
        """Takes the terminal away."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        self.hang_up()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
