"""The receiver behind the collector: accepts OTLP, checks it, and stores it.

Responsible for OTLP/HTTP with protobuf (`/v1/traces`, `/v1/logs`), for the
rules that each span and log record must obey, and for the received records, by
the id that uilog gives each event. A request that breaks a rule is answered
with 400 and stored as a complaint.

Must not know what a test expects of the records, or who sends them.

usage: otlp_receiver.py PORT  (says `ready PORT`, ends with its input, and
prints what has come as JSON)
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

# The attribute by which a receiver tells that something has come before.
ID = "hg.id"

# A clock that is this far off is a unit that was mistaken.
DAY_NS = 24 * 3600 * 10**9

NO_TRACE = bytes(16)
NO_SPAN = bytes(8)

LIMIT_BYTES = 64 << 20


class Broken(Exception):
    """A rule that a request does not keep."""


@dataclass(frozen=True)
class Record:
    """A span, or a log record, and what it came with."""

    signal: str
    name: str
    trace: str
    span: str
    parent: str
    # Nanoseconds since 1970; of a log record both are its time.
    start: int
    end: int
    # A span's kind and status, a log record's severity and body.
    kind: int
    status: int
    body: str
    attributes: dict[str, Any] = field(hash=False)
    resource: dict[str, Any] = field(hash=False)

    @property
    def id(self) -> str:
        return str(self.attributes[ID])


def broken_unless(holds: object, what: str) -> None:
    if not holds:
        raise Broken(what)


def value_of(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        raise Broken("a value without a type")
    if kind == "array_value":
        return [value_of(it) for it in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def attributes_of(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        broken_unless(pair.key, "an attribute without a key")
        broken_unless(pair.key not in found, f"{pair.key} stands there twice")
        found[pair.key] = value_of(pair.value)
    return found


def check_time(nanoseconds: int, what: str) -> None:
    off = abs(nanoseconds - time.time_ns())
    broken_unless(off < DAY_NS, f"{what} is {nanoseconds}")


def check_span(span: trace_pb2.Span, resource: dict[str, Any]) -> Record:
    """A span that keeps the rules of trace.proto, and uilog's own."""
    broken_unless(span.name, "a span without a name")
    broken_unless(
        len(span.trace_id) == 16 and span.trace_id != NO_TRACE,
        f"trace id {span.trace_id!r}",
    )
    broken_unless(
        len(span.span_id) == 8 and span.span_id != NO_SPAN,
        f"span id {span.span_id!r}",
    )
    parent = span.parent_span_id
    broken_unless(
        parent == b"" or (len(parent) == 8 and parent != NO_SPAN),
        f"parent span id {parent!r}",
    )
    broken_unless(parent != span.span_id, "a span that is its own parent")
    check_time(span.start_time_unix_nano, "start")
    check_time(span.end_time_unix_nano, "end")
    broken_unless(
        span.start_time_unix_nano <= span.end_time_unix_nano,
        "it ends before it starts",
    )
    broken_unless(span.kind in trace_pb2.Span.SpanKind.values(), "its kind")
    broken_unless(span.kind != 0, "a span of no kind")
    codes = trace_pb2.Status.StatusCode.values()
    broken_unless(span.status.code in codes, "its status")
    attributes = attributes_of(span.attributes)
    broken_unless(attributes.get(ID), f"a span without {ID}")
    return Record(
        "span",
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        parent.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.kind,
        span.status.code,
        span.status.message,
        attributes,
        resource,
    )


def check_log(log: logs_pb2.LogRecord, resource: dict[str, Any]) -> Record:
    """A log record that keeps the rules of logs.proto, and uilog's own."""
    broken_unless(log.event_name, "a log record without the event's name")
    broken_unless(
        log.trace_id == b""
        or (len(log.trace_id) == 16 and log.trace_id != NO_TRACE),
        f"trace id {log.trace_id!r}",
    )
    broken_unless(
        log.span_id == b"" or (len(log.span_id) == 8 and log.trace_id),
        f"span id {log.span_id!r} of trace {log.trace_id!r}",
    )
    check_time(log.time_unix_nano, "time")
    check_time(log.observed_time_unix_nano, "observed time")
    severities = logs_pb2.SeverityNumber.values()
    broken_unless(log.severity_number in severities, "its severity")
    broken_unless(log.HasField("body"), "a log record without a body")
    attributes = attributes_of(log.attributes)
    broken_unless(attributes.get(ID), f"a log record without {ID}")
    return Record(
        "log",
        log.event_name,
        log.trace_id.hex(),
        log.span_id.hex(),
        "",
        log.time_unix_nano,
        log.time_unix_nano,
        0,
        log.severity_number,
        str(value_of(log.body)),
        attributes,
        resource,
    )


def check_resource(group: Any) -> dict[str, Any]:
    attributes = attributes_of(group.resource.attributes)
    broken_unless(attributes.get("service.name"), "no service.name")
    return attributes


def spans_in(body: bytes) -> Iterator[Record]:
    request = trace_service_pb2.ExportTraceServiceRequest()
    parse(request, body)
    for group in request.resource_spans:
        resource = check_resource(group)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield check_span(span, resource)


