"""Run the hub: here until interrupted, or in a process of its own for as long as a block of code needs it."""

import contextlib
import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.errors import HubError, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from modeling_axk1.hub.server.access import Policy
    from modeling_axk1.hub.server.catalog import Catalog
    from modeling_axk1.hub.server.log import LogFormat

# Seconds that an idle connection stays open: longer than a proxy in front keeps its own, or it would lose requests.
_KEEP_ALIVE = 75
_OPEN_FILES = 65536

# Of one process; more are told to come again (503).
_MOST_CONNECTIONS = 2000

# For uploads and downloads in flight when the hub is asked to stop.
_GRACE_SECONDS = 30


def default_workers() -> int:
    """Return how many processes serve a hub on this machine: one for each core, at most 4."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)


def run(
    root: Path,
    host: str,
    port: int,
    announce: Callable[[str], None],
    wait_for_stop: Callable[[], object] | None = None,
    *,
    policy: "Policy" = "open",
    workers: int = 1,
    log: str | None = None,
    log_format: "LogFormat" = "json",
    behind_proxy: bool = False,
    largest_file: int | None = None,
) -> None:
    """Serve the hub in `root` until SIGINT or SIGTERM comes, or `wait_for_stop` returns.

    Args:
        root: folder of the hub; made when missing.
        host: address to listen on.
        port: TCP port in [0, 65535]; 0 takes a free one.
        announce: called once with the endpoint, when connections are accepted.
        wait_for_stop: called in a thread of its own.
        policy: who is let in, see `access`.
        workers: how many processes serve, in [1, 64]; 1 is this one. More are forked, so this needs the main thread.
        log: file for a line about each request; "-" is stderr, None nowhere.
        log_format: of these lines.
        behind_proxy: believe what a proxy in front says of the client's request, see `forwarded`.
        largest_file: bytes in [10 MiB, 1 TiB] that a file may have; None is the most.

    Raises HubError when the port is taken, the address is not of this machine, or `root` is served already.

    """
    from modeling_axk1.hub.server.app import build
    from modeling_axk1.hub.server.catalog import Catalog
    from modeling_axk1.hub.server.commits import LARGEST_BLOB
    from modeling_axk1.hub.server.lfs import REGULAR_LIMIT
    from modeling_axk1.hub.server.log import RequestLog
    from modeling_axk1.hub.server.workers import Workers, listeners

    if not 1 <= workers <= 64:
        raise UsageError(f"workers must be in [1, 64], got {workers}")
    largest_file = LARGEST_BLOB if largest_file is None else largest_file
    if not REGULAR_LIMIT <= largest_file <= LARGEST_BLOB:
        # Smaller ones are in git itself, where pushes bring them.
        raise UsageError(f"the largest file must be in [{REGULAR_LIMIT}, {LARGEST_BLOB}] bytes, got {largest_file}")
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(host, port, shared=workers > 1))
        sockets = [listener, *(stack.enter_context(other) for other in listeners(listener, workers)[1:])]
        # Before the fork: the lock on the folder and the sweep of leftovers are one for all.
        catalog = Catalog(root)
        app = build(
            catalog,
            policy,
            log=RequestLog(log, log_format),
            behind_proxy=behind_proxy,
            largest_file=largest_file,
        )
        name = f"[{host}]" if ":" in host else host
        endpoint = f"http://{name}:{listener.getsockname()[1]}"
        if workers == 1:
            announce(endpoint)
            _serve(app, catalog, listener, wait_for_stop)
            return
        crew = Workers(sockets, partial(_serve, app, catalog))
        crew.start()
        if wait_for_stop is not None:
            _then(wait_for_stop, crew.stop)
        announce(endpoint)
        crew.wait()


def _serve(
    app: "ASGIApp", catalog: "Catalog", listener: socket.socket, wait_for_stop: Callable[[], object] | None
) -> None:
    import uvicorn

    from modeling_axk1.hub.server.browse.summaries import remember_all
    from modeling_axk1.hub.server.engine import Protocol

    _allow_open_files()
    # So that the first who opens the hub's page does not wait for what a thousand cards say.
    threading.Thread(target=remember_all, args=(catalog,), daemon=True).start()
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE,
    )
    server = uvicorn.Server(config)
    if wait_for_stop is not None:
        _then(wait_for_stop, lambda: setattr(server, "should_exit", True))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def _allow_open_files() -> None:
    """Raise the limit of open files: a download holds its connection, a copy of that, and the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _then(wait: Callable[[], object], stop: Callable[[], object]) -> None:
    def wait_and_stop() -> None:
        wait()
        stop()

    threading.Thread(target=wait_and_stop, daemon=True).start()


@contextmanager
def serving(root: Path, port: int = 0, policy: "Policy" = "open") -> Iterator[str]:
    """Serve the hub in `root` on loopback from a child process while the block runs; yields the endpoint.

    The child ends with the block, and also when this process is killed.
    """
    command = [sys.executable, "-m", "modeling_axk1.hub.server", str(root), str(port), policy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            said, _, text = child.stdout.readline().strip().partition(" ")
            if said != "serving":
                raise HubError(text or f"the hub did not start (exit status {child.wait()})")
            yield text
        finally:
            child.stdin.close()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UsageError(f"port must be in [0, 65535], got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named as TCP, so that asyncio turns Nagle's algorithm off: a body behind its head would wait 40 ms for an ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise HubError(
            f"{host} is not an address of this machine: {error.strerror}; choose another with --host"
        ) from None
    try:
        # Lets a restart take a port whose old connections are still closing; a port in use stays in use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        if shared:
            # Only now: whoever sets it before the bind may share the port of a hub that runs already.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise HubError(f"port {port} on {host} is taken; choose another with --port") from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise HubError(f"{host} is not an address of this machine; choose another with --host") from None
        raise HubError(f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port") from None
    return listener
