"""The generated blocks of docs/compatibility.md are what they are made of, the
versions in it have their pins, and the report on foreign tests sees what it is
for.

That the versions pass, and that the foreign tests print the same, is for
`make test-versions` and `make upstream`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from tools import common, compatibility, upstream_report, versions, whole_suites
from tools.upstream_report import Report
from tools.whole_suites import Both, Printed

MAKEFILE = (common.ROOT / "Makefile").read_text()


def test_generated_blocks_are_up_to_date() -> None:
    text = compatibility.PAGE.read_text()
    assert compatibility.with_blocks(text) == text, "run `make generated`"


def made(name: str) -> set[str]:
    """A list of words of the Makefile."""
    found = re.search(rf"^{re.escape(name)} :?= (.*)$", MAKEFILE, re.MULTILINE)
    assert found is not None, name
    return set(found[1].replace("$(HG)", common.MAIN_HG).split())


def test_each_version_has_its_pin() -> None:
    pins = {
        path.name[len("hg-") : -len(".txt")]: path.read_text().strip()
        for path in (common.TESTS / "requirements").glob("hg-*.txt")
    }
    assert pins == {it: f"mercurial=={it}" for it in common.MINOR_HGS}
    assert set(common.HG_VERSIONS) <= set(common.MINOR_HGS)
    assert made("HG") | made("OTHER_HGS") == set(common.HG_VERSIONS)
    assert made("CONTRACT_HGS") == pins.keys() - set(common.HG_VERSIONS)


def test_the_extension_names_each_version() -> None:
    extension = common.ROOT / "hgext" / "uilog" / "__init__.py"
    found = re.search(r"^testedwith = b'(.*)'$", extension.read_text(), re.M)
    assert found is not None
    minors = [it.rpartition(".")[0] for it in common.MINOR_HGS]
    assert found[1].split() == minors


def test_makefile_and_table_have_the_same_pythons() -> None:
    assert made("PYTHONS") == versions.WITH_PYTHON.keys()
    for python, hgs in versions.WITH_PYTHON.items():
        assert made(f"HGS_{python}") == set(hgs)
    assert {*versions.WITH_PYTHON, versions.MAIN_PYTHON} == {*versions.PYTHONS}


def report(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stock: Printed | None,
    uilog: Printed,
    explained: object,
) -> Report:
    """On one file, which expects the output `a` and `b`."""
    test = tmp_path / "test-x.t"
    test.write_text("a\nb\n")
    data = {"reasons": {}, "mercurial": explained}
    (tmp_path / "explained.json").write_text(json.dumps(data))
    monkeypatch.setattr(
        upstream_report, "EXPLAINED", tmp_path / "explained.json"
    )
    both = Both(stock, uilog)
    runner = SimpleNamespace(
        suite=SimpleNamespace(name="mercurial"), load=lambda _test: both
    )
    return Report(runner, [test])  # type: ignore[arg-type]


def test_a_line_that_is_not_expected_here_may_move() -> None:
    moved = ["+  x (rust !)", "-  x (rust !)", "+  y (rust !)", "+  z", "-  z"]
    found = upstream_report.differing_lines(moved)
    assert found == ["y (rust !)", "z", "z"]


def printed(text: str | None = None, **more: object) -> Printed:
    unexpected = {} if text is None else {"test-x.t": text}
    return Printed(
        **{
            "key": "",
            "unexpected": unexpected,
            "skipped": {},
            "problem": None,
            **more,
        }  # type: ignore[arg-type]
    )


AS_EXPECTED = printed()
OTHER = printed("a\nuilog\nb\n")
HANGING = printed(problem=whole_suites.TIMED_OUT)
CRASHED = printed(problem="ended by signal 9")
EXPLAINED = {"test-x.t": {"reason": "it is listed", "lines": ["uilog"]}}
TOO_NARROW = {"test-x.t": {"reason": "it is listed", "lines": ["ui"]}}


class Scripted(whole_suites.Runner):
    """Prints what it is told to, and notes in which configurations."""

    def __init__(self, results: Path, **prints: list[Printed]) -> None:
        self.results = results
        self.keys = {whole_suites.STOCK: "", whole_suites.UILOG: ""}
        self.prints = prints
        self.ran: list[str] = []

    def _printed(self, _test: Path, name: str) -> Printed:
        self.ran.append(name)
        return self.prints[name].pop(0)


@pytest.mark.parametrize(
    ("stock", "uilog", "ran", "same"),
    [
        ([], [AS_EXPECTED], "uilog", True),
        ([OTHER], [OTHER], "uilog stock", True),
        # A difference counts if it is there again.
        ([AS_EXPECTED] * 2, [OTHER] * 2, "uilog stock stock uilog", False),
        (
            [AS_EXPECTED] * 2,
            [OTHER, AS_EXPECTED],
            "uilog stock stock uilog",
            True,
        ),
        # Stock hg prints now one thing, now another.
        (
            [AS_EXPECTED, HANGING],
            [OTHER, HANGING],
            "uilog stock stock uilog",
            True,
        ),
    ],
)
def test_what_prints_something_else_is_run_without_uilog_too(
    tmp_path: Path,
    stock: list[Printed],
    uilog: list[Printed],
    ran: str,
    same: bool,
) -> None:
    runner = Scripted(tmp_path, stock=[*stock], uilog=[*uilog])
    test = Path("test-x.t")
    both = runner.run(test)
    assert both is not None and both.same() == same
    assert runner.ran == ran.split()
    assert runner.load(test) == both


@pytest.mark.parametrize(
    ("stock", "uilog", "explained", "group", "good"),
    [
        (AS_EXPECTED, AS_EXPECTED, {}, "same", True),
        (None, AS_EXPECTED, {}, "same", True),
        (AS_EXPECTED, OTHER, {}, "differs", False),
        (AS_EXPECTED, OTHER, EXPLAINED, "explained", True),
        (AS_EXPECTED, OTHER, TOO_NARROW, "differs", False),
        # A line that is missing with uilog counts like one that is added.
        (OTHER, AS_EXPECTED, {}, "differs", False),
        (AS_EXPECTED, AS_EXPECTED, EXPLAINED, "same", False),
        (OTHER, OTHER, {}, "fails alike", True),
        (
            AS_EXPECTED,
            printed(skipped={"test-x.t": "missing"}),
            {},
            "differs",
            False,
        ),
        (
            printed(skipped={"test-x.t": "missing"}),
            printed(skipped={"test-x.t": "missing"}),
            {},
            "skipped",
            True,
        ),
        (AS_EXPECTED, HANGING, {}, "differs", False),
        (HANGING, HANGING, {}, "hangs", True),
        (CRASHED, CRASHED, {}, "unknown", False),
    ],
)
def test_the_report_sees_what_differs_and_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stock: Printed | None,
    uilog: Printed,
    explained: object,
    group: str,
    good: bool,
) -> None:
    it = report(tmp_path, monkeypatch, stock, uilog, explained)
    assert dict(it.groups) == {group: ["test-x.t"]}
    assert it.is_good() is good


def test_what_is_recorded_has_no_difference_without_an_explanation() -> None:
    data = json.loads(upstream_report.RECORDED.read_text())
    assert data.keys() == whole_suites.SUITES.keys()
    for suite, it in data.items():
        bad = ("differs", "unstable", "unknown")
        assert not any(it["counts"][group] for group in bad), suite


def test_every_explanation_can_be_read() -> None:
    for suite in whole_suites.SUITES:
        for name, reasons in upstream_report.explanations(suite).items():
            assert reasons, name
            for it in reasons:
                assert it.reason
                assert it.lines
                for pattern in it.lines:
                    re.compile(pattern)
