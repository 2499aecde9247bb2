"""Reads files that strangers uploaded in processes of their own, with little memory and little time.

Parquet is read by a large C++ library and tensors' headers may be millions of values: what goes wrong there must cost
one page, not the hub. Starting Python and pyarrow for each page would take longer than reading it, so one helper
process does that once (`sandboxed.__main__`) and forks itself for each task; a fork limits itself and ends after it.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from modeling_axk1.hub.server.browse.sandboxed import CPU_SECONDS, LARGEST_ANSWER, MEMORY
from modeling_axk1.hub.server.refusal import Refusal

# Of one hub process; others wait, and no more of them than this, as each keeps a thread of the hub's waiting.
_AT_ONCE = 2
_MOST_WAITING = 8
_SECONDS_TO_WAIT = 20
_SECONDS_OF_FAILURE = 300.0
_MOST_FAILURES = 1000
# Beyond the time that a task gives itself.
_GRACE_SECONDS = 5


class UnreadableError(Exception):
    """A file cannot be read, or not with the memory and time there is; its text is one line for people."""


class Sandbox:
    """Runs tasks; safe to use from several threads. The helper starts with the first task, anew if it was lost."""

    def __init__(self, cpu_seconds: int = CPU_SECONDS, memory: int = MEMORY) -> None:
        """Let each task take so much; `memory` is in bytes."""
        self._limits = {"cpu_seconds": cpu_seconds, "memory": memory}
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(_AT_ONCE)
        self._places = threading.Semaphore(_AT_ONCE + _MOST_WAITING)
        self._failures = _Failures()
        self._helper: tuple[int, subprocess.Popen[bytes], socket.socket] | None = None

    def run(self, task: str, about: object, **given: Any) -> bytes:
        """Return what a task of `sandboxed` returns for values that JSON can hold.

        What failed is not tried again for some minutes, as it may have cost all the time there is; `about` settles
        what that is. Raises UnreadableError when the file is at fault, and Refusal (503) when the hub is.
        """
        key = hashlib.sha256(json.dumps([task, about]).encode()).digest()
        self._failures.raise_known(key)
        if not self._places.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turns.acquire(timeout=_SECONDS_TO_WAIT):
                raise _busy()
            try:
                return self._answer(json.dumps({"task": task, **self._limits, **given}).encode())
            except UnreadableError as error:
                self._failures.add(key, error)
                raise
            finally:
                self._turns.release()
        finally:
            self._places.release()

    def _answer(self, question: bytes) -> bytes:
        with self._connection() as connection:
            connection.settimeout(3 * self._limits["cpu_seconds"] + _GRACE_SECONDS)
            answer = bytearray()
            try:
                connection.sendall(question)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 20):
                    answer += piece
                    if len(answer) > LARGEST_ANSWER + 9:
                        raise UnreadableError("there is too much to show")
            except (TimeoutError, ConnectionError):
                answer.clear()
        # "+" or "-", the length, the answer or what is wrong: an end that comes early is a task that was ended.
        length = int.from_bytes(answer[1:9], "big")
        if len(answer) < 9 or len(answer) != 9 + length:
            raise UnreadableError("reading it takes more time or memory than a page may cost")
        if answer[:1] == b"-":
            raise UnreadableError(answer[9:].decode("utf-8", "replace"))
        return bytes(answer[9:])

    def _connection(self) -> socket.socket:
        """Return a connection to a new fork of the helper."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for _ in range(2):
                try:
                    socket.send_fds(self._control(), [b"."], [theirs.fileno()])
                    return ours
                except ConnectionError:
                    self._helper = None  # it was killed
        ours.close()
        raise Refusal(503, "the hub cannot start the process that reads files", headers={"Retry-After": "60"})

    def _control(self) -> socket.socket:
        if self._helper is None or self._helper[0] != os.getpid():  # a fork of the hub has a helper of its own
            ours, theirs = socket.socketpair()
            package = Path(__file__).parents[4]
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "modeling_axk1.hub.server.browse.sandboxed", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    # Not stopped by Ctrl-C in the hub's terminal: it ends when the hub's end of the socket closes.
                    start_new_session=True,
                    env={
                        "PATH": os.environ.get("PATH", os.defpath),
                        "LC_ALL": "C.UTF-8",
                        "PYTHONPATH": os.pathsep.join([str(package), *_search_path()]),
                        "PYTHONSAFEPATH": "1",
                        # No threads before a fork, and memory that is given back and counts as it is used.
                        "OMP_NUM_THREADS": "1",
                        "OPENBLAS_NUM_THREADS": "1",
                        "ARROW_DEFAULT_MEMORY_POOL": "system",
                        "MALLOC_ARENA_MAX": "1",
                    },
                )
            self._helper = (os.getpid(), process, ours)
        return self._helper[2]

    def close(self) -> None:
        """End the helper."""
        with self._lock, suppress(OSError):
            if self._helper is not None and self._helper[0] == os.getpid():
                self._helper[2].close()
                self._helper[1].wait(timeout=_GRACE_SECONDS)
                self._helper = None


class _Failures:
    """The last things that failed, for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[float, str]] = {}

    def raise_known(self, key: bytes) -> None:
        with self._lock:
            then, why = self._known.get(key, (0.0, ""))
        if why and time.monotonic() - then < _SECONDS_OF_FAILURE:
            raise UnreadableError(why)

    def add(self, key: bytes, error: UnreadableError) -> None:
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = (time.monotonic(), str(error))
            if len(self._known) > _MOST_FAILURES:
                del self._known[next(iter(self._known))]


def _search_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _busy() -> Refusal:
    return Refusal(
        503, "the hub is reading as many files as it can; try again in a moment", headers={"Retry-After": "5"}
    )


# One for each process of the hub, whatever it shows.
the_sandbox = Sandbox()