def logs_in(body: bytes) -> Iterator[Record]:
    request = logs_service_pb2.ExportLogsServiceRequest()
    parse(request, body)
    for group in request.resource_logs:
        resource = check_resource(group)
        for scope in group.scope_logs:
            for log in scope.log_records:
                yield check_log(log, resource)


def parse(request: Message, body: bytes) -> None:
    """Reads what has nothing in it that opentelemetry-proto does not know."""
    try:
        request.ParseFromString(body)
    except DecodeError as exc:
        raise Broken(f"it is no {request.DESCRIPTOR.name}: {exc}") from exc
    size = request.ByteSize()
    request.DiscardUnknownFields()
    broken_unless(size == request.ByteSize(), "it has unknown fields")


# What each path takes, and what an acceptance looks like.
SIGNALS = {
    "/v1/traces": (
        spans_in,
        trace_service_pb2.ExportTraceServiceResponse().SerializeToString(),
    ),
    "/v1/logs": (
        logs_in,
        logs_service_pb2.ExportLogsServiceResponse().SerializeToString(),
    ),
}


class Store:
    """What has come, in the order in which it came, by its id (and that of its
    span: an event may tell of more than one)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[tuple[str, str], list[Record]] = {}
        self._complaints: list[str] = []
        self.connections = 0
        self.requests = 0
        # On the wire, and unpacked.
        self.wire_bytes = 0
        self.body_bytes = 0

    def add(self, records: list[Record], wire: int, body: int) -> None:
        with self._lock:
            self.requests += 1
            self.wire_bytes += wire
            self.body_bytes += body
            for record in records:
                span = record.span if record.signal == "span" else ""
                came = self._records.setdefault((record.id, span), [])
                came.append(record)

    def complain(self, what: str) -> None:
        with self._lock:
            self._complaints.append(what)

    @property
    def complaints(self) -> list[str]:
        """What was wrong with requests; a test expects none."""
        with self._lock:
            return list(self._complaints)

    def records(self) -> list[Record]:
        """Each record once."""
        with self._lock:
            return [came[0] for came in self._records.values()]

    def count(self) -> int:
        """How many different ones have come."""
        with self._lock:
            return len(self._records)

    def spans(self) -> list[Record]:
        return [it for it in self.records() if it.signal == "span"]

    def repeated(self) -> int:
        """How often a record came that had come before."""
        with self._lock:
            return sum(len(came) - 1 for came in self._records.values())

    def different(self) -> list[list[Record]]:
        """Those that came again, and were not the same."""
        with self._lock:
            return [
                came
                for came in self._records.values()
                if any(it != came[0] for it in came[1:])
            ]


class Handler(BaseHTTPRequestHandler):
    """One connection of a collector's, or of uilog's own."""

    protocol_version = "HTTP/1.1"
    server: Server
    # Many small answers: each at once.
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or -1)
        if not 0 <= length <= LIMIT_BYTES:
            self.answer(411, b"", close=True)
            return
        packed = self.rfile.read(length)
        if len(packed) < length:
            # The sender was cut off: it will come again.
            self.close_connection = True
            return
        self.server.wait_until_open()
        read, accepted = SIGNALS.get(self.path, (None, b""))
        if read is None:
            self.answer(404, b"")
            return
        try:
            body = self.unpacked(packed)
            records = list(read(body))
        except Broken as exc:
            self.server.store.complain(f"{self.path}: {exc}")
            self.answer(400, str(exc).encode())
            return
        self.server.store.add(records, length, len(body))
        self.answer(200, accepted)

    def unpacked(self, packed: bytes) -> bytes:
        kind = self.headers.get("Content-Type")
        broken_unless(kind == "application/x-protobuf", f"it is {kind}")
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "identity":
            return packed
        broken_unless(encoding == "gzip", f"it is packed by {encoding}")
        try:
            return gzip.decompress(packed)
        except (OSError, EOFError) as exc:
            raise Broken(f"it is no gzip: {exc}") from exc

    def answer(self, status: int, body: bytes, close: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        # Standard error is a test's.
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int) -> None:
        self.store = Store()
        self._open = threading.Event()
        self._open.set()
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self) -> Any:
        # By the one thread that accepts.
        self.store.connections += 1
        return super().get_request()

    def wait_until_open(self) -> None:
        self._open.wait()

    def hold(self) -> None:
        """Answers nobody until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Only what is no broken connection is worth a word."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Receiver:
    """A receiver in threads of this process."""

    def __init__(self, port: int = 0) -> None:
        self._server = Server(port)
        self.store = self._server.store
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.hold = self._server.hold
        self.release = self._server.release
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def main(argv: list[str]) -> int:
    with Receiver(int(argv[0])) as receiver:
        print(f"ready {receiver.port}", flush=True)
        sys.stdin.read()
        store = receiver.store
        report = {
            "records": store.count(),
            "repeated": store.repeated(),
            "requests": store.requests,
            "wire_bytes": store.wire_bytes,
            "body_bytes": store.body_bytes,
            "complaints": store.complaints,
        }
    print(json.dumps(report))
    return 1 if report["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
