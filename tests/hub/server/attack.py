"""What an attack needs: bytes on a socket as they are, the memory of the hub, and proof that it took no harm."""

import contextlib
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.hub.conftest import Hub


@dataclass
class Answer:
    """What came back on a socket."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Target(Hub):
    """A hub under attack; `log` is all that it says on stderr."""

    log: Path
    client: httpx.Client

    def connect(self, timeout_s: float) -> socket.socket:
        address = urlsplit(self.endpoint)
        return socket.create_connection((address.hostname, address.port), timeout=timeout_s)

    def send(self, raw: bytes, patience_s: float = 1) -> list[Answer]:
        """Send bytes as they are; return the answers until the hub closes or says nothing for some time."""
        with self.connect(patience_s) as connection:
            with contextlib.suppress(OSError):  # refused before all of it was sent
                connection.sendall(raw)
            return answers_in(received(connection))

    def get(self, target: str | bytes, method: str = "GET", headers: bytes = b"", body: bytes = b"") -> Answer:
        """Send one request whose target no client has tidied up."""
        target = target if isinstance(target, bytes) else target.encode()
        length = b"Content-Length: %d\r\n" % len(body) if body or method == "POST" else b""
        head = b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s%s\r\n" % (
            method.encode(), target, length, headers
        )  # fmt: skip
        return self.send(head + body, patience_s=20)[0]

    def post(self, path: str, content: bytes | str, **headers: str) -> httpx.Response:
        return self.client.post(path, content=content, headers=headers)

    def memory_mib(self) -> int:
        """The resident memory of the hub's processes."""
        return sum(_resident_kib(pid) for pid in _descendants(os.getpid()) if _is_hub(pid)) // 1024

    def outside(self) -> dict[str, bytes]:
        """Every file beside the hub's folder."""
        files = (path for path in self.root.parent.rglob("*") if path.is_file() and path != self.log)
        return {str(path): path.read_bytes() for path in files if not path.is_relative_to(self.root)}

    def inside(self) -> set[str]:
        """Every repository's and every blob's name."""
        return {str(path) for path in [*self.root.glob("repositories/*/*/*"), *self.root.glob("blobs/*/*/*")]}


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes, or says nothing for as long as the socket waits."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except (ConnectionResetError, TimeoutError):
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def answers_in(data: bytes) -> list[Answer]:
    """Return the HTTP answers in what came over a connection (to requests other than HEAD)."""
    answers = []
    while data.startswith(b"HTTP/1."):
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(re.split(r":\s*", line, maxsplit=1) for line in lines)
        headers = {name.lower(): value for name, value in headers.items()}
        if "content-length" in headers:
            length = int(headers["content-length"])
            body, data = rest[:length], rest[length:]
        else:
            body, data = rest, b""
        answers.append(Answer(int(status.split()[1]), headers, body))
    return answers


def _is_hub(pid: int) -> bool:
    return b"modeling_axk1.hub.server" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def _descendants(pid: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]
