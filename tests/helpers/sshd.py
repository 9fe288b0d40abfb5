"""An OpenSSH server of the test's own, on the loopback interface.

Its keys and its configuration, and those of its clients, are in a directory
of the test's. Nothing of the user's is read or written but the account.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import processes

# Where it often is, and where a user's PATH often is not.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

# Of a server that is started by root.
PRIVILEGE_SEPARATION = Path("/run/sshd")

# How often somebody else may take a port that has just been free.
ATTEMPTS = 5

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host
PidFile {directory}/pid
AuthorizedKeysFile {directory}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PermitUserRC no
UseDNS no
"""

CLIENT = """\
Host server
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {directory}/user
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {directory}/known
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    BatchMode yes
    # The one that takes the least time.
    KexAlgorithms curve25519-sha256
"""


@dataclass(frozen=True)
class Sshd:
    """A server that runs, and how to reach it."""

    config: Path

    @property
    def ssh(self) -> str:
        """The command for a client; the host is `server`."""
        return f"ssh -F {self.config}"

    def configure(self, text: str) -> None:
        """Adds lines for the host to the clients' configuration."""
        with self.config.open("a") as fp:
            fp.write(text)


def program() -> str | None:
    path = os.environ.get("PATH", os.defpath)
    return shutil.which("sshd", path=f"{path}{os.pathsep}{SYSTEM_PATH}")


def missing() -> str | None:
    """Why there can be no server, if so."""
    if program() is None:
        return "there is no sshd (of the package openssh-server)"
    for name in ("ssh", "ssh-keygen"):
        if shutil.which(name) is None:
            return f"there is no {name} (of the package openssh-client)"
    return None


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Sshd]:
    """A server as long as it is needed, with its files in this directory."""
    directory.mkdir()
    for name in ("host", "user"):
        key = str(directory / name)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
        subprocess.run(argv, check=True)
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    server, port = start(directory)
    try:
        host = (directory / "host.pub").read_text()
        (directory / "known").write_text(f"[127.0.0.1]:{port} {host}")
        config = directory / "client"
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = CLIENT.format(directory=directory, port=port, user=user)
        config.write_text(text)
        yield Sshd(config)
    finally:
        server.terminate()
        server.wait()


def start(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server that listens, and its port."""
    path = program()
    assert path is not None, missing()
    log = directory / "log"
    for _ in range(ATTEMPTS):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        config = directory / "server"
        config.write_text(SERVER.format(directory=directory, port=port))
        argv = [path, "-D", "-f", str(config), "-E", str(log)]
        server = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + processes.DEADLINE
        while server.poll() is None:
            # It writes this once it listens.
            if (directory / "pid").exists():
                return server, port
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
    raise AssertionError(f"sshd has ended at once: {log.read_text()}")
