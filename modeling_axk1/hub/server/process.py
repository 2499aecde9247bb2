"""Run the hub: here until interrupted, or in a process of its own for as long as a block of code needs it."""

import contextlib
import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_axk1.errors import HubError, UsageError

if TYPE_CHECKING:
    from modeling_axk1.hub.server.access import Policy


def run(
    root: Path,
    host: str,
    port: int,
    announce: Callable[[str], None],
    wait_for_stop: Callable[[], object] | None = None,
    *,
    policy: "Policy" = "open",
) -> None:
    """Serve the hub in `root` until SIGINT or SIGTERM comes, or `wait_for_stop` returns.

    Args:
        root: folder of the hub; made when missing.
        host: address to listen on.
        port: TCP port in [0, 65535]; 0 takes a free one.
        announce: called once with the endpoint, when connections are accepted.
        wait_for_stop: called in a thread of its own.
        policy: who is let in, see `access`.

    Raises HubError when the port is taken, the address is not of this machine, or `root` is served already.

    """
    import uvicorn

    from modeling_axk1.hub.server.app import build
    from modeling_axk1.hub.server.catalog import Catalog

    with _listen(host, port) as listener:
        catalog = Catalog(root)
        server = uvicorn.Server(
            uvicorn.Config(
                build(catalog, policy),
                log_level="warning",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=5,
            )
        )
        if wait_for_stop is not None:

            def stop() -> None:
                wait_for_stop()
                server.should_exit = True

            threading.Thread(target=stop, daemon=True).start()
        name = f"[{host}]" if ":" in host else host
        announce(f"http://{name}:{listener.getsockname()[1]}")
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


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


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UsageError(f"port must be in [0, 65535], got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise HubError(f"{host} is not an address of this machine: {error.strerror}") from None
    try:
        # Lets a restart take a port whose old connections are still closing; a port in use stays in use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise HubError(f"port {port} on {host} is taken; choose another with --port") from None
        raise HubError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener
