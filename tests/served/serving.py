"""A web server of this machine for tests of downloads, on the loopback address: each file is given as a test says.

| how | what a client gets |
|---|---|
| whole | the file |
| cut | the length of all, and half of it |
| stalled | the length of all, half of it, and nothing more |
| missing | 404 |
| busy | 503 |
| ways in a row, such as "cut whole" | one after the other; the last one stays |
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """content: what a client gets. how: as above. headers: more of them. asked: (method, first byte) of each request.
    together: how many have to ask for it before any gets it."""

    content: bytes = b""
    how: str = "whole"
    headers: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    together: int = 1
    all_here: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        if [method for method, _ in self.asked].count("GET") >= self.together:
            self.all_here.set()
        self.all_here.wait(30)

    def next_way(self) -> str:
        first, _, rest = self.how.partition(" ")
        self.how = rest or first
        return first


class Server(ThreadingHTTPServer):
    """files: by path, from the slash on; what is not there is missing."""

    daemon_threads = False  # so that closing waits for them, and for their sockets

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.over = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Of a client that has gone: nothing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        with self.server.lock:
            served = self.server.files.get(self.path)
        if served is None or served.how.startswith("missing"):
            self._refuse(404)
            return
        served.asked.append(("HEAD", 0))
        self._begin(200, served, len(served.content))

    def do_GET(self) -> None:
        with self.server.lock:
            served = self.server.files.get(self.path)
            way = served.next_way() if served else "missing"
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if served is not None:
            served.asked.append(("GET", start))
            served.wait()
        if served is None or way in ("missing", "busy"):
            self._refuse(503 if way == "busy" else 404)
            return
        content = served.content[start:]
        self._begin(206 if start else 200, served, len(content), start)
        self.wfile.write(content if way == "whole" else content[: len(content) // 2])
        self.wfile.flush()
        if way == "stalled":
            self.server.over.wait(30)
        self.close_connection = way != "whole"

    def _begin(self, code: int, served: Served, length: int, start: int = 0) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        if start:
            size = len(served.content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        for name, value in served.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
