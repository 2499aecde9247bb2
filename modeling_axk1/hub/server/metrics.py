"""Counters that several processes of a hub keep without waiting for each other, told as Prometheus reads them.

Each process counts in its memory and in a small file of its own below ROOT/metrics; whoever is asked adds them all up.
(The files were mapped at first: on a full disk the first touch of such a page kills the process.) The counters begin
anew when the hub starts, as Prometheus expects of them. prometheus_client can do the same, but decides it by an
environment variable at import, once for a whole process, and was not needed for the format.
"""

import fcntl
import os
import re
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

# Statuses beyond these count as the last one.
_STATUSES = (
    *(200, 201, 202, 204, 206, 301, 302, 303, 304, 307),
    *(400, 401, 403, 404, 405, 408, 409, 412, 413, 416, 422, 429, 499),
    *(500, 501, 503, 507),
    0,
)
# Upper ends in seconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_WORD = 8

OTHER_ROUTE = "other"


class Metrics:
    """The counters of one hub; `routes` are the paths of all its routes.

    Made once, before the hub's processes are forked. All calls of one process come from one thread.
    """

    def __init__(self, folder: Path, routes: list[str]) -> None:
        self._folder = folder
        self._routes = [*dict.fromkeys(routes), OTHER_ROUTE]
        self._index = {route: number for number, route in enumerate(self._routes)}
        # For each route: its statuses, its buckets and one for the rest, microseconds.
        self._row = len(_STATUSES) + len(_BUCKETS) + 2
        # And once: bytes in, bytes out, uploads begun, uploads ended.
        self._length = len(self._routes) * self._row + 4
        self._own: list[int] = []
        self._file: int | None = None
        self._process = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def finished(self, route: str, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """Count a request that has been answered."""
        row = self._index.get(route, len(self._routes) - 1) * self._row
        self._add(row + (_STATUSES.index(status) if status in _STATUSES else len(_STATUSES) - 1), 1)
        bucket = next((number for number, end in enumerate(_BUCKETS) if seconds <= end), len(_BUCKETS))
        self._add(row + len(_STATUSES) + bucket, 1)
        self._add(row + self._row - 1, int(seconds * 1e6))
        self._add(self._length - 4, bytes_in)
        self._add(self._length - 3, bytes_out)

    def upload_began(self) -> None:
        """Count an upload in."""
        self._add(self._length - 2, 1)

    def upload_ended(self) -> None:
        """Count it out, however it ended."""
        self._add(self._length - 1, 1)

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """Return everything in Prometheus' text format; `gauges` are {name: (help, value)} that others know."""
        total, uploads = self._sum()
        lines = _head("axk1_hub_requests_total", "counter", "Requests answered.")
        for row, name in self._rows():
            lines += [
                f'axk1_hub_requests_total{{route="{name}",status="{status or "other"}"}} {count}'
                for status, count in zip(_STATUSES, total[row:], strict=False)
                if count
            ]
        lines += _head("axk1_hub_request_seconds", "histogram", "Seconds from a request's head to its answer's end.")
        for row, name in self._rows():
            buckets = total[row + len(_STATUSES) : row + self._row - 1]
            if any(buckets):
                lines += _histogram(name, buckets, total[row + self._row - 1] / 1e6)
        for name, text, value in (
            ("axk1_hub_received_bytes_total", "Bytes of bodies that came in.", total[-4]),
            ("axk1_hub_sent_bytes_total", "Bytes of bodies that went out.", total[-3]),
        ):
            lines += [*_head(name, "counter", text), f"{name} {value}"]
        gauges = {"axk1_hub_uploads_in_flight": ("Uploads that are running.", uploads), **gauges}
        for name, (text, number) in gauges.items():
            lines += [*_head(name, "gauge", text), f"{name} {number:g}" if number < 1e6 else f"{name} {int(number)}"]
        return "\n".join(lines) + "\n"

    def _rows(self) -> list[tuple[int, str]]:
        return [(number * self._row, _label(template(route))) for number, route in enumerate(self._routes)]

    def _add(self, index: int, amount: int) -> None:
        if self._process != os.getpid():
            self._begin()
        self._own[index] += amount
        if amount and self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, self._own[index].to_bytes(_WORD, sys.byteorder), index * _WORD)

    def _begin(self) -> None:
        """Count from zero in a file of this process: a forked child has one of its own."""
        self._process = os.getpid()
        self._own = [0] * self._length
        self._file = None
        with suppress(OSError):  # a full disk: then others do not see what this process counts
            # Never closed: the lock says that this process lives.
            handle = os.open(self._folder / secrets.token_hex(8), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.pwrite(handle, bytes(self._length * _WORD), 0)
            self._file = handle

    def _sum(self) -> tuple[list[int], int]:
        """Return the counters of all processes, and how many uploads run in those that live."""
        total, uploads = [0] * self._length, 0
        for path in self._folder.iterdir():
            content = path.read_bytes()
            if len(content) != self._length * _WORD:
                continue  # its process has only begun it
            counts = memoryview(content).cast("Q")
            total = [one + other for one, other in zip(total, counts, strict=True)]
            if _is_held(path):
                uploads += counts[-2] - counts[-1]
        return total, uploads


def template(path: str) -> str:
    """Return a route's path without its convertors: /api/models/{namespace}/{name}."""
    return re.sub(r"{(\w+):\w+}", r"{\1}", path)


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(route: str, counts: list[int], seconds: float) -> list[str]:
    lines, so_far = [], 0
    for end, count in zip([*(f"{end:g}" for end in _BUCKETS), "+Inf"], counts, strict=True):
        so_far += count
        lines.append(f'axk1_hub_request_seconds_bucket{{route="{route}",le="{end}"}} {so_far}')
    lines.append(f'axk1_hub_request_seconds_sum{{route="{route}"}} {seconds:.6f}')
    lines.append(f'axk1_hub_request_seconds_count{{route="{route}"}} {so_far}')
    return lines


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
