"""Bare Debian systems to install in, made by debootstrap.

Responsible for making the system of a release once, for a copy of it that a
test may change (an overlay, in this process's own mount namespace), and for
running commands in it as root or as a user. Must not know what is installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
# Nothing but what the tests are about; no Rust, no compiler.
PACKAGES = "python3,python3-pip,mercurial"
USER, UID = "alice", 1000
# Where programs that we run may write without asking.
UNOBSERVED = (
    "dev",
    "home",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
    "var/tmp",
)
TIMEOUT = 600
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str


def make_base(cache: Path, suite: str) -> Path:
    """The system of a release, which nothing may change."""
    base = cache / suite
    if base.exists():
        return base
    new = cache / f"{suite}.new"
    shutil.rmtree(new, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{suite}.log").open("w") as log:
        subprocess.run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={PACKAGES}",
                suite,
                str(new),
                MIRROR,
            ],
            check=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    for archive in (new / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    new.rename(base)
    return base


class Root:
    """A copy of a system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path / "home" / USER

    def run(self, script: str, user: str = "root", **env: str) -> Done:
        """Runs a shell script; all its processes have ended then."""
        home = f"/home/{USER}" if user == USER else "/root"
        names = {
            "HOME": home,
            "LANG": "C.UTF-8",
            "PATH": PATH,
            "DEBIAN_FRONTEND": "noninteractive",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            **env,
        }
        done = subprocess.run(
            [
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                f"--mount-proc={self.path / 'proc'}",
                "chroot",
                f"--userspec={user}",
                str(self.path),
                "/usr/bin/env",
                "--ignore-environment",
                *(f"{name}={value}" for name, value in names.items()),
                "/bin/sh",
                "-euc",
                f"cd {home}\n{script}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            timeout=TIMEOUT,
        )
        return Done(done.returncode, done.stdout)

    def give(self, path: Path) -> str:
        """Copies a file into /tmp; returns its path inside."""
        shutil.copy(path, self.path / "tmp" / path.name)
        return f"/tmp/{path.name}"

    def files(self) -> set[str]:
        """What is there, except for what other programs may leave anywhere."""
        found = set()
        for directory, names, files in os.walk(self.path):
            here = os.path.relpath(directory, self.path)
            names[:] = [
                it
                for it in names
                if os.path.normpath(f"{here}/{it}") not in UNOBSERVED
            ]
            for name in files + names:
                path = os.path.normpath(f"{here}/{name}")
                # Of a module of others that had not been compiled before.
                if (
                    not path.endswith((".pyc", "__pycache__"))
                    or "uilog" in path
                ):
                    found.add(path)
        return found


@contextlib.contextmanager
def fresh(base: Path) -> Iterator[Root]:
    """A copy of a system with a user. It is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="uilog-root.") as tmp:
        upper, work, merged = (Path(tmp) / it for it in ("u", "w", "m"))
        for directory in (upper, work, merged):
            directory.mkdir()
        # What / looks like to users is that of the upper directory.
        upper.chmod(0o755)
        options = f"lowerdir={base},upperdir={upper},workdir={work}"
        subprocess.run(
            ["mount", "-t", "overlay", "-o", options, "overlay", str(merged)],
            check=True,
        )
        try:
            root = Root(merged)
            done = root.run(f"useradd --create-home --uid {UID} {USER}")
            if done.status != 0:
                raise RuntimeError(done.output)
            yield root
        finally:
            subprocess.run(["umount", str(merged)], check=True)
