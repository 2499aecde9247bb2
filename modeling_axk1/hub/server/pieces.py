"""A response put together from bytes and from stretches of files, which the engine may send without copying them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# ASGI's name for sending part of an open file: {"file": descriptor, "offset", "count", "more_body"}.
ZERO_COPY = "http.response.zerocopysend"

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Stretch:
    """The bytes [start, end) of an open file."""

    file: FileIO
    start: int
    end: int


Piece = bytes | Stretch


class PiecesResponse(Response):
    """Sends its pieces one after the other; a HEAD gets the same headers and none of them.

    It closes the files. They stay open until then, so that what is removed meanwhile still arrives whole.
    """

    def __init__(self, pieces: list[Piece], status: int, headers: Mapping[str, str], media_type: str) -> None:
        length = sum(len(piece) if isinstance(piece, bytes) else piece.end - piece.start for piece in pieces)
        self.status_code = status
        self.media_type = media_type
        self.background = None
        self.init_headers({**headers, "Content-Length": str(length)})
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                for piece in self._pieces:
                    if isinstance(piece, bytes):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    elif ZERO_COPY in scope.get("extensions", {}):
                        await send(_zero_copy(piece))
                    else:
                        await _copy(piece, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for piece in self._pieces:
                if isinstance(piece, Stretch):
                    piece.file.close()


def _zero_copy(piece: Stretch) -> dict[str, object]:
    return {
        "type": ZERO_COPY,
        "file": piece.file.fileno(),
        "offset": piece.start,
        "count": piece.end - piece.start,
        "more_body": True,
    }


async def _copy(piece: Stretch, send: Send) -> None:
    """Send a stretch through memory, for a server that cannot do better."""
    at = piece.start
    while at < piece.end:
        chunk = await run_in_threadpool(os.pread, piece.file.fileno(), min(_CHUNK, piece.end - at), at)
        if not chunk:
            raise OSError(f"a file ended at byte {at}, expected {piece.end}")
        at += len(chunk)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
