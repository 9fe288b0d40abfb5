"""Records for reports, some of them as strangers might make them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

DAY = 86_400
COMMANDS = ("status", "pull", "push", "commit", "update")

# What may do harm in a page, on a terminal, or to a parser.
NASTY = (
    "</script><script>window.harmed = 1</script>",
    "</style></title></table><img src=x onerror='window.harmed = 1'>",
    "\"' onmouseover='window.harmed = 1' x=\"",
    "<!-- {{ 7 * 7 }} ]]> &lt; &#60; &amp",
    "\x00\x01\x1b[31m\x7f\x9b\u2028\u2029",
    "\u202eright\u202c \ufdd0\uffff\U0001ffff \ufeff",
    "javascript:alert(1)//https://example.com/x",
)


def record(
    number: int, when: float, event: str, **fields: Any
) -> dict[str, Any]:
    moment = datetime.fromtimestamp(when, timezone.utc)
    return {
        "schema": 1,
        "id": f"{number:032x}-1",
        "event": event,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"),
        "session": f"{number:032x}",
        "seq": 1,
        "message": "m",
        "host": {"name": f"host-{number % 7}"},
        "repository": {"root": f"/src/r{number % 5}", "name": f"r{number % 5}"},
        **fields,
    }


def process(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "pid": 1,
        "executable": "/usr/bin/hg",
        "user": f"user-{number % 11}",
        "hg_version": "7.2.4" if number % 2 else "7.1.2",
        **fields,
    }


def usual(count: int) -> Iterator[dict[str, Any]]:
    """Two weeks of them; pull becomes slower by a half in the second."""
    numbers = random.Random(20_261_130)
    now = time.time()
    for number in range(count):
        when = now - 14 * DAY + 14 * DAY * number / count
        seconds = numbers.lognormvariate(0, 0.3)
        name = COMMANDS[number % len(COMMANDS)]
        if name == "pull" and number > count / 2:
            seconds *= 1.5
        of = process(number)
        more: dict[str, Any] = {"duration": seconds, "process": of}
        event = "commandfinish"
        kind = number % 10
        if kind == 7:
            event = "exthook"
            hook = {"name": f"pretxncommit.h{number % 3}", "has_span": True}
            more["hook"] = hook
            more["options"] = {"vetoed": number % 40 == 7}
        elif kind == 8:
            event = "lockwait"
            more["options"] = {
                "lock": "wlock",
                "waited": seconds,
                "outcome": "got",
                "holder": "host-1:7",
                "holder_host": "host-1",
                "holder_command": "commit",
            }
        elif kind == 9:
            event = "userwait"
            more["options"] = {"kind": "editor", "waited": seconds}
        else:
            code = 255 if number % 23 == 0 else 0
            of.update(command=name, command_line=name, exit_code=code)
            if code:
                error = "push creates new remote head"
                more["options"] = {"error_type": "StateError", "error": error}
        yield record(number, when, event, **more)


def strange(texts: tuple[str, ...] | list[str]) -> Iterator[dict[str, Any]]:
    """Records of today that have these texts wherever there is a text."""
    when = time.time() - 60
    for number, text in enumerate(texts):
        of = process(
            number,
            user=text,
            hg_version=text,
            cwd=text,
            command=text,
            command_line=text,
            exit_code=255,
        )
        all_texts = {
            "process": of,
            "duration": 1000.0 + number,
            "trace_id": text,
            "host": {"name": text},
            "repository": {"root": text, "name": text},
            "hook": {"name": text},
            "options": {
                "error": text,
                "error_type": text,
                "exception_type": text,
                "lock": text,
                "holder": text,
                "holder_host": text,
                "kind": text,
                "reason": text,
                "outcome": text,
                "vetoed": True,
            },
        }
        events = ("commandfinish", "hookrefused", "lockwait", "userwait")
        for part, event in enumerate(events):
            own = 1_000_000 + number * len(events) + part
            yield record(own, when, event, **all_texts)


def lines(records: Iterator[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(it).encode() + b"\n" for it in records)
