"""One line for each request: who asked for what, and what came of it. Never a token, a query or a header's text."""

import json
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

LogFormat = Literal["text", "json"]


class RequestLog:
    """Lines on stderr ("-") or at the end of a file, or nowhere (None).

    Each is one write, so those of several processes never mix. A file that was renamed or removed, as logrotate does,
    is opened anew. Text from requests cannot begin a line of its own: what is not printable ASCII is escaped.
    """

    def __init__(self, to: str | None, form: LogFormat = "json") -> None:
        self._path = None if to in (None, "-") else Path(str(to))
        self._form = form
        self._handle: int | None = sys.stderr.fileno() if to == "-" else None
        self._lock = threading.Lock()
        if self._path is not None:
            self._open()  # now, so that a wrong path is told at the start

    def write(self, **facts: Any) -> None:
        """Write one line of facts, in the order given, after the time in UTC; None is left out in text."""
        if self._path is None and self._handle is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._form == "json":
            line = json.dumps({"time": time, **facts}, ensure_ascii=True)
        else:
            line = " ".join([time, *(f"{name}={_plain(value)}" for name, value in facts.items() if value is not None)])
        with self._lock:
            if self._path is not None:
                self._open()
            assert self._handle is not None
            os.write(self._handle, line.encode("ascii", "backslashreplace") + b"\n")

    def _open(self) -> None:
        assert self._path is not None
        if self._handle is not None:
            try:
                if os.path.samestat(os.fstat(self._handle), self._path.stat()):
                    return
            except FileNotFoundError:
                pass
            os.close(self._handle)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._handle = os.open(self._path, flags, 0o640)


def _plain(value: object) -> str:
    """Return a value as text that needs no more than one word, quoted where it would."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set(' "=\\') else json.dumps(text)
