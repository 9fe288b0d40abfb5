"""Makes the Grafana dashboard of share/grafana out of the queries of
share/clickhouse: `make generated`.

Responsible for what the dashboard shows and where. Must not know any SQL but
how Grafana writes the parameters of a query.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
QUERIES = ROOT / "share" / "clickhouse"
DASHBOARD = ROOT / "share" / "grafana" / "uilog.json"

# The plugin for ClickHouse that Grafana Labs and ClickHouse maintain.
PLUGIN = "grafana-clickhouse-datasource"
SOURCE = {"type": PLUGIN, "uid": "${datasource}"}
# What stands in a query for a parameter of ClickHouse's.
PARAMETERS = {
    "{from:DateTime}": "$__fromTime",
    "{to:DateTime}": "$__toTime",
    "{command:String}": "${command:sqlstring}",
    "{before:String}": "${before:sqlstring}",
    "{after:String}": "${after:sqlstring}",
}
# Columns of a dashboard.
WIDTH = 24


@dataclass(frozen=True)
class Panel:
    """A picture of what a query tells."""

    query: str
    title: str
    kind: str
    width: int
    height: int
    # Columns that are seconds.
    overrides: tuple[str, ...] = (
        "total_seconds",
        "seconds",
        "p50",
        "p95",
        "p99",
        "longest",
        "p50_before",
        "p50_after",
    )


PANELS = [
    Panel("overview", "Overview", "stat", 24, 4),
    Panel("over-time", "Commands and failures, by hour", "timeseries", 24, 8),
    Panel("slow-commands", "Where the time goes", "table", 12, 9),
    Panel("slowest", "The slowest commands", "table", 12, 9),
    Panel("failures", "What fails, and why", "table", 12, 9),
    Panel("hooks", "Hooks: refusals and time", "table", 12, 9),
    Panel("locks", "Locks: who waited for whom", "table", 12, 9),
    Panel("waiting", "What people wait for", "table", 12, 9),
    Panel("by-week", "$command, week by week", "table", 12, 9),
    Panel("who-ran", "Who ran $command", "table", 12, 9),
    Panel("versions", "Versions of Mercurial", "table", 12, 9),
    Panel("regressions", "From $before to $after", "table", 12, 9),
    Panel("losses", "Losses that machines report", "table", 12, 7),
    Panel("missing", "Records that never arrived", "table", 12, 7),
]

VERSIONS = """SELECT DISTINCT ResourceAttributes['service.version'] AS version
FROM otel_traces
WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
    AND ServiceName = 'hg'
ORDER BY version"""
COMMANDS = """SELECT DISTINCT SpanAttributes['hg.command'] AS command
FROM otel_traces
WHERE Timestamp >= {from:DateTime} AND Timestamp < {to:DateTime}
    AND SpanAttributes['hg.event'] = 'commandfinish'
ORDER BY command"""


def for_grafana(sql: str) -> str:
    """A query with the parameters as Grafana writes them."""
    for parameter, variable in PARAMETERS.items():
        sql = sql.replace(parameter, variable)
    return sql.strip()


def target(panel: Panel) -> dict[str, Any]:
    is_series = panel.kind == "timeseries"
    return {
        "datasource": SOURCE,
        "editorType": "sql",
        "format": 0 if is_series else 1,
        "queryType": "timeseries" if is_series else "table",
        "rawSql": for_grafana((QUERIES / f"{panel.query}.sql").read_text()),
        "refId": "A",
    }


def drawn(panel: Panel, number: int, at: tuple[int, int]) -> dict[str, Any]:
    """A panel as the dashboard has it."""
    columns, lines = at
    unit = [{"id": "unit", "value": "s"}]
    matcher = "|".join(panel.overrides)
    options: dict[str, Any] = {}
    if panel.kind == "stat":
        options = {
            "reduceOptions": {"values": True, "calcs": ["lastNotNull"]},
            "textMode": "value_and_name",
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {
            "x": columns,
            "y": lines,
            "w": panel.width,
            "h": panel.height,
        },
        "fieldConfig": {
            "defaults": {},
            "overrides": [
                {
                    "matcher": {
                        "id": "byRegexp",
                        "options": f"^({matcher})$",
                    },
                    "properties": unit,
                }
            ],
        },
        "options": options,
        "targets": [target(panel)],
    }


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """One that the dashboard's reader chooses from what there is."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {
            "editorType": "sql",
            "format": 1,
            "queryType": "table",
            "rawSql": for_grafana(query),
            "refId": "A",
        },
        # Whenever the time range changes.
        "refresh": 2,
        "sort": 0,
    }


def dashboard() -> dict[str, Any]:
    panels = []
    at = (0, 0)
    for number, panel in enumerate(PANELS, 1):
        panels.append(drawn(panel, number, at))
        columns, lines = at[0] + panel.width, at[1]
        at = (columns, lines) if columns < WIDTH else (0, lines + panel.height)
    return {
        "uid": "uilog",
        "title": "Mercurial (uilog)",
        "tags": ["mercurial", "uilog"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "",
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "ClickHouse",
                    "type": "datasource",
                    "query": PLUGIN,
                },
                variable("command", "Command", COMMANDS),
                variable("before", "Version before", VERSIONS),
                variable("after", "Version after", VERSIONS),
            ]
        },
        "panels": panels,
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


def main() -> int:
    DASHBOARD.parent.mkdir(exist_ok=True)
    DASHBOARD.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
