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
from tools.upstream_report import EXPLAINED

PAGE = ROOT / "docs" / "compatibility.md"


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
