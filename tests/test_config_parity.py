"""`uilog config` reads what hg reads: generated trees and values are compared.

config_parity.py describes how, and can run more of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import config_parity
import config_trees
import config_values
import pytest
from tools.common import FIRST_PYTHON_WITHOUT, MAIN_HG, ROOT, venv_of

TREES = 2000
CHUNK = 200
CHUNKS = [range(at, at + CHUNK) for at in range(0, TREES, CHUNK)]
# So many of them with each change, the others before a release.
USUAL_CHUNKS = 2
# Those that were once read in another way.
REGRESSIONS = (13027, 46136, 103336, 207347)
# Each takes two processes that start Python.
REAL_TREES = range(12)
VALUES = 4000

# One local time for both, and the words of neither.
PLAIN = {"LC_ALL": "C", "TZ": "UTC"}

UILOG = venv_of(MAIN_HG) / "bin" / "uilog"


@pytest.mark.parametrize("version", config_parity.VERSIONS)
def test_this_mercurial_takes_part(version: str) -> None:
    limit = FIRST_PYTHON_WITHOUT.get(version)
    if limit is not None and sys.version_info >= limit:
        pytest.skip(f"Mercurial {version} does not build for this Python")
    assert version in config_parity.versions()


def test_files_of_others_take_part() -> None:
    if not config_parity.may_give_away():
        pytest.skip("only root can make files of other users")
    trees = [config_trees.make(seed, True) for seed in range(CHUNK)]
    owners = [
        entry.owner
        for tree in trees
        for entry in tree.entries.values()
        if isinstance(entry, config_trees.File)
    ]
    assert len(set(owners)) > len(config_trees.OWNERS)


@pytest.mark.parametrize(
    "seeds",
    [
        *CHUNKS[:USUAL_CHUNKS],
        *(
            pytest.param(seeds, marks=pytest.mark.test_all)
            for seeds in CHUNKS[USUAL_CHUNKS:]
        ),
    ],
    ids=lambda seeds: f"{seeds.start}",
)
def test_made_up_trees_are_read_as_by_hg(seeds: range) -> None:
    found = config_parity.compare_seeds(seeds, UILOG)
    assert found.trees == CHUNK
    assert found.commands >= CHUNK
    # Where hg itself has no answer, nothing is compared.
    assert found.crashes < CHUNK / 10
    assert found.disputes < CHUNK / 10
    if found.differences:
        pytest.fail("\n\n".join(found.differences), pytrace=False)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_was_read_in_another_way_is_not_any_more(seed: int) -> None:
    found = config_parity.compare_seeds(range(seed, seed + 1), UILOG)
    assert found.commands > 0
    assert not found.differences


@pytest.mark.parametrize("version", config_parity.VERSIONS)
def test_what_stands_for_hg_is_like_it(version: str, tmp_path: Path) -> None:
    if version not in config_parity.versions():
        pytest.skip(f"Mercurial {version} is not installed")
    readers: list[config_parity.Reader] = [
        config_parity.RealHg(version),
        config_parity.Oracle(version),
    ]
    with config_parity.Comparison(tmp_path, readers) as comparison:
        found = [comparison.compare(seed) for seed in REAL_TREES]
    assert comparison.commands > len(REAL_TREES)
    assert [str(difference) for difference in found if difference] == []


@pytest.mark.parametrize("version", config_parity.VERSIONS)
def test_values_have_the_types_of_hg(version: str) -> None:
    if version not in config_parity.versions():
        pytest.skip(f"Mercurial {version} is not installed")
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo")
    # As tests/tools/cargo.sh does, so that nothing is compiled once more.
    build = ["cargo", "build", "--quiet", "--locked", "--workspace"]
    build += ["--example", "typed", "--test", "generated"]
    subprocess.run(build, cwd=ROOT, check=True)
    values = list(config_values.made_up(1, VALUES))
    lines = "".join(f"{kind} {value.hex()}\n" for kind, value in values)

    def answers(*argv: str | Path) -> list[str]:
        done = subprocess.run(
            argv, input=lines, env=PLAIN, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.splitlines()

    theirs = answers(
        venv_of(version) / "bin" / "python", config_values.__file__
    )
    ours = answers(ROOT / "target" / "debug" / "examples" / "typed")
    assert len(values) == len(theirs) == len(ours)
    differences = [
        f"{kind} of {value!r}: {our}, not {their}"
        for (kind, value), their, our in zip(values, theirs, ours)
        if not config_values.same(their, our)
    ]
    assert differences == []
    valid = sum(answer != "invalid" for answer in ours)
    assert VALUES / 4 < valid < VALUES
