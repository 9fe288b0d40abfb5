"""The queries of share/clickhouse and the dashboard made of them, run by
ClickHouse's engine on records that `uilog export` has exported, and that rotel
has inserted; what the Collector's exporter does is done after it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tools import dashboard
from tools.common import MAIN_HG, ROOT, venv_of

if TYPE_CHECKING:
    from clickhouse import ClickHouse

UILOG = venv_of(MAIN_HG) / "bin" / "uilog"
QUERIES = sorted((ROOT / "share" / "clickhouse").glob("*.sql"))
FLEET = ROOT / "docs" / "fleet.md"
SCHEMAS = ("collector", "rotel")

# A Monday.
FIRST = datetime(2026, 11, 2, tzinfo=timezone.utc)
WEEK = timedelta(weeks=1)
RANGE = {"from": "2026-11-01 00:00:00", "to": "2026-12-01 00:00:00"}
# Commands of each kind in each week.
COUNT = 200


def spread(number: int) -> float:
    """Numbers around one, the same each time."""
    return 0.8 + number * 7919 % 1000 / 2500


class Plant:
    """Records of two users, two machines and two versions of Mercurial."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def add(self, event: str, time: datetime, **more: Any) -> dict[str, Any]:
        number = len(self.records) + 1
        process = {
            "pid": 1,
            "executable": "/usr/bin/hg",
            "hg_version": "7.1.2",
            "user": "bob",
            **more.pop("process", {}),
        }
        record = {
            "schema": 1,
            "id": f"{7:032x}-{number}",
            "event": event,
            "time": time.isoformat(timespec="microseconds"),
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "session": f"{7:032x}",
            "seq": number,
            "message": event,
            "process": process,
            "host": {"name": "build-1", "arch": "amd64", "os": "linux"},
            "repository": {"root": "/src/main", "name": "main"},
            **more,
        }
        record["sink"] = {"name": "f", "stream": "a" * 16, "number": number}
        self.records.append(record)
        return record

    def command(
        self,
        name: str,
        time: datetime,
        seconds: float,
        code: int = 0,
        process: dict[str, Any] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        return self.add(
            "commandfinish",
            time + timedelta(seconds=seconds),
            duration=seconds,
            process={
                "command": name,
                "command_line": name,
                "exit_code": code,
                **(process or {}),
            },
            **more,
        )


def plant() -> list[dict[str, Any]]:
    plant = Plant()
    newer = {"hg_version": "7.2.4"}
    for number in range(COUNT):
        time = FIRST + timedelta(minutes=number)
        later = time + WEEK
        # pull becomes slower by a half; status does not.
        plant.command("pull", time, 2 * spread(number))
        plant.command("pull", later, 3 * spread(number), process=newer)
        plant.command("status", time, spread(number))
        plant.command("status", later, spread(number), process=newer)
    day = FIRST + timedelta(days=1)
    error = {"error": "push creates new remote head", "error_type": "Abort"}
    plant.command("push", day, 1.0, 255, options=error)
    plant.command("push", day, 1.0, 255, options=error)
    plant.command("clone", day, 900.5)
    # Found nothing: no failure.
    plant.command("incoming", day, 1.0, 1)
    alice = {"user": "alice"}
    plant.command(
        "strip",
        day,
        1.0,
        process={**alice, "command_line": "--config x=y stri -r 3"},
    )
    for number in range(7):
        code = 1 if number < 5 else 0
        plant.add(
            "exthook",
            day,
            duration=0.5,
            hook={"name": "pretxncommit.lint", "command": "lint"},
            options={"vetoed": code > 0, "exit_code": code},
        )
    for seconds, holder in ((30.0, "build-7:1"), (12.0, "build-7:2")):
        plant.add(
            "lockwait",
            day,
            duration=seconds,
            process=alice,
            options={
                "lock": "wlock",
                "holder": holder,
                "holder_command": "commit",
                "waited": seconds,
                "outcome": "got",
            },
        )
    plant.add(
        "userwait",
        day,
        duration=60.0,
        process=alice,
        options={"kind": "editor", "outcome": "done"},
    )
    plant.add(
        "peerclose",
        day,
        duration=0.1,
        process=alice,
        options={
            "url": "https://hg.example/main",
            "connected": 9.0,
            "wire_time": 2.5,
        },
    )
    trace: dict[str, Any] = {"trace_id": "c1" * 16}
    push = plant.command("push", day, 20.0, **trace)
    hook = plant.add(
        "exthook",
        day + timedelta(seconds=18),
        duration=8.0,
        parent_span_id=push["span_id"],
        hook={"name": "changegroup.ci", "command": "ci", "has_span": True},
        **trace,
    )
    inner = day + timedelta(seconds=11)
    parent: dict[str, Any] = {"parent_span_id": hook["span_id"]}
    plant.command("verify", inner, 5.0, **trace, **parent)
    plant.add(
        "uilogloss",
        day,
        options={"sink": "f", "evicted": 3, "total": 3, "since": "2026-11-02"},
    )
    # Two records never arrive, and one arrives twice.
    last = plant.add("command", day)
    last["sink"]["number"] += 2
    return [*plant.records, plant.records[0]]


@pytest.fixture(scope="module", params=SCHEMAS)
def clickhouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClickHouse]:
    """The engine, with the planted records."""
    pytest.importorskip("chdb", reason="chdb is not installed here")
    from clickhouse import ClickHouse, insert_by_rotel
    from collector import program

    directory = tmp_path_factory.mktemp("clickhouse")
    lines = [json.dumps(it, separators=(",", ":")) for it in plant()]
    # `uilog` exports a record that is there twice once; a collector may get it
    # twice all the same.
    requests = []
    for name, some in (("all", lines[:-1]), ("again", lines[-1:])):
        path = directory / f"{name}.jsonl"
        path.write_text("\n".join(some) + "\n")
        requests += export(path).splitlines()
    assert len(requests) == len(lines)
    engine = ClickHouse(request.param)
    if request.param == "rotel":
        if program() is None:
            pytest.skip("rotel is not installed")
        insert_by_rotel(engine, requests, len(lines), directory)
    else:
        engine.insert(requests)
    assert engine.count() == len(lines)
    yield engine
    engine.close()


