"""hg where the system gives little: it prints what it prints without uilog, and
each event is delivered or counted."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import Callable

import fleet
import processes
import pytest
from conftest import Home
from growing import whole_lines

STOCK = ("--config", "extensions.uilog=!")


def run(
    home: Home,
    repository: Path,
    *options: str,
    limit: Callable[[], None],
) -> tuple[int, bytes, bytes]:
    """Runs `hg id` within limits that it sets for itself."""
    done = subprocess.run(
        ["hg", "id", *options],
        env=home.env,
        cwd=repository,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=limit,
        timeout=processes.DEADLINE,
    )
    return done.returncode, done.stdout, done.stderr


def descriptors(count: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    return limit


def lost(home: Home) -> int:
    journal = home.path / ".local" / "state" / "uilog" / "failures.jsonl"
    return sum(it["lost"] for it in fleet.records_so_far(journal))


# With 5, hg itself works, and with 13 nothing is in its way any more.
@pytest.mark.parametrize("count", [5, 6, 8, 10, 12, 14, 20])
def test_few_descriptors_are_hgs(home: Home, count: int) -> None:
    repository = home.repository()
    log = home.path / "log.jsonl"
    home.configure(
        f"[uilog]\nsink.log = file:{log}\n"
        "[logtoprocess]\ncommand = echo x >> $OUT/scripts\n"
        "commandfinish = echo x >> $OUT/scripts\n"
    )
    stock = run(home, repository, *STOCK, limit=descriptors(count))
    assert stock[0] == 0
    assert run(home, repository, limit=descriptors(count)) == stock
    assert not processes.wait_until_gone(str(home.path))
    records = len(whole_lines(log).splitlines())
    scripts = len(home.read("scripts").splitlines())
    # Each of the two events is for two.
    assert records + scripts + lost(home) == 4


@pytest.mark.parametrize(
    "closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
)
def test_standard_descriptors_may_be_closed(
    home: Home, closed: tuple[int, ...]
) -> None:
    repository = home.repository()
    log = home.path / "log.jsonl"
    home.configure(
        f"[uilog]\nsink.log = file:{log}\n"
        "[logtoprocess]\ncommandfinish = echo x >> $OUT/scripts\n"
    )

    def limit() -> None:
        for fd in closed:
            os.close(fd)

    stock = run(home, repository, *STOCK, limit=limit)
    assert run(home, repository, limit=limit) == stock
    assert not processes.wait_until_gone(str(home.path))
    assert len(whole_lines(log).splitlines()) == 2
    assert home.read("scripts") == "x\n"
    assert lost(home) == 0
