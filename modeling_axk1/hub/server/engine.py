"""HTTP on the wire: uvicorn's fast parser, bounded request heads, and files that go from the page cache to the socket.

uvicorn knows no way to send a file but through Python's memory. ASGI has a name for a better one, the extension
`http.response.zerocopysend`, and this adds it with sendfile(2).
"""

import asyncio
import errno
import os
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from modeling_axk1.hub.server.patience import ImpatientProtocol
from modeling_axk1.hub.server.pieces import ZERO_COPY

# Longer than any list of paths in a URL that clients send; the parser itself has no limit.
_LARGEST_HEAD = 64 * 1024
_TOO_LARGE = f"a request's head must not exceed {_LARGEST_HEAD} bytes"

# Of one file in one turn of the event loop, which all clients of a process share. Of 2 MiB, downloads are no faster and
# a metadata call beside 8 of them takes three times as long.
_TURN = 256 * 1024

# What is read from the disk at a time when it is not in memory.
_READ_AHEAD = 2 * 1024 * 1024

# Seconds that a client may take to make room for more; a slow one makes some, a dead one none.
_STALLED = 60.0


class Protocol(ImpatientProtocol):
    """uvicorn's protocol for one connection, with a limit on heads and with zero-copy responses."""

    _head = 0  # bytes of this request's path and headers (trailers too)
    _unparsed = 0  # bytes since the parser last had something to tell

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {ZERO_COPY: {}}
        self._head = self._unparsed = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; a header that does not end is refused before it fills the memory."""
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > _LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response(_TOO_LARGE)

    def _count(self, size: int) -> None:
        self._unparsed = 0
        self._head += size
        if self._head > _LARGEST_HEAD:
            raise ValueError(_TOO_LARGE)  # the parser makes a 400 of it

    def on_headers_complete(self) -> None:
        """Start the application on the request."""
        super().on_headers_complete()
        cycle = self.cycle
        plain = cycle.send

        async def send(message: Any) -> None:
            if message["type"] == ZERO_COPY:
                await self._send_file(cycle, message["file"], message["offset"], message["count"])
                # What has gone out this way is no longer expected, and this ends the response if it was the last.
                cycle.expected_content_length -= message["count"]
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await plain(message)

        cycle.send = send  # type: ignore[method-assign]  # its task begins when this returns

    async def _send_file(self, cycle: RequestResponseCycle, file: int, offset: int, count: int) -> None:
        """Send `count` bytes of an open file; returns early when the client has gone."""
        if self.transport.is_closing():
            cycle.disconnected = True
            return
        # A descriptor of our own: the loop lets nobody else watch the transport's, and after the transport has closed
        # that number may be another connection.
        socket = os.dup(self.transport.get_extra_info("socket").fileno())
        in_memory, end = offset, offset + count
        try:
            while self.transport.get_write_buffer_size():
                await self._writable(socket)
            while offset < end:
                if offset >= in_memory:
                    in_memory = min(offset + _READ_AHEAD, end)
                    await _in_page_cache(self.loop, file, offset, in_memory - offset)
                if self.transport.is_closing():
                    cycle.disconnected = True
                    return
                try:
                    sent = os.sendfile(socket, file, offset, min(_TURN, end - offset))
                except BlockingIOError:
                    await self._writable(socket)
                    continue
                if not sent:
                    raise OSError(f"a file ended at byte {offset}, expected {end}")
                offset += sent
                await asyncio.sleep(0)  # now the others
        except (ConnectionError, TimeoutError):
            cycle.disconnected = True
            self.transport.abort()
        finally:
            os.close(socket)

    async def _writable(self, socket: int) -> None:
        """Wait until a socket takes more; raises TimeoutError when it does not for a long time."""
        ready = self.loop.create_future()
        self.loop.add_writer(socket, _wake, ready)
        try:
            async with asyncio.timeout(_STALLED):
                await ready
        finally:
            self.loop.remove_writer(socket)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


async def _in_page_cache(loop: asyncio.AbstractEventLoop, file: int, offset: int, count: int) -> None:
    """Have the system read a stretch of a file before it is sent: sendfile would wait for the disk, and all with it."""
    if not hasattr(os, "RWF_NOWAIT"):  # not Linux: the disk is waited for
        return
    try:
        os.preadv(file, [bytearray(1)], offset + count - 1, os.RWF_NOWAIT)
    except BlockingIOError:
        await loop.run_in_executor(None, _read_ahead, file, offset, count)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # a file system that cannot tell
            raise


def _read_ahead(file: int, offset: int, count: int) -> None:
    os.posix_fadvise(file, offset, count, os.POSIX_FADV_WILLNEED)
    os.pread(file, 1, offset + count - 1)
