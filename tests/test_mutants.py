"""What `make mutants` says of a crate, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tools.mutants import main


def write(directory: Path, crate: str, **changes: Any) -> None:
    """What cargo-mutants writes for a crate."""
    outcomes = {
        "outcomes": [{"scenario": "Baseline", "summary": "Success"}],
        "caught": 0,
        "missed": 0,
        "timeout": 0,
        "end_time": "2026-11-30T19:00:00Z",
        **changes,
    }
    output = directory / crate / "mutants.out"
    output.mkdir(parents=True)
    (output / "outcomes.json").write_text(json.dumps(outcomes))


def test_each_crate_has_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a", caught=30, missed=1, timeout=2)
    write(tmp_path, "b", caught=19, missed=1)
    assert main([str(tmp_path), "a", "b"]) == 0
    assert capsys.readouterr().out == (
        "a: 30 caught, 1 missed, 2 timeouts, 96.9 %\n"
        "b: 19 caught, 1 missed, 0 timeouts, 95.0 %\n"
    )


def test_one_weak_crate_is_too_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 94.996 %
    write(tmp_path, "a", caught=1234, missed=65)
    write(tmp_path, "b", caught=40)
    assert main([str(tmp_path), "a", "b"]) == 1
    assert "a: 1234 caught, 65 missed, 0 timeouts, 94.9 %" in (
        capsys.readouterr().out
    )


FAILED = [{"scenario": "Baseline", "summary": "Failure"}]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "no mutant"),
        ({"caught": 9, "end_time": None}, "interrupted"),
        ({"outcomes": FAILED}, "unchanged, it fails"),
        (None, "has not run"),
    ],
)
def test_what_was_not_tested_has_not_passed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any] | None,
    why: str,
) -> None:
    if changes is not None:
        write(tmp_path, "a", **changes)
    assert main([str(tmp_path), "a"]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("a: NOT TESTED: ")
    assert why in shown
