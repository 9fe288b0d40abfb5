"""How the code is laid out: no circle of modules, and the crates as drawn."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from rust_modules import arrows, circles

ROOT = Path(__file__).parent.parent

# One root a crate. The library of a crate that has a program, too, is the one
# that holds what is to be laid out.
CRATES = {
    root.parent.parent.name: root
    for name in ("main.rs", "lib.rs")
    for root in sorted((ROOT / "rust").glob(f"*/src/{name}"))
}


@pytest.mark.parametrize("crate", CRATES)
def test_no_module_imports_itself_by_way_of_others(crate: str) -> None:
    graph = arrows(CRATES[crate])
    ties = [
        {it: sorted(graph[it] & set(circle)) for it in circle}
        for circle in circles(graph)
    ]
    assert not ties


def test_the_crates_import_each_other_as_the_docs_draw_it() -> None:
    asked = [
        "cargo",
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]
    told = subprocess.run(asked, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    packages = json.loads(told.stdout)["packages"]
    names = {it["name"] for it in packages}
    there = {
        (package["name"], it["name"])
        for package in packages
        for it in package["dependencies"]
        if it["kind"] is None and it["name"] in names
    }

    text = (ROOT / "docs/design.md").read_text()
    picture = re.search(r"```mermaid\nflowchart TD\n(.*?)```", text, re.DOTALL)
    assert picture is not None
    drawn = set()
    for line in picture[1].splitlines():
        above, below = line.split(" --> ")
        drawn |= {(above.strip(), it) for it in below.split(" & ")}
    assert drawn == there


@pytest.mark.parametrize(
    "imports",
    [
        "use crate::a::b;",
        "use crate::{c, a::{b::Thing, d}};",
        "pub(crate) use super::a::b::Thing as Other;",
        "fn f() { crate::a::b::call(1) }",
        "fn f(it: &super::a::b::Thing<'_>) -> char { '\"' }",
        "use crate::a; fn f() { a::b::call() }",
        # Which hands it on.
        "use crate::Thing;",
    ],
)
def test_an_import_is_seen(tmp_path: Path, imports: str) -> None:
    assert "a::b" in small_crate(tmp_path, imports)["c"]


@pytest.mark.parametrize(
    "imports",
    [
        "// use crate::a::b;",
        'const IT: &str = "crate::a::b::call()";',
        "#[cfg(test)] mod tests { use crate::a::b; }",
        "#[cfg(test)] use crate::a::b;",
        "use other::a::b;",
    ],
)
def test_what_is_no_import_is_not_seen(tmp_path: Path, imports: str) -> None:
    assert "a::b" not in small_crate(tmp_path, imports)["c"]


def test_a_circle_is_seen_and_what_only_leads_to_it_is_not() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set[str]()}
    assert circles(graph) == [["b", "c"]]


def small_crate(root: Path, c: str) -> dict[str, set[str]]:
    """The arrows of a crate with the modules a, a::b and c, which is `c`."""
    (root / "a").mkdir()
    (root / "lib.rs").write_text("mod a; mod c; pub use a::b::Thing;")
    (root / "a/mod.rs").write_text("pub mod b;")
    (root / "a/b.rs").write_text("pub struct Thing;")
    (root / "c.rs").write_text(c)
    return arrows(root / "lib.rs")


@pytest.mark.parametrize("tier", ["all", "soak"])
def test_a_tier_is_run_whatever_else_is_asked_for(tier: str) -> None:
    target = {"all": "test-all", "soak": "soak"}[tier]
    done = subprocess.run(
        ["make", "--dry-run", target, "ARGS=--only t"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [line] = re.findall(r"^\S+ tests/run\.py .*$", done.stdout, re.MULTILINE)
    assert f"--tier {tier}" in line
    assert "--only t" in line
