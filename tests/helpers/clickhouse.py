"""ClickHouse's engine, with the tables that collectors make for OpenTelemetry.

Responsible for which columns the Collector's exporter and rotel write.
Must not know the queries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chdb import session

ATTRIBUTES = "Map(LowCardinality(String), String)"
# What both collectors have. Codecs and indexes make queries faster, and change
# no answer.
# Collector: exporter/clickhouseexporter; rotel: src/bin/clickhouse-ddl
TRACES = f"""
    Timestamp DateTime64(9),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    TraceState String,
    SpanName LowCardinality(String),
    SpanKind LowCardinality(String),
    ServiceName LowCardinality(String),
    ResourceAttributes {ATTRIBUTES},
    ScopeName String,
    ScopeVersion String,
    SpanAttributes {ATTRIBUTES},
    Duration UInt64,
    StatusCode LowCardinality(String),
    StatusMessage String
"""
LOGS = f"""
    Timestamp DateTime64(9),
    TimestampTime DateTime DEFAULT toDateTime(Timestamp),
    TraceId String,
    SpanId String,
    TraceFlags UInt8,
    SeverityText LowCardinality(String),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String),
    Body String,
    ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes {ATTRIBUTES},
    ScopeSchemaUrl LowCardinality(String),
    ScopeName String,
    ScopeVersion LowCardinality(String),
    ScopeAttributes {ATTRIBUTES},
    LogAttributes {ATTRIBUTES}
"""
# What they differ in: the Collector's log records have a column more.
SCHEMAS = {"collector": ", EventName String", "rotel": ""}

KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
STATUSES = ["Unset", "Ok", "Error"]


class ClickHouse:
    """The engine, with the tables of one collector."""

    def __init__(self, schema: str) -> None:
        self._session = session.Session()
        order = "ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)"
        self._run(f"CREATE TABLE otel_traces ({TRACES}) {order}")
        self._run(f"CREATE TABLE otel_logs ({LOGS}{SCHEMAS[schema]}) {order}")
        self._has_event_name = bool(SCHEMAS[schema])

    def close(self) -> None:
        self._session.close()

    def _run(self, sql: str, **parameters: str) -> str:
        return str(self._session.query(sql, "JSONEachRow", params=parameters))

    def ask(self, sql: str, **parameters: str) -> list[dict[str, Any]]:
        """What a query answers, row by row."""
        text = self._run(sql, **parameters)
        return [json.loads(line) for line in text.splitlines()]

    def insert(self, requests: Iterable[str]) -> None:
        """Adds what requests in OTLP's JSON hold, each a line."""
        traces, logs = [], []
        for line in requests:
            request = json.loads(line)
            for of_resource in request.get("resourceSpans", []):
                for resource, scope, span in parts(of_resource, "Spans"):
                    traces.append({**resource, **scope, **as_span(span)})
            for of_resource in request.get("resourceLogs", []):
                for resource, scope, log in parts(of_resource, "Logs"):
                    row = {**resource, **scope, **as_log(log)}
                    if self._has_event_name:
                        row["EventName"] = log.get("eventName", "")
                    logs.append(row)
        for table, rows in (("otel_traces", traces), ("otel_logs", logs)):
            if rows:
                text = "\n".join(map(json.dumps, rows))
                self._run(f"INSERT INTO {table} FORMAT JSONEachRow {text}")


def parts(
    of_resource: dict[str, Any], kind: str
) -> Iterable[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """What spans or log records of a resource are in, and each of them."""
    attributes = as_map(of_resource["resource"]["attributes"])
    resource = {
        "ResourceAttributes": attributes,
        "ServiceName": attributes["service.name"],
    }
    for of_scope in of_resource[f"scope{kind}"]:
        found = of_scope["scope"]
        scope = {"ScopeName": found["name"], "ScopeVersion": found["version"]}
        for part in of_scope["spans" if kind == "Spans" else "logRecords"]:
            yield resource, scope, part


def as_span(span: dict[str, Any]) -> dict[str, Any]:
    start = int(span["startTimeUnixNano"])
    status = span.get("status") or {}
    return {
        "Timestamp": decimal(start),
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span.get("parentSpanId", ""),
        "TraceState": span.get("traceState", ""),
        "SpanName": span["name"],
        "SpanKind": KINDS[span["kind"]],
        "SpanAttributes": as_map(span["attributes"]),
        "Duration": int(span["endTimeUnixNano"]) - start,
        "StatusCode": STATUSES[status.get("code", 0)],
        "StatusMessage": status.get("message", ""),
    }


def as_log(log: dict[str, Any]) -> dict[str, Any]:
    return {
        "Timestamp": decimal(int(log["timeUnixNano"])),
        "TraceId": log.get("traceId", ""),
        "SpanId": log.get("spanId", ""),
        "SeverityText": log["severityText"],
        "SeverityNumber": log["severityNumber"],
        "Body": log["body"]["stringValue"],
        "LogAttributes": as_map(log["attributes"]),
    }


def decimal(nanoseconds: int) -> str:
    """Seconds since 1970, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{seconds}.{rest:09}"


def as_map(attributes: list[dict[str, Any]]) -> dict[str, str]:
    return {it["key"]: as_text(it["value"]) for it in attributes}


def as_text(value: dict[str, Any]) -> str:
    """An attribute's value as both collectors write it."""
    ((kind, it),) = value.items()
    if kind == "boolValue":
        return "true" if it else "false"
    if kind == "arrayValue":
        return json.dumps([as_text(each) for each in it["values"]])
    if kind == "doubleValue" and float(it).is_integer():
        return str(int(it))
    return str(it)
