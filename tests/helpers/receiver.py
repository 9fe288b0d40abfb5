"""A receiver of OTLP over HTTP on the loopback interface, as simple as can be.

The file `answer` in its directory has the answer: a status, and perhaps a text
after it. A file `answer` with the path of the request as its suffix, with dots
for slashes, takes precedence: `answer.v1.logs`. It appends the ids of accepted
records to the file `ids`, one a line, and the paths of
the requests to `paths`. Its port is in `port` as soon as it listens, its
process id in `pid`. It ends when its directory is removed.

usage: receiver.py DIRECTORY
"""

from __future__ import annotations

import gzip
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What the ids of records look like: session and number.
ID = re.compile(rb"[0-9a-f]{32}-\d+")

# Seconds between looks at the directory.
LOOK_EVERY = 0.5

directory = Path()
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        of_path = directory / f"answer{self.path.replace('/', '.')}"
        file = of_path if of_path.exists() else directory / "answer"
        status, _, text = file.read_text().strip().partition(" ")
        if status == "200":
            with lock, (directory / "ids").open("ab") as ids:
                ids.writelines(it + b"\n" for it in sorted({*ID.findall(body)}))
            with lock, (directory / "paths").open("a") as paths:
                paths.write(self.path + "\n")
        answer = b"" if status == "200" else text.strip().encode()
        self.send_response(int(status))
        kind = "application/x-protobuf" if status == "200" else "text/plain"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what it prints would be in the test's output."""


def main(argv: list[str]) -> int:
    global directory
    directory = Path(argv[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.timeout = LOOK_EVERY
    (directory / "pid").write_text(f"{os.getpid()}\n")
    # Whoever finds it finds it whole.
    (directory / "port.new").write_text(f"{server.server_port}\n")
    (directory / "port.new").rename(directory / "port")
    while directory.is_dir():
        server.handle_request()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
