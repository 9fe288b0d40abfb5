"""Draws the commands and hooks in the records of a sink `file:` as trees.

A line for each span, indented below its parent; a span whose parent has no
record is shown below `?`. Contradictions are errors: a command whose beginning
and end have different spans, a span that ends twice, or a circle.

usage: span_tree.py FILE...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Record = dict[str, Any]

ENDS = ("commandfinish", "exthook", "pythonhook")
INDENT = "  "


def label(record: Record) -> str:
    if "hook" in record:
        return f"hook {record['hook']['name']}"
    process = record["process"]
    name = process.get("command") or process["command_line"]
    code = process["exit_code"]
    return f"{name} -> {code}" if code else name


def place(record: Record) -> tuple[str | None, ...]:
    names = ("trace_id", "span_id", "parent_span_id")
    return tuple(record.get(name) for name in names)


def read(paths: list[str]) -> list[Record]:
    texts = (Path(path).read_text() for path in paths)
    lines = [line for text in texts for line in text.split("\n")]
    return [json.loads(line) for line in lines if line.strip()]


def draw(records: list[Record]) -> list[str]:
    spans: dict[str, Record] = {}
    for record in records:
        if record["event"] in ENDS:
            span = record["span_id"]
            assert span not in spans, f"{label(record)} ends {span} again"
            spans[span] = record
    for record in records:
        if record["event"] == "command":
            end = spans.get(record["span_id"])
            assert end is not None, f"{record['message']} has no end"
            assert place(end) == place(record), record["message"]
            assert end["session"] == record["session"], record["message"]
        elif record["event"] in ("peerclose", "commandexception", "mark"):
            assert record["span_id"] in spans, record["event"]
    children: dict[str | None, list[str]] = {}
    for span, record in spans.items():
        parent = record.get("parent_span_id")
        if parent in spans:
            assert record["trace_id"] == spans[parent]["trace_id"], (
                f"{label(record)} is in another trace than what it is part of"
            )
        children.setdefault(parent, []).append(span)

    shown = set()

    def lines(span: str, depth: int) -> list[str]:
        shown.add(span)
        result = [INDENT * depth + label(spans[span])]
        return result + below(span, depth + 1)

    def below(parent: str | None, depth: int) -> list[str]:
        spans_below = sorted(
            children.get(parent, ()), key=lambda it: spans[it]["time"]
        )
        return [line for span in spans_below for line in lines(span, depth)]

    result = below(None, 0)
    for parent in children:
        if parent is not None and parent not in spans:
            result += ["?", *below(parent, 1)]
    assert shown == set(spans), "spans are a part of each other"
    return result


if __name__ == "__main__":
    print("\n".join(draw(read(sys.argv[1:]))))
