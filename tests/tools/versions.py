"""The contract with each minor Mercurial, and with each Python:
test-uilog-hooks.t touches every function of Mercurial that the extension wraps.

Responsible for which Mercurial is run with which Python, and for the table of
that in docs/compatibility.md. Must not know how a .t file is run.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tools.common import (
    CACHE,
    FIRST_PYTHON_WITHOUT,
    HG_VERSIONS,
    MAIN_HG,
    MINOR_HGS,
    ROOT,
    TESTS,
    Options,
    Part,
    Result,
    Tier,
    venv_of,
)
from tools.t_files import run_t_file

CONTRACT = TESTS / "test-uilog-hooks.t"
IN_ROOT = TESTS / "helpers" / "in_root.sh"

# Where the Pythons come from that are not this machine's: a root below .cache
# with the distribution of this name (the Makefile makes it).
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
# What we develop with.
MAIN_PYTHON = "3.11"

# What each other Python is tested with: those Mercurials that have wheels for
# it, because a root has no compiler.
WITH_PYTHON: dict[str, tuple[str, ...]] = {
    "3.9": ("6.9.5", MAIN_HG),
    "3.10": ("6.9.5", MAIN_HG),
    "3.12": ("6.9.5", MAIN_HG),
    "3.13": ("6.9.5", MAIN_HG),
    "3.14": (MAIN_HG,),
}


def root_of(python: str) -> Path:
    """The root with this Python."""
    return CACHE / f"root-{python}"


def root_venv(version: str, python: str) -> Path:
    """Where a Mercurial is installed for the Python of a root."""
    return ROOT / ".venvs" / f"{version}-py{python}"


def table() -> Iterator[str]:
    """Which Mercurial is tested with which Python."""
    yield f"| Mercurial | {' | '.join(f'Python {it}' for it in PYTHONS)} |"
    yield f"|---|{'---|' * len(PYTHONS)}"
    for version in MINOR_HGS:
        cells = [cell(version, python) for python in PYTHONS]
        yield f"| {version} | {' | '.join(cells)} |"


def cell(version: str, python: str) -> str:
    if python == MAIN_PYTHON:
        suites = version in HG_VERSIONS
        return "all tests" if suites else "contract"
    if version in WITH_PYTHON[python]:
        return "contract"
    limit = FIRST_PYTHON_WITHOUT.get(version)
    if limit is not None and tuple(map(int, python.split("."))) >= limit:
        return "does not build"
    return "not tested"


def version_parts(options: Options, result: Result) -> Iterator[Part]:
    """The contract with each combination that the table says is tested."""
    later = options.leaves_out(Tier.ALL)
    if later is not None:
        result.left_out.append(("all of it", later))
        return
    here = "{}.{}".format(*sys.version_info)
    for version in MINOR_HGS:
        limit = FIRST_PYTHON_WITHOUT.get(version)
        name = f"Mercurial {version} with Python {here}"
        if limit is not None and sys.version_info >= limit:
            result.left_out.append((name, "it does not build for this Python"))
        # The others have it in the suite `t`, with each change.
        elif version not in HG_VERSIONS and wanted(options, name):
            yield contract(options, name, version, venv_of(version), ())
    for python, versions in WITH_PYTHON.items():
        for version in versions:
            name = f"Mercurial {version} with Python {python}"
            if not wanted(options, name):
                continue
            venv = root_venv(version, python)
            if not (venv / "bin" / "hg").exists():
                result.left_out.append((name, why_no_root(python)))
                continue
            wrapper = ("sh", str(IN_ROOT), str(root_of(python)))
            yield contract(options, name, version, venv, wrapper)


def wanted(options: Options, name: str) -> bool:
    return options.pattern is None or options.pattern in name


def why_no_root(python: str) -> str:
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        return "only root with mmdebstrap can make a root with another Python"
    return f"{root_of(python).relative_to(ROOT)} could not be made"


def contract(
    options: Options,
    name: str,
    version: str,
    venv: Path,
    wrapper: tuple[str, ...],
) -> Part:
    dummyssh = CACHE / f"mercurial-{version}" / "tests" / "dummyssh"
    ssh = f'ui.ssh="{venv / "bin" / "python"}" "{dummyssh}"'
    run = partial(
        run_t_file,
        options,
        version,
        CONTRACT,
        ("--extra-config-opt", ssh),
        wrapper,
        venv=venv,
    )
    return Part(run, CONTRACT.stat().st_size, name=name)
