"""Prints what this process has inherited.

Process ids of its own are left out, so that two runs can be compared.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

STATUS = ("SigBlk", "SigIgn", "Umask", "NoNewPrivs", "Seccomp", "Uid", "Gid")
# Ours, and what a shell sets for each program.
OWN_VARIABLES = ("UILOG_", "_=")


def descriptors() -> list[str]:
    """The descriptors that were open, and what they were."""
    descriptors = []
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        try:
            descriptors.append(f"fd {fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            # That of the listing itself.
            pass
    return descriptors


def main() -> None:
    lines = descriptors()
    status = Path("/proc/self/status").read_text()
    for name in STATUS:
        value = re.search(rf"^{name}:\s*(.*)$", status, re.MULTILINE)
        lines.append(f"{name} {value and value[1]}")
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # Process group, session, terminal, its foreground group, nice value.
    lines += [f"stat {stat[i]}" for i in (3, 4, 5, 16)]
    lines.append(Path("/proc/self/limits").read_text())
    lines.append(Path("/proc/self/oom_score_adj").read_text())
    lines.append(Path("/proc/self/cgroup").read_text())
    lines.append(os.getcwd())
    lines.append(repr(sys.argv))
    # Not os.environ: that has no duplicates, no order and no bare names.
    environ = Path("/proc/self/environ").read_bytes().split(b"\0")
    own = tuple(name.encode() for name in OWN_VARIABLES)
    lines += [repr(it) for it in environ if not it.startswith(own)]
    text = "\n".join(lines) + "\n"
    Path(os.environ["OUT"], os.environ["AS"]).write_text(text)


main()
