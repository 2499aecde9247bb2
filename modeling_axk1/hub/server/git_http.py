"""Smart HTTP: `git clone`, `fetch`, `pull` and `push` with the addresses of repositories.

Git's own `upload-pack` and `receive-pack` do the work. A request's body is taken in whole first, into a file without
a name, so that a slow client holds neither a process nor a lock; answers are streamed. What a push may bring is
decided in `pre_receive`.
"""

import asyncio
import os
import re
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import IO, Any

from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from modeling_axk1.hub.server.access import Access, Right
from modeling_axk1.hub.server.git_process import LARGEST_PUSH, Git, Service, stop
from modeling_axk1.hub.server.lock import writing
from modeling_axk1.hub.server.names import REPOSITORY_PREFIXES
from modeling_axk1.hub.server.quota import Quotas
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.requests import refuse

# What a client has and wants, as lists of commit ids.
_LARGEST_FETCH_REQUEST = 16 * 1024 * 1024
_LARGEST_COMMAND_LIST = 1024 * 1024
_CHUNK = 64 * 1024
# A client that takes nothing for so long is gone.
_PATIENCE_SECONDS = 300
# Whoever takes longer is gone, or holds a process for nothing.
_LONGEST_ANSWER_SECONDS = 6 * 3600
_MOST_WAITING = 8

_SERVICES: dict[str, Service] = {"git-upload-pack": "upload-pack", "git-receive-pack": "receive-pack"}
_NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "X-Content-Type-Options": "nosniff"}
_PROTOCOL = re.compile(r"version=[012]")


