"""What the tests of distributions are made of. Must not know any of them."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Callable

import roots
from roots import Root

# Debian's releases with the version of each one's Mercurial, the oldest first.
SUITES = {"bullseye": "5.6", "bookworm": "6.3", "trixie": "7.0"}
# The first Mercurial that we support is that of the second.
TOO_OLD = "bullseye"


class LeftOut(Exception):
    """A test cannot be run here. The message says why."""


@dataclass(frozen=True)
class Dist:
    """What `make dist` has made, and where systems are kept."""

    directory: Path
    roots: Path

    def one(self, pattern: str) -> Path:
        found = sorted(self.directory.glob(pattern))
        if len(found) != 1:
            raise AssertionError(f"{self.directory}/{pattern}: {found}")
        return found[0]

    @property
    def sdist(self) -> Path:
        return self.one("uilog-*.tar.gz")

    @property
    def wheel(self) -> Path:
        return self.one("uilog-*.whl")

    @property
    def deb(self) -> Path:
        if shutil.which("dpkg-deb") is None:
            raise LeftOut("there is no dpkg-deb")
        return self.one("uilog_*.deb")

    def base(self, suite: str) -> Path:
        if os.geteuid() != 0:
            raise LeftOut("only root can make and enter a system of its own")
        for program in ("debootstrap", "unshare", "chroot", "mount"):
            if shutil.which(program) is None:
                raise LeftOut(f"there is no {program}")
        return roots.make_base(self.roots, suite)


@dataclass(frozen=True)
class Test:
    name: str
    call: Callable[[], None]


def collect(module: ModuleType, directory: Path, cache: Path) -> Iterator[Test]:
    """The functions test_*; what takes a root runs once in each release."""
    dist = Dist(directory, cache)
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        if "root" not in inspect.signature(function).parameters:
            yield Test(name, functools.partial(function, dist))
            continue
        suites = getattr(function, "suites", tuple(SUITES))
        for suite in suites:
            call = functools.partial(in_root, function, dist, suite)
            yield Test(f"{name}[{suite}]", call)


def only(*suites: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks a test that is not for all releases."""

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        function.suites = suites  # type: ignore[attr-defined]
        return function

    return mark


def in_root(function: Callable[..., None], dist: Dist, suite: str) -> None:
    with roots.fresh(dist.base(suite)) as root:
        function(dist, root)


def succeed(root: Root, script: str, user: str = "root", **env: str) -> str:
    done = root.run(script, user, **env)
    assert done.status == 0, f"{script}\nexit {done.status}\n{done.output}"
    return done.output
