"""Clients for hub_load.py, each a process of its own: the job comes as JSON on stdin, the count goes to stdout.

They cost little themselves, so that what is measured is the server: downloads are received into one buffer and
forgotten, over connections that stay open, and nothing but the status and the length of a response is read.

    {"work": "download", "port", "connections", "seconds", "targets": [[path, range or null], ...], "once": false}
    {"work": "ask", "port", "rate", "seconds", "seed", "questions": [[weight, request text], ...]}
"""

import asyncio
import json
import random
import select
import socket
import sys
import time
from typing import Any

_BUFFER = memoryview(bytearray(1 << 20))
_MOST_ASKED_AT_ONCE = 256


class Download:
    """One connection that asks for one target after the other."""

    def __init__(self, port: int, targets: list[list[str | None]]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.targets = targets
        self.received = self.responses = self.failures = 0
        self._head = b""
        self._left = 0

    def ask(self) -> bool:
        """Send the next request; False when there is none."""
        if not self.targets:
            return False
        path, wanted = self.targets.pop()
        ranges = f"Range: {wanted}\r\n" if wanted else ""
        self.socket.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{ranges}\r\n".encode())
        return True

    def receive(self) -> bool:
        """Take what has come; True when that was the end of a response."""
        if self._left:
            count = self.socket.recv_into(_BUFFER[: self._left])
            if not count:
                raise ConnectionError("the server hung up in the middle of a file")
            self.received += count
            self._left -= count
        else:
            # Not the body with it: what is left of the buffer after the head is counted as received.
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionError("the server hung up before it answered")
            self._head += piece
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            self._head = b""
            self._left = _length(head) - len(rest)
            self.received += len(rest)
            self.failures += head.split(b" ", 2)[1] not in {b"200", b"206"}
        if self._left:
            return False
        self.responses += 1
        return True


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"a response without Content-Length: {head!r}")


def download(job: dict[str, Any]) -> dict[str, Any]:
    """Download over many connections until the time is over, or until every target came once."""
    downloads = {}
    poll = select.epoll()
    for number in range(job["connections"]):
        # Every connection begins elsewhere: not all ask for the same file at the same time.
        targets = [job["targets"][place % len(job["targets"])] for place in range(number, number + 100_000)]
        if job["once"]:
            targets = job["targets"][number :: job["connections"]]
        one = Download(job["port"], targets)
        downloads[one.socket.fileno()] = one
        poll.register(one.socket, select.EPOLLIN)
    started = time.perf_counter()
    open_ones = {handle for handle, one in downloads.items() if one.ask()}
    ends = started + (job["seconds"] or 600)
    while open_ones and time.perf_counter() < ends:
        for handle, _ in poll.poll(1):
            one = downloads[handle]
            if one.receive() and not one.ask():
                open_ones.discard(handle)
                poll.unregister(handle)
    seconds = time.perf_counter() - started
    totals = {
        key: sum(getattr(one, key) for one in downloads.values()) for key in ("received", "responses", "failures")
    }
    return {"seconds": seconds, **totals}


async def ask(job: dict[str, Any]) -> dict[str, Any]:
    """Send requests at a fixed rate whether or not the earlier ones are answered; milliseconds of each.

    The clock of a request starts when it was due: time in a queue counts (no coordinated omission).
    """
    chance = random.Random(job["seed"])  # noqa: S311  # which question comes next is no secret
    weights, questions = zip(*job["questions"], strict=True)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    milliseconds: dict[str, list[float]] = {}
    failures = 0
    most = asyncio.Semaphore(_MOST_ASKED_AT_ONCE)

    async def one(request: str, due: float) -> None:
        nonlocal failures
        async with most:
            reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", job["port"])
            try:
                writer.write(request.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if not request.startswith("HEAD"):
                    await reader.readexactly(_length(head))
            except (OSError, asyncio.IncompleteReadError):
                failures += 1
                writer.close()
                return
            idle.append((reader, writer))
        failures += head.split(b" ", 2)[1] != b"200"
        milliseconds.setdefault(request.split(" HTTP", 1)[0], []).append((time.perf_counter() - due) * 1000)

    started = time.perf_counter()
    tasks = []
    for number in range(int(job["rate"] * job["seconds"])):
        due = started + number / job["rate"]
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(chance.choices(questions, weights)[0], due)))
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return {"milliseconds": milliseconds, "failures": failures, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    json.dump(download(job) if job["work"] == "download" else asyncio.run(ask(job)), sys.stdout)
