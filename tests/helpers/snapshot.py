"""The second half of snapshot.sh: what a process finds itself in, as text."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# Of the shell that started us: which ones differs from shell to shell.
SHELL_VARIABLES = ("_", "SHLVL", "OLDPWD")


def signals(mask: str) -> str:
    """The names of the signals in a mask of /proc/PID/status."""
    bits = int(mask, 16)
    # Not 32 and 33, which are the C library's own: posix_spawn, by which make
    # starts its commands, leaves them ignored.
    numbers = [n for n in range(1, 32) if bits >> (n - 1) & 1]
    return " ".join(signal.Signals(n).name for n in numbers) or "none"


def describe(status: Path) -> list[str]:
    masks = {}
    for line in status.read_text().splitlines():
        key, _, value = line.partition(":")
        masks[key] = value.strip()
    umask = os.umask(0)
    lines = [
        f"cwd {os.getcwd()}",
        f"umask {umask:04o}",
        f"ids {masks['Uid']} {masks['Gid']} {masks['Groups']}".rstrip(),
        f"signals ignored: {signals(masks['SigIgn'])}",
        f"signals blocked: {signals(masks['SigBlk'])}",
        f"session: {session()}",
    ]
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            lines.append(f"fd {name} {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            # The one that listed them.
            continue
    for variable, value in sorted(os.environ.items()):
        if variable not in SHELL_VARIABLES:
            lines.append(f"env {variable}={value}")
    return lines


def session() -> str:
    """Whose session this is; TEST_SESSION is that of the hg that logged."""
    test = int(os.environ["TEST_SESSION"])
    has_terminal = True
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        has_terminal = False
    whose = "hg's" if os.getsid(0) == test else "its own"
    return f"{whose}, {'a' if has_terminal else 'no'} terminal"


def main() -> None:
    out = Path(sys.argv[1])
    status = out.with_name(out.name + ".status")
    text = "\n".join(describe(status)) + "\n"
    status.unlink()
    new = out.with_name(out.name + ".new")
    new.write_text(text, errors="surrogateescape")
    new.rename(out)


if __name__ == "__main__":
    main()
