"""Several processes that serve one hub: started, replaced when one dies, stopped together."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from modeling_axk1.errors import HubError

# A worker that ends sooner than this after its start would end again and again.
_SOONEST = 1.0
# Seconds for requests in flight to end; uvicorn itself waits for a little less.
_GRACE = 35.0


def listeners(first: socket.socket, count: int) -> list[socket.socket]:
    """Return `count` listening sockets of the address that `first` is bound to; the kernel deals connections out.

    With one socket for all, the first process to wake takes every connection that waits. The sockets belong to the
    process that starts the workers: what waits at one of them is not lost when its worker dies.
    """
    found = [first]
    for _ in range(count - 1):
        other = socket.socket(first.family, socket.SOCK_STREAM, first.proto)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(first.getsockname())
        other.listen(2048)
        found.append(other)
    return found


class Workers:
    """Forked processes, one for each socket, that run `serve(socket, wait_for_stop)`.

    They share what this process has open, the lock on the hub's folder with it, and end when this process does.
    """

    def __init__(
        self, sockets: list[socket.socket], serve: Callable[[socket.socket, Callable[[], object]], None]
    ) -> None:
        self._sockets = sockets
        self._serve = serve
        self._alive: dict[int, tuple[socket.socket, float]] = {}
        # Nothing is ever written: its end tells the workers that this process stops them, or is gone.
        self._life, self._own_life = os.pipe()
        # A byte for every signal. Waiting for a process instead would miss one that comes just before the wait begins.
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._stopping = False

    def start(self) -> None:
        """Start the workers; from now on SIGINT and SIGTERM stop them."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: self.stop())
        for listener in self._sockets:
            self._fork(listener)

    def wait(self) -> None:
        """Keep them alive until SIGINT, SIGTERM or `stop`; raises HubError when one ends as soon as it starts."""
        while self._alive:
            os.read(self._woken, 4096)
            self._replace_ended()

    def _replace_ended(self) -> None:
        while self._alive:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            listener, started = self._alive.pop(process, (None, 0.0))
            if listener is None or self._stopping:
                continue
            if time.monotonic() - started < _SOONEST:
                self.stop()
                raise HubError(f"a worker process ended at once (exit status {os.waitstatus_to_exitcode(status)})")
            print(f"axk1: a worker process ended and is replaced (status {status})", file=sys.stderr, flush=True)
            self._fork(listener)

    def stop(self) -> None:
        """Have all workers finish what they are doing and end; those that do not in time are killed."""
        if self._stopping:
            return
        self._stopping = True
        os.close(self._own_life)
        killer = threading.Timer(_GRACE, self._kill)
        killer.daemon = True
        killer.start()

    def _fork(self, listener: socket.socket) -> None:
        process = os.fork()
        if process:
            self._alive[process] = (listener, time.monotonic())
            return
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.close(self._own_life)
            for other in self._sockets:
                if other is not listener:
                    other.close()
            self._serve(listener, lambda: os.read(self._life, 1))
            status = 0
        finally:
            # Not sys.exit: what the parent was in the middle of is not this process's to finish.
            os._exit(status)

    def _kill(self) -> None:
        for process in list(self._alive):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
