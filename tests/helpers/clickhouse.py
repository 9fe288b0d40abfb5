"""ClickHouse's engine, with the tables that collectors make for OpenTelemetry.

Responsible for which columns the Collector's exporter and rotel write.
Must not know the queries.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chdb import session
from collector import Rotel
from conftest import until

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
    StatusMessage String,
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes {ATTRIBUTES}
    ),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes {ATTRIBUTES}
    )
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


@contextlib.contextmanager
def own_signals() -> Iterator[None]:
    """The engine blocks SIGPIPE in the thread that calls it, and the commands
    of later tests would inherit that."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class ClickHouse:
    """The engine, with the tables of one collector."""

    def __init__(self, schema: str) -> None:
        with own_signals():
            self._session = session.Session()
        order = "ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)"
        self._run(f"CREATE TABLE otel_traces ({TRACES}) {order}")
        self._run(f"CREATE TABLE otel_logs ({LOGS}{SCHEMAS[schema]}) {order}")
        self._has_event_name = bool(SCHEMAS[schema])

    def close(self) -> None:
        self._session.close()

    def _run(self, sql: str, **parameters: str) -> str:
        with own_signals():
            told = self._session.query(sql, "JSONEachRow", params=parameters)
        return str(told)

    def ask(self, sql: str, **parameters: str) -> list[dict[str, Any]]:
        """What a query answers, row by row."""
        text = self._run(sql, **parameters)
        return [json.loads(line) for line in text.splitlines()]

    def count(self) -> int:
        """How many spans and log records there are."""
        sql = "SELECT count() AS n FROM"
        tables = ("otel_traces", "otel_logs")
        return sum(int(self.ask(f"{sql} {it}")[0]["n"]) for it in tables)

    def insert_binary(self, query: str, path: Path) -> None:
        """Runs a query whose rows are in a file: INSERT INTO TABLE (COLUMNS)
        FORMAT RowBinary."""
        head, _, rest = query.partition("(")
        names, _, form = rest.partition(")")
        assert form.strip() == "FORMAT RowBinary", query
        table = head.split()[-1]
        described = self.ask(f"DESCRIBE TABLE {table}")
        types = {it["name"]: it["type"] for it in described}
        columns = [it.strip(" `") for it in names.split(",")]
        structure = ", ".join(f"`{it}` {types[it]}" for it in columns)
        quoted = structure.replace("'", "\\'")
        self._run(
            f"INSERT INTO {table} ({names}) "
            f"SELECT * FROM file('{path}', 'RowBinary', '{quoted}')"
        )

    def insert(self, requests: Iterable[str]) -> None:
        """Adds what requests in OTLP's JSON hold, each a line, as the Collector
        does."""
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


class Server(http.server.ThreadingHTTPServer):
    """Takes what is to be inserted by HTTP, and keeps it in files."""

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Inserting)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.inserts: list[tuple[str, Path]] = []
        self._directory = directory
        self._lock = threading.Lock()
        directory.mkdir()
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def keep(self, query: str, body: bytes) -> None:
        # rotel sends spans and log records at the same time.
        with self._lock:
            path = self._directory / f"{len(self.inserts)}.bin"
            path.write_bytes(body)
            self.inserts.append((query, path))

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Inserting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        (query,) = urllib.parse.parse_qs(url.query)["query"]
        self.server.keep(query, self._body())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        body = b""
        while True:
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def log_message(self, *arguments: object) -> None:
        """Nobody wants to read it."""


def insert_by_rotel(
    engine: ClickHouse, requests: list[str], count: int, directory: Path
) -> None:
    """Sends requests in OTLP's JSON to rotel, and has the engine insert what
    rotel makes of them: so many spans and log records."""
    server = Server(directory / "inserts")
    rotel = Rotel(directory / "rotel", server.url, kind="clickhouse")
    done = 0

    def has_all() -> bool:
        nonlocal done
        while done < len(server.inserts):
            engine.insert_binary(*server.inserts[done])
            done += 1
        return engine.count() == count

    try:
        rotel.start()
        for line in requests:
            kind = "logs" if line.startswith('{"resourceLogs"') else "traces"
            request = urllib.request.Request(
                f"{rotel.url}/v1/{kind}",
                line.encode(),
                {"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request).close()
        until("all rows", has_all)
    finally:
        rotel.stop()
        server.stop()


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