def export(path: Path) -> str:
    done = subprocess.run(
        [UILOG, "export", "--format", "otlp-json", path],
        env={"HOME": str(path.parent), "HGRCPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def query(name: str) -> str:
    return (ROOT / "share" / "clickhouse" / f"{name}.sql").read_text()


def percentile(values: list[float], part: float) -> float:
    values = sorted(values)
    at = part * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (at - below) * (values[above] - values[below])


@pytest.mark.test_all
def test_questions_of_a_report(clickhouse: ClickHouse) -> None:
    def ask(name: str, **more: str) -> list[dict[str, Any]]:
        return clickhouse.ask(query(name), **RANGE, **more)

    (overview,) = ask("overview")
    assert int(overview["commands"]) == 4 * COUNT + 7
    assert int(overview["failures"]) == 2
    assert int(overview["users"]) == 2
    assert overview["longest"] == 900.5

    hours = ask("over-time")
    assert sum(int(it["commands"]) for it in hours) == 4 * COUNT + 7
    assert sum(int(it["failures"]) for it in hours) == 2

    commands = {it["command"]: it for it in ask("slow-commands")}
    assert list(commands)[:3] == ["pull", "clone", "status"]
    pulls = [
        factor * spread(number) for number in range(COUNT) for factor in (2, 3)
    ]
    for column, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        expected = pytest.approx(percentile(pulls, part), abs=1e-3)
        assert commands["pull"][column] == expected, column
    assert ask("slowest")[0]["command"] == "clone"

    weeks = ask("by-week", command="pull")
    assert [int(it["commands"]) for it in weeks] == [COUNT, COUNT]
    for week, factor in zip(weeks, (2, 3)):
        week_of = [factor * spread(number) for number in range(COUNT)]
        assert week["p95"] == pytest.approx(percentile(week_of, 0.95), abs=1e-3)
    assert [it["week"] for it in weeks] == ["2026-11-02", "2026-11-09"]

    (failure,) = ask("failures")
    assert (failure["command"], failure["error_type"]) == ("push", "Abort")
    assert failure["reason"] == "push creates new remote head"
    assert int(failure["failures"]) == 2

    lint, ci = ask("hooks")
    assert (lint["hook"], ci["hook"]) == ("pretxncommit.lint", "changegroup.ci")
    assert (int(lint["runs"]), int(lint["refusals"])) == (7, 5)

    locks = ask("locks")
    held = [(it["holder"], it["total_seconds"]) for it in locks]
    assert held == [("build-7:1", 30), ("build-7:2", 12)]
    assert locks[0]["holder_command"] == "commit"
    assert (locks[0]["repository"], locks[0]["lock"]) == ("main", "wlock")

    waits = {(it["user"], it["waits_for"]): it for it in ask("waiting")}
    alice = {
        what: it["total_seconds"]
        for (user, what), it in waits.items()
        if user == "alice"
    }
    assert alice == {"editor": 60, "lock": 42, "other repository": 2.5}

    versions = {it["hg_version"]: int(it["commands"]) for it in ask("versions")}
    assert versions == {"7.1.2": 2 * COUNT + 7, "7.2.4": 2 * COUNT}

    pull, status = ask("regressions", before="7.1", after="7.2")
    assert (pull["command"], status["command"]) == ("pull", "status")
    assert pull["change_percent"] == 50
    assert pull["p"] < 0.001
    assert status["p"] > 0.1

    (strip,) = ask("who-ran", command="strip")
    assert (strip["user"], strip["host"]) == ("alice", "build-1")
    assert strip["command_line"] == "hg --config x=y stri -r 3"

    spans = ask("trace", trace="c1" * 16)
    assert [it["span"] for it in spans] == [
        "hg push",
        "hook changegroup.ci",
        "hg verify",
    ]
    assert [it["parent"] for it in spans[1:]] == [it["id"] for it in spans[:2]]

    (loss,) = ask("losses")
    assert (loss["host"], int(loss["evicted"])) == ("build-1", 3)
    (missing,) = ask("missing")
    assert int(missing["missing"]) == 2


@pytest.mark.test_all
def test_each_panel_of_the_dashboard_shows_something(
    clickhouse: ClickHouse,
) -> None:
    made = json.loads(dashboard.DASHBOARD.read_text())
    queries = {
        panel["title"]: panel["targets"][0]["rawSql"]
        for panel in made["panels"]
    }
    for variable in made["templating"]["list"]:
        if variable["type"] == "query":
            queries[variable["label"]] = variable["query"]["rawSql"]
    assert len(queries) == len(dashboard.PANELS) + 3
    values = {
        "$__fromTime": f"toDateTime('{RANGE['from']}')",
        "$__toTime": f"toDateTime('{RANGE['to']}')",
        "${command:sqlstring}": "'pull'",
        "${before:sqlstring}": "'7.1.2'",
        "${after:sqlstring}": "'7.2.4'",
    }
    for title, sql in queries.items():
        for name, value in values.items():
            sql = sql.replace(name, value)
        assert "$" not in sql, title
        assert clickhouse.ask(sql), title


@pytest.mark.test_all
def test_each_query_of_the_page_answers(clickhouse: ClickHouse) -> None:
    queries = re.findall(r"^```sql\n(.*?)^```", FLEET.read_text(), re.M | re.S)
    assert len(queries) >= 2
    for sql in queries:
        # The records are of a month that need not be the present one.
        sql = re.sub(r"now\(\) - INTERVAL 1 \w+", "toDateTime(0)", sql)
        assert clickhouse.ask(sql), sql


def test_the_dashboard_is_made_of_the_queries() -> None:
    assert dashboard.DASHBOARD.read_text() == dashboard.text(), (
        "run `make generated`"
    )
    used = {panel.query for panel in dashboard.PANELS}
    names = {path.stem for path in QUERIES}
    # One that asks for an id is nothing for a dashboard.
    assert names - used == {"trace"}
