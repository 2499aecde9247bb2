"""A web server for a folder that knows ranges, and that can be told to misbehave."""

import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Asked:
    """One request as the server got it."""

    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


@dataclass
class RangeServer:
    """Serves `folder` below `address`. A `trick` handles a request itself and returns True, or leaves it by False."""

    folder: Path
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    trick: Callable[["Handler"], bool] = lambda handler: False
    connections: int = 0

    def count(self, path: str) -> int:
        return Counter(request.path for request in self.asked)[path]


class Handler(BaseHTTPRequestHandler):
    """What a trick is given: the request, and `part` for an honest answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    rules: RangeServer

    def setup(self) -> None:
        super().setup()
        self.rules.connections += 1

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.rules.asked.append(Asked(self.path, headers))
        if not self.rules.trick(self):
            self.honest()
        self.wfile.flush()

    @property
    def file(self) -> Path:
        return self.rules.folder / unquote(self.path).lstrip("/")

    def span(self) -> tuple[int, int, int]:
        size = self.file.stat().st_size
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["range"]).groups()
        return int(first), min(int(last or size), size - 1) + 1, size

    def honest(self) -> None:
        if not self.file.is_file():
            self.answer(404)
            return
        start, end, size = self.span()
        if start >= size:
            self.answer(416, {"Content-Range": f"bytes */{size}"})
            return
        self.answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{size}"} | self.etag(), self.bytes(start, end))

    def etag(self) -> dict[str, str]:
        status = self.file.stat()
        return {"ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"'}

    def bytes(self, start: int, end: int) -> bytes:
        with self.file.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", length: int = -1) -> None:
        """Send an answer that promises `length` bytes (those of `body`) and has `body`."""
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(body) if length < 0 else length)} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self, *, reset: bool = False) -> None:
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


# Tricks


def once(trick: Callable[[Handler], bool], times: int = 1) -> Callable[[Handler], bool]:
    """Play `trick` on the first `times` requests only."""
    left = threading.Semaphore(times)
    return lambda handler: left.acquire(blocking=False) and trick(handler)


def ignore_ranges(handler: Handler) -> bool:
    """Send all of a file, as many simple servers do (the length promised, the bytes until the reader hangs up)."""
    handler.answer(200, handler.etag(), b"\0" * 100_000, length=handler.file.stat().st_size)
    handler.hang_up()
    return True


def cut_short(handler: Handler) -> bool:
    """Promise a part, send half of it, hang up."""
    start, end, size = handler.span()
    half = handler.bytes(start, (start + end) // 2)
    handler.answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{size}"} | handler.etag(), half, end - start)
    handler.hang_up()
    return True


def reset(handler: Handler) -> bool:
    handler.hang_up(reset=True)
    return True


def unavailable(handler: Handler) -> bool:
    handler.answer(503, {"Retry-After": "0"}, b"later")
    return True


def wrong_range(handler: Handler) -> bool:
    """Send other bytes than were asked for."""
    start, end, size = handler.span()
    handler.answer(206, {"Content-Range": f"bytes {start + 8}-{end + 7}/{size + 8}"}, b"\0" * (end - start))
    return True


def too_much(handler: Handler) -> bool:
    """A body without a length that never ends."""
    start, end, size = handler.span()
    handler.send_response_only(206)
    handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
    handler.end_headers()
    while True:
        handler.wfile.write(b"\0" * 65_536)


def endless_head(handler: Handler) -> bool:
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
    while True:
        handler.wfile.write(b"X-Padding: " + b"x" * 60_000 + b"\r\n")


def zipped(handler: Handler) -> bool:
    start, end, size = handler.span()
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Encoding": "gzip"}
    handler.answer(206, headers, b"\x1f\x8b" + b"\0" * 100)
    return True


def redirect_for_ever(handler: Handler) -> bool:
    handler.answer(302, {"Location": handler.path + "x"})
    return True


def trickle(handler: Handler) -> bool:
    """A byte now and then."""
    start, end, size = handler.span()
    handler.answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, b"", length=end - start)
    for _ in range(end - start):
        handler.wfile.write(b"\0")
        handler.wfile.flush()
        time.sleep(0.02)
    return True


def redirect_to(address: str) -> Callable[[Handler], bool]:
    def trick(handler: Handler) -> bool:
        handler.answer(302, {"Location": address + handler.path.lstrip("/")})
        return True

    return trick


@contextmanager
def range_server(folder: Path, trick: Callable[[Handler], bool] = lambda handler: False) -> Iterator[RangeServer]:
    """Serve `folder` on loopback while the block runs."""
    rules = RangeServer(folder, trick=trick)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: object) -> None:  # the readers of a misbehaving server hang up
            ...

    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"rules": rules}))
    rules.address = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield rules
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":  # in a process of its own, until its standard input ends: for measuring
    with range_server(Path(sys.argv[1])) as served:
        print(served.address, flush=True)
        sys.stdin.read()
