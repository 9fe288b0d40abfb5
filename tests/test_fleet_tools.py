"""The parties that the fleet's tests are made with, before they are relied on:
the receiver's rules, the proxy's faults, and a real collector between them."""

from __future__ import annotations

import gzip
import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
import pytest
from collector import Rotel, why_not
from conftest import until
from fault_proxy import FAULTS, FaultProxy
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from otlp_receiver import Receiver

# Seconds. Who is not answered has to give up some time; nobody else does.
IMPATIENT = 0.5

Traces = trace_service_pb2.ExportTraceServiceRequest
Logs = logs_service_pb2.ExportLogsServiceRequest


def traces(*ids: str) -> Traces:
    """A request that nothing is wrong with."""
    request = Traces()
    group = request.resource_spans.add()
    name = group.resource.attributes.add(key="service.name")
    name.value.string_value = "hg"
    scope = group.scope_spans.add()
    for it in ids:
        span = scope.spans.add(name="hg log", kind=1)
        span.trace_id = os.urandom(16)
        span.span_id = os.urandom(8)
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 10**6
        span.attributes.add(key="hg.id").value.string_value = it
    return request


def logs(*ids: str) -> Logs:
    """The same for log records."""
    request = Logs()
    group = request.resource_logs.add()
    name = group.resource.attributes.add(key="service.name")
    name.value.string_value = "hg"
    scope = group.scope_logs.add()
    for it in ids:
        log = scope.log_records.add(event_name="incoming", severity_number=9)
        log.time_unix_nano = time.time_ns()
        log.observed_time_unix_nano = log.time_unix_nano
        log.body.string_value = "1 incoming change"
        log.attributes.add(key="hg.id").value.string_value = it
    return request


def post(
    port: int, path: str, body: bytes, timeout: float = processes.DEADLINE
) -> tuple[int, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "gzip",
    }
    try:
        connection.request("POST", path, gzip.compress(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers
    finally:
        connection.close()


def test_what_is_right_is_remembered_by_its_id() -> None:
    with Receiver() as receiver:
        once = traces("a", "b").SerializeToString()
        assert post(receiver.port, "/v1/traces", once)[0] == 200
        assert post(receiver.port, "/v1/traces", once)[0] == 200
        other = logs("c").SerializeToString()
        assert post(receiver.port, "/v1/logs", other)[0] == 200
        store = receiver.store
        assert sorted(it.id for it in store.records()) == ["a", "b", "c"]
        assert store.repeated() == 2
        assert not store.different()
        # The same id and span, and not the same.
        changed = Traces.FromString(once)
        first(changed).name = "hg status"
        body = changed.SerializeToString()
        assert post(receiver.port, "/v1/traces", body)[0] == 200
        assert [came[0].id for came in store.different()] == ["a"]
        assert not store.complaints


def no_service(request: Traces) -> None:
    request.resource_spans[0].resource.attributes[0].key = "service"


def first(request: Traces) -> Any:
    return request.resource_spans[0].scope_spans[0].spans[0]


WRONG: dict[str, Callable[[Traces], object]] = {
    "service.name": no_service,
    "without a name": lambda it: first(it).ClearField("name"),
    "trace id": lambda it: setattr(first(it), "trace_id", bytes(16)),
    "span id": lambda it: setattr(first(it), "span_id", b"1234567"),
    "parent span id": lambda it: setattr(first(it), "parent_span_id", b"1"),
    "its own parent": lambda it: setattr(
        first(it), "parent_span_id", first(it).span_id
    ),
    "start is": lambda it: setattr(
        first(it), "start_time_unix_nano", time.time_ns() // 1000
    ),
    "before it starts": lambda it: setattr(
        first(it), "start_time_unix_nano", time.time_ns() + 10**9
    ),
    "of no kind": lambda it: first(it).ClearField("kind"),
    "its kind": lambda it: setattr(first(it), "kind", 17),
    "its status": lambda it: setattr(first(it).status, "code", 17),
    "without hg.id": lambda it: first(it).ClearField("attributes"),
    "twice": lambda it: (
        first(it).attributes.add(key="hg.id").value.SetInParent()
    ),
    "without a key": lambda it: first(it).attributes.add(),
    "without a type": lambda it: first(it).attributes.add(key="x"),
    # A field of this number is none of a span's.
    "unknown fields": lambda it: first(it).MergeFromString(b"\xf8\x07\x01"),
}


@pytest.mark.parametrize("complaint", WRONG)
def test_what_is_wrong_is_refused(complaint: str) -> None:
    request = traces("a", "b")
    WRONG[complaint](request)
    with Receiver() as receiver:
        body = request.SerializeToString()
        assert post(receiver.port, "/v1/traces", body)[0] == 400
        (said,) = receiver.store.complaints
        assert complaint in said
        assert not receiver.store.records()


# What the sender sees: a status, or none at all.
SEEN = {
    "slow": 200,
    "retry": 429,
    "busy": 503,
    "busy-after": 503,
    "gateway": 502,
    "bad": 400,
}
ARRIVES = {"slow", "drop", "half"}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_what_it_says(fault: str) -> None:
    with Receiver() as receiver, FaultProxy(receiver.url) as proxy:
        body = traces("a").SerializeToString()

        def ask(timeout: float = processes.DEADLINE) -> int | None:
            try:
                status, headers = post(proxy.port, "/v1/traces", body, timeout)
            except (OSError, http.client.HTTPException):
                return None
            if fault in ("retry", "busy-after") and status != 200:
                assert headers["Retry-After"]
            return status

        proxy.plan([fault])
        status = ask(IMPATIENT) if fault == "hang" else ask()
        # Half of a head may be enough for who reads it leniently.
        assert status == SEEN.get(fault) or fault == "half"
        assert proxy.done == [fault]
        assert receiver.store.count() == (fault in ARRIVES)
        # And then all is well again.
        until("the network", lambda: ask() == 200)
        assert receiver.store.count() == 1
        assert not receiver.store.complaints


def test_a_collector_sends_on_what_it_has_accepted(tmp_path: Path) -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with Receiver() as receiver, Rotel(tmp_path, receiver.url) as rotel:

        def send(name: str) -> None:
            ids = [f"{name}-{number}" for number in range(500)]
            body = traces(*ids).SerializeToString()
            assert post(rotel.port, "/v1/traces", body)[0] == 200
            body = logs(f"{name}-log").SerializeToString()
            assert post(rotel.port, "/v1/logs", body)[0] == 200

        send("a")
        until("what was sent", lambda: receiver.store.count() == 501)
        send("b")
        # Stopped in good order, it keeps nothing back.
        rotel.stop()
        assert receiver.store.count() == 1002
        rotel.start()
        send("c")
        until("what was sent", lambda: receiver.store.count() == 1503)
        assert not receiver.store.complaints