class GitHttp:
    """The routes that git's clients use, below NAME and NAME.git."""

    def __init__(self, access: Access, git: Git, quotas: Quotas) -> None:
        self._access = access
        self._git = git
        self._quotas = quotas
        # Waiting for a repository's lock must not take the threads that readers need.
        self._waiting: CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Return the routes of datasets, then those of models."""
        routes = []
        for kind, prefix in REPOSITORY_PREFIXES:
            for ending in (".git", ""):
                base = f"{prefix}/{{namespace:quoted}}/{{name:quoted}}{ending}"
                routes += [
                    Route(f"{base}/info/refs", _for_people(partial(self._advertise, kind))),
                    Route(f"{base}/git-upload-pack", _for_people(partial(self._fetch, kind)), methods=["POST"]),
                    Route(f"{base}/git-receive-pack", _for_people(partial(self._push, kind)), methods=["POST"]),
                ]
        return routes

    async def _advertise(self, kind: str, request: Request) -> Response:
        name = request.query_params.get("service", "")
        service = _SERVICES.get(name)
        right: Right = "write" if service == "receive-pack" else "read"
        repository = await run_in_threadpool(self._access.repository, request, kind, right)
        if service is None:
            raise Refusal(403, f"service must be one of {sorted(_SERVICES)} (git 1.6.6 or newer), got {name[:80]!r}")
        protocol = _protocol(request)
        opening = b""
        if service == "receive-pack" or protocol != "version=2":
            opening = _packet(f"# service={name}\n".encode()) + b"0000"
        process = await self._git.start(
            service,
            "--advertise-refs",
            repository=repository.path,
            protocol=protocol if service == "upload-pack" else "",
            body=None,
        )
        return _Streamed(process, f"application/x-{name}-advertisement", opening=opening)

    async def _fetch(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "read")
        _check_type(request, "git-upload-pack")
        with tempfile.TemporaryFile(dir=self._git.folder, buffering=0) as body:
            await _take_in(request, body, _LARGEST_FETCH_REQUEST, _too_large(_LARGEST_FETCH_REQUEST))
            process = await self._git.start(
                "upload-pack", repository=repository.path, protocol=_protocol(request), body=body
            )
        return _Streamed(process, "application/x-git-upload-pack-result")

    async def _push(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "write")
        _check_type(request, "git-receive-pack")
        try:
            with tempfile.TemporaryFile(dir=self._git.folder, buffering=0) as body:
                # Whoever has no room left may still send the words that remove a branch.
                most = await run_in_threadpool(self._quotas.push_limit, repository, _LARGEST_COMMAND_LIST)
                await _take_in(request, body, *(most or (LARGEST_PUSH, _too_large(LARGEST_PUSH))))
                size = body.seek(0, os.SEEK_END) - _check_commands(body)
                taken = await run_in_threadpool(self._quotas.take_bytes, repository, size)
                return await self._receive(repository, body, taken)
        except Refusal as refusal:
            if refusal.status not in {413, 503, 507}:
                raise
            # Git shows the words of a refused push only when they come as a push's answer.
            return _push_refused(refusal.message)

    async def _receive(
        self, repository: Repository, body: IO[bytes], taken: AbstractContextManager[object]
    ) -> Response:
        self._waiting = self._waiting or CapacityLimiter(_MOST_WAITING)
        with ExitStack() as stack:
            stack.enter_context(taken)
            lock = await to_thread.run_sync(stack.enter_context, writing(repository.path), limiter=self._waiting)
            process = await self._git.start(
                "receive-pack", repository=repository.path, protocol="", body=body, lock=lock
            )
            # From here on the lock ends with the answer.
            held = stack.pop_all()
        return _Streamed(process, "application/x-git-receive-pack-result", before_the_end=repository.settle, held=held)


class _Streamed(Response):
    """What a git process says, as it says it. The process ends with the client.

    Args:
        process: with its output as a pipe.
        media_type: of the answer.
        opening: bytes before what the process says.
        before_the_end: called when the process is done, before the client gets the last bytes, without which it
            takes nothing for done.
        held: closed when the process is gone.

    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        media_type: str,
        *,
        opening: bytes = b"",
        before_the_end: Callable[[], None] | None = None,
        held: ExitStack | None = None,
    ) -> None:
        super().__init__(media_type=media_type, headers=_NO_CACHE)
        del self.headers["content-length"]
        self._process = process
        self._opening = opening
        self._before_the_end = before_the_end
        self._held = held or ExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [asyncio.create_task(self._talk(scope, receive, send)), asyncio.create_task(_end_of_client(receive))]
        try:
            await asyncio.wait(tasks, timeout=_LONGEST_ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.shield(self._end())

    async def _end(self) -> None:
        await stop(self._process)
        self._held.close()

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(data: bytes, *, more: bool = True) -> None:
            message = {"type": "http.response.body", "body": data, "more_body": more}
            await asyncio.wait_for(send(message), _PATIENCE_SECONDS)

        assert self._process.stdout is not None
        latest = await self._process.stdout.read(_CHUNK)
        if not latest and await self._process.wait() != 0:
            await PlainTextResponse("git cannot read this request\n", 400)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await say(self._opening)
        while chunk := await self._process.stdout.read(_CHUNK):
            await say(latest)
            latest = chunk
        if self._before_the_end is not None:
            await self._process.wait()
            await run_in_threadpool(self._before_the_end)
        await say(latest, more=False)


async def _end_of_client(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _for_people(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Answer refusals as plain text, which git shows its user as `remote: ...`."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            headers = dict(refuse(refusal).headers)
            del headers["content-length"], headers["content-type"]
            return PlainTextResponse(f"{refusal.message}\n", refusal.status, headers)

    return answer


def _protocol(request: Request) -> str:
    asked = request.headers.get("git-protocol", "").split(":")
    return next((part for part in asked if _PROTOCOL.fullmatch(part)), "")


def _check_type(request: Request, service: str) -> None:
    wanted = f"application/x-{service}-request"
    if request.headers.get("content-type") != wanted:
        raise Refusal(415, f"the content type must be {wanted}, got {request.headers.get('content-type', '')[:80]!r}")


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"a request of git's must not exceed {limit} bytes; push fewer commits at a time")


async def _take_in(request: Request, body: IO[bytes], limit: int, too_large: Refusal) -> None:
    """Write a request's body to `body`, unpacked, and go to its start; raises `too_large` above `limit` bytes."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise Refusal(415, f"a content encoding must be gzip, got {encoding[:80]!r}")
    inflate = None if encoding == "identity" else zlib.decompressobj(wbits=31)
    stream, size = request.stream(), 0
    async for chunk in stream:
        async for data in _plain(chunk, inflate):
            size += len(data)
            if size > limit:
                # A client that is still sending would see a broken connection instead of reading why.
                async for _ in stream:
                    pass
                raise too_large
            await run_in_threadpool(body.write, data)
    if inflate is not None and not inflate.eof:
        raise Refusal(400, "a gzip body must be whole")
    body.seek(0)


async def _plain(data: bytes, inflate: Any) -> AsyncIterator[bytes]:
    """Yield the bytes that a part of a body stands for, little by little: a few of them may stand for any number."""
    if inflate is None:
        yield data
        return
    while data and not inflate.eof:
        try:
            yield inflate.decompress(data, 16 * _CHUNK)
        except zlib.error as error:
            raise Refusal(400, "a gzip body must be gzip") from error
        data = inflate.unconsumed_tail


def _check_commands(body: IO[bytes]) -> int:
    """Return the size of a push's list of references; refuses a malformed or endless one: git holds it in memory."""
    size = body.seek(0)
    while head := body.read(4):
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", head) or 0 < int(head, 16) < 4:
            raise Refusal(400, f"a push must begin with git's packet lines, got {head!r}")
        if head == b"0000":
            break
        length = int(head, 16) - 4
        if len(body.read(length)) != length:
            raise Refusal(400, "a push must end its list of references")
        size += length
        if size > _LARGEST_COMMAND_LIST:
            raise Refusal(413, "a push must not change so many references at once")
    else:
        raise Refusal(400, "a push must end its list of references")
    end = body.tell()
    body.seek(0)
    return end


def _push_refused(message: str) -> Response:
    """Return the answer of a push in which nothing was done: git shows `message` as `remote: ...`."""
    words = _packet(b"\x02" + message.encode() + b"\n")
    report = _packet(b"\x01" + _packet(b"unpack refused\n") + b"0000")
    return Response(words + report + b"0000", media_type="application/x-git-receive-pack-result", headers=_NO_CACHE)


def _packet(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data
