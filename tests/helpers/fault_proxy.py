"""A network that fails on command: a proxy between uilog and a collector.

Responsible for forwarding each HTTP request, or for applying the next planned
fault to it. Must not know what a request contains, or whether its
sender handles the fault.

Faults, by their effect on one request (or, `refuse`, on all connections for a
while):

refuse      the port is closed
reset       the connection is reset before the request has been read
cut         half of the request is read, then the connection is closed
hang        the request is read and never answered, until the sender closes
slow        it is forwarded a piece at a time
drop        it is forwarded, but the answer is not: so it will be repeated
half        it is forwarded, and half of the answer's head is returned
garbage     an answer that is not HTTP
nothing     an answer of no bytes
retry       429 with Retry-After: 1
busy        503
busy-after  503 with Retry-After, as a date
gateway     502
bad         400
"""

from __future__ import annotations

import email.utils
import socket
import struct
import threading
import time
from collections.abc import Iterable

import ports

# Answered here, not passed on.
ANSWERS = {
    "retry": "429 Too Many Requests\r\nRetry-After: 1",
    "busy": "503 Service Unavailable",
    "busy-after": "503 Service Unavailable\r\nRetry-After: {date}",
    "gateway": "502 Bad Gateway",
    "bad": "400 Bad Request",
}

FAULTS = (
    *("refuse", "reset", "cut", "hang", "slow", "drop", "half", "garbage"),
    *("nothing", *ANSWERS),
)

# Seconds for which `refuse` lasts, and a slow piece takes.
REFUSED = 0.2
PIECE = 0.01
PIECES = 20

# Seconds after which a thread looks whether it is to end.
LOOK = 0.1


class Gone(Exception):
    """One side has closed its connection."""


class Stream:
    """A connection, read by lines and by counted bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def _fill(self) -> None:
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise Gone
        self._buffer += piece

    def head(self) -> bytes:
        """Up to the empty line, which is the end of it."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    def chunks(self) -> bytes:
        """A body in chunks, as it stands there."""
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                self._fill()
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            body += line + b"\r\n" + self.exactly(size + 2)
            if size == 0:
                return body


def body_of(head: bytes, stream: Stream) -> bytes:
    """The body that this head announces."""
    lines = head.lower().split(b"\r\n")
    if b"transfer-encoding: chunked" in lines:
        return stream.chunks()
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return stream.exactly(int(value))
    return b""


class FaultProxy:
    """The proxy, in threads of this process.

    With `plan` it is told what happens to the next requests; when that is at
    its end, everything is passed on.
    """

    def __init__(self, target: str, minimum: int = 0) -> None:
        """To what `http://127.0.0.1:PORT` names. A request shorter than the
        minimum is passed on whatever the plan says."""
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._minimum = minimum
        self._lock = threading.Lock()
        self._plan: list[str] = []
        self.done: list[str] = []
        self.passed = 0
        self._ending = threading.Event()
        # While nobody listens, nobody else is to.
        self._keeper = ports.keep()
        self.port = ports.port_of(self._keeper)
        self._listener = self._listen()
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _listen(self) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(1024)
        listener.settimeout(LOOK)
        return listener

    def plan(self, faults: Iterable[str]) -> None:
        """What happens to the next requests, one after the other."""
        faults = list(faults)
        unknown = set(faults) - {*FAULTS, "pass"}
        assert not unknown, unknown
        with self._lock:
            self._plan += faults

    def left(self) -> int:
        """How many of the planned faults are still to come."""
        with self._lock:
            return len(self._plan)

    def _next(self, size: int) -> str:
        with self._lock:
            if size < self._minimum or not self._plan:
                return "pass"
            fault = self._plan.pop(0)
            if fault != "pass":
                self.done.append(fault)
            return fault

    def _refused(self) -> bool:
        """Whether nobody is to listen for a while."""
        with self._lock:
            if self._plan[:1] == ["refuse"]:
                self.done.append(self._plan.pop(0))
                return True
        return False

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except socket.timeout:
                continue
            except OSError:
                # It has been shut down: nobody listens for a while.
                self._listener.close()
                self._ending.wait(REFUSED)
                self._listener = self._listen()
                continue
            connection.settimeout(None)
            thread = threading.Thread(target=self._serve, args=(connection,))
            with self._lock:
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                stream = Stream(connection)
                while self._request(stream):
                    pass
        except (Gone, OSError):
            # Whoever hung up has to cope with it.
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _request(self, client: Stream) -> bool:
        """Takes one request; whether the connection is good for another."""
        head = client.head()
        lengths = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        length = lengths[0] if lengths else self._minimum
        if length >= self._minimum and self._refused():
            self._listener.shutdown(socket.SHUT_RDWR)
            reset(client.socket)
            return False
        fault = self._next(length)
        if fault == "reset":
            reset(client.socket)
            return False
        if fault == "cut":
            client.exactly(length // 2)
            return False
        body = body_of(head, client)
        if fault == "hang":
            # Whoever waits too long goes.
            while not self._ending.is_set():
                if not client.socket.recv(1):
                    return False
            return False
        if fault == "nothing":
            return False
        if fault == "garbage":
            client.socket.sendall(b"\x00\xff what do you mean?\r\n\r\n" * 9)
            return False
        if fault in ANSWERS:
            date = email.utils.formatdate(time.time() + 1, usegmt=True)
            status = ANSWERS[fault].format(date=date)
            answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"
            client.socket.sendall(answer.encode())
            return True
        answer_head, answer_body = self._forward(head + body, fault == "slow")
        if fault == "drop":
            return False
        if fault == "half":
            client.socket.sendall(answer_head[: len(answer_head) // 2])
            return False
        client.socket.sendall(answer_head + answer_body)
        return True

    def _forward(self, request: bytes, slowly: bool) -> tuple[bytes, bytes]:
        """Asks whom it is meant for, on a connection of its own."""
        with socket.create_connection(self._target) as connection:
            size = len(request) // PIECES + 1 if slowly else len(request)
            for at in range(0, len(request), size):
                connection.sendall(request[at : at + size])
                if slowly:
                    self._ending.wait(PIECE)
            stream = Stream(connection)
            head = stream.head()
            body = body_of(head, stream)
        with self._lock:
            self.passed += 1
        return head, body

    def close(self) -> None:
        self._ending.set()
        self._accepting.join()
        self._listener.close()
        self._keeper.close()
        with self._lock:
            waiting = list(self._open)
        for connection in waiting:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It has ended by itself.
                pass
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def reset(connection: socket.socket) -> None:
    """Ends a connection with RST."""
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()
