"""What machines ask of a hub: is it well, and how much does it do. And what it tells the one that started it."""

import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from modeling_axk1.hub.server.access import Access
from modeling_axk1.hub.server.accounts import EVERYWHERE
from modeling_axk1.hub.server.catalog import repositories_in
from modeling_axk1.hub.server.metrics import Metrics

# Below this the hub says that it is not well, while commits still have room.
_LEAST_FREE = 64 * 1024 * 1024
# Counting the blobs means looking into every folder.
_SECONDS_BETWEEN_COUNTS = 60.0


class Health:
    """GET /health, for everybody: it tells no secret. GET /metrics, for who may read the whole hub."""

    def __init__(self, root: Path, access: Access, metrics: Metrics) -> None:
        self._root = root
        self._access = access
        self._metrics = metrics
        self._counted: tuple[float, dict[str, tuple[str, float]]] = (float("-inf"), {})

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/health", self._health), Route("/metrics", self._tell)]

    async def _health(self, request: Request) -> Response:
        status = await run_in_threadpool(_status, self._root)
        return JSONResponse(
            {"status": status}, status_code=200 if status == "ok" else 503, headers={"Cache-Control": "no-store"}
        )

    async def _tell(self, request: Request) -> Response:
        self._access.check_namespace(request, "read", EVERYWHERE)
        gauges = await run_in_threadpool(self._gauges)
        return PlainTextResponse(self._metrics.text(gauges), media_type="text/plain; version=0.0.4")

    def _gauges(self) -> dict[str, tuple[str, float]]:
        at, counted = self._counted
        if time.monotonic() - at > _SECONDS_BETWEEN_COUNTS:
            blobs = (self._root / "blobs").glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*")
            sizes = [entry.stat().st_size for entry in blobs if entry.exists()]
            counted = {
                "axk1_hub_blobs": ("Large files, counted once a minute.", len(sizes)),
                "axk1_hub_blob_bytes": ("Bytes of large files, counted once a minute.", sum(sizes)),
                "axk1_hub_repositories": ("Repositories, counted once a minute.", len(repositories_in(self._root))),
            }
            self._counted = (time.monotonic(), counted)
        free = shutil.disk_usage(self._root).free
        return {**counted, "axk1_hub_free_bytes": ("Bytes free on the hub's disk.", free)}


def _status(root: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=root / "blobs" / "incoming") as file:
            file.write(b"0" * 4096)
    except OSError:
        return "disk not writable"
    return "ok" if shutil.disk_usage(root).free >= _LEAST_FREE else "disk full"


def tell_systemd(state: str) -> None:
    """Tell the service manager something like "READY=1" (sd_notify(3)); does nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
