"""Writes the generated blocks of docs/compatibility.md: `make generated`.

A block stands between `<!-- NAME: generated -->` and `<!-- NAME: end -->`.
tests/test_compatibility.py compares each with what it is made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from tools import versions
from tools.common import ROOT
from tools.upstream_report import EXPLAINED, RECORDED, TITLES

PAGE = ROOT / "docs" / "compatibility.md"


def result() -> Iterator[str]:
    """What the recorded runs have come to."""
    data = json.loads(RECORDED.read_text())
    yield f"| files that | {' | '.join(data)} |"
    yield f"|---|{'---|' * len(data)}"
    for group, title in TITLES.items():
        counts = [str(it["counts"][group]) for it in data.values()]
        yield f"| {title} | {' | '.join(counts)} |"
    yield ""
    yield "| suite | what the files need, or do without uilog, too | files |"
    yield "|---|---|---|"
    for suite, it in data.items():
        for why, names in [
            *it["skipped"].items(),
            ("they print something else here", it["fails alike"]),
            ("they hang", it["hangs"]),
        ]:
            if names:
                yield f"| {suite} | {why} | {', '.join(names)} |"


def explained() -> Iterator[str]:
    """The files of foreign suites that print something else with uilog."""
    data = json.loads(EXPLAINED.read_text())
    yield "| suite | test | why it prints something else with uilog |"
    yield "|---|---|---|"
    for suite in ("mercurial", "evolve"):
        for name, it in sorted(data[suite].items()):
            why = [
                data["reasons"][key]["reason"] for key in it.get("because", ())
            ]
            if "reason" in it:
                why.append(it["reason"])
            yield f"| {suite} | {name} | {'; '.join(why)} |"


BLOCKS: dict[str, Callable[[], Iterator[str]]] = {
    "versions": versions.table,
    "upstream": result,
    "explained": explained,
}


def with_blocks(text: str) -> str:
    """The page with each block made anew."""
    for name, lines in BLOCKS.items():
        block = re.compile(
            rf"(<!-- {name}: generated -->\n).*?(<!-- {name}: end -->\n)",
            re.DOTALL,
        )
        made = "".join(f"{line}\n" for line in lines())
        parts = block.split(text)
        if len(parts) != 4:
            raise ValueError(f"{PAGE} must have one block {name}")
        text = "".join([parts[0], parts[1], made, parts[2], parts[3]])
    return text


if __name__ == "__main__":
    PAGE.write_text(with_blocks(PAGE.read_text()))
