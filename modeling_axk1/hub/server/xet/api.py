"""The xet protocol over HTTP: tokens from the repository's API, then the store of its chunks at an address of its own.

    GET   /api/KIND/NAMESPACE/NAME/xet-write-token/REVISION    who may write there gets the address and a token
    POST  /xet/KIND/NAMESPACE/NAME/GENERATION/v1/xorb-grants/default/XORB    200: it is here, 404: send it
    POST  ..../v1/xorbs/default/XORB
    POST  ..../v2/shards                                       answers line by line while the files are made
    POST  ..../v1/shards                                       the same in one answer, for older clients

The store's address and token are good for writing to one repository, for an hour, whatever token they were got with.
Each repository has an address of its own because a client remembers by address which chunks it need not send again.
Questions for single chunks find no route, so 404: the answer would have to name what others sent.

Files come down over plain HTTP, where the system copies a blob to the network; as xorbs, Python would have to.
"""

import json
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from modeling_axk1.hub.server.access import CHALLENGE, Access, token_of
from modeling_axk1.hub.server.names import KINDS, check_sha256
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.requests import body_of, endpoint_of
from modeling_axk1.hub.server.store import BlobStore
from modeling_axk1.hub.server.tickets import Tickets
from modeling_axk1.hub.server.xet.files import Admission, FileMaker
from modeling_axk1.hub.server.xet.shard import read_shard
from modeling_axk1.hub.server.xet.store import XorbStore
from modeling_axk1.hub.server.xet.xorb import LARGEST_BODY

_LIFETIME_SECONDS = 3600

_Handler = Callable[[Repository, Request], Coroutine[Any, Any, Response]]


class XetApi:
    """The token routes of repositories, and the routes below /xet."""

    def __init__(self, access: Access, blobs: BlobStore, tickets: Tickets, admission: Admission) -> None:
        self._access = access
        self._blobs = blobs
        self._tickets = tickets
        self._admission = admission

    def routes(self) -> list[Route]:
        """Return the routes of each kind of repository."""
        routes = []
        for kind in KINDS.values():
            api = f"/api/{kind}/{{namespace:quoted}}/{{name:quoted}}"
            store = f"/xet/{kind}/{{namespace:quoted}}/{{name:quoted}}/{{generation:quoted}}"
            routes += [
                Route(f"{api}/xet-write-token/{{revision:quoted_path}}", partial(self._write_token, kind)),
                Route(f"{api}/xet-read-token/{{revision:quoted_path}}", partial(self._read_token, kind)),
            ]
            for path, handler in (
                ("v1/xorb-grants/default/{xorb:quoted}", self._look_for_xorb),
                ("v1/xorbs/default/{xorb:quoted}", self._take_xorb),
                ("v1/shards", self._take_shard),
                ("v2/shards", self._take_shard_and_tell),
            ):
                routes.append(Route(f"{store}/{path}", self._for_writers(kind, handler), methods=["POST"]))
        return routes

    # Tokens

    async def _read_token(self, kind: str, request: Request) -> Response:
        await run_in_threadpool(self._access.repository, request, kind, "read")
        raise Refusal(501, "files of this hub come over plain HTTP: ask for resolve/REVISION/PATH")

    async def _write_token(self, kind: str, request: Request) -> Response:
        repository = await run_in_threadpool(self._access.repository, request, kind, "write")
        generation = await run_in_threadpool(XorbStore(repository.path, self._blobs).open)
        name = f"{kind}/{_name(request)}"
        url = f"{endpoint_of(request)}/xet/{quote(name)}/{generation}"
        secret = self._tickets.sign(f"xet/{name}", lifetime=_LIFETIME_SECONDS)
        expires = int(time.time()) + _LIFETIME_SECONDS
        headers = {
            "X-Xet-Cas-Url": url,
            "X-Xet-Access-Token": secret,
            "X-Xet-Token-Expiration": str(expires),
            "Cache-Control": "no-store",
        }
        return JSONResponse({"casUrl": url, "accessToken": secret, "exp": expires}, headers=headers)

    def _for_writers(self, kind: str, handler: _Handler) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def checked(request: Request) -> Response:
            facts = dict(parse_qsl(token_of(request.headers.get("authorization"))))
            try:
                self._tickets.check(f"xet/{kind}/{_name(request)}", facts)
            except Refusal:
                raise Refusal(401, "Invalid credentials in Authorization header", headers=CHALLENGE) from None
            try:
                return await handler(await run_in_threadpool(self._access.by_ticket, request, kind), request)
            except (Refusal, OSError):
                await _drain(request)
                raise

        return checked

    # The store

    async def _look_for_xorb(self, repository: Repository, request: Request) -> Response:
        name, store = check_sha256(request.path_params["xorb"]), XorbStore(repository.path, self._blobs)
        await body_of(request)  # how long it is, and a checksum
        if await run_in_threadpool(store.has, name):
            return JSONResponse({"was_inserted": False})
        raise Refusal(404, f"the xorb {name} is not here; send it to v1/xorbs")

    async def _take_xorb(self, repository: Repository, request: Request) -> Response:
        name, store = check_sha256(request.path_params["xorb"]), XorbStore(repository.path, self._blobs)
        if await run_in_threadpool(store.has, name):
            await _drain(request)
            return JSONResponse({"was_inserted": False})
        announced = int(request.headers.get("content-length", LARGEST_BODY))
        with (
            await run_in_threadpool(self._admission.take_bytes, repository, announced),
            self._blobs.temporary(lambda: store.target(name)) as file,
        ):
            size = 0
            async for piece in request.stream():
                size += len(piece)
                if size > LARGEST_BODY:
                    raise Refusal(413, f"a xorb must not exceed {LARGEST_BODY} bytes")
                await run_in_threadpool(file.write, piece)
            file.seek(0)
            chunks = await run_in_threadpool(store.add, name, file)
        await run_in_threadpool(store.keep, name, chunks)
        return JSONResponse({"was_inserted": True})

    async def _take_shard(self, repository: Repository, request: Request) -> Response:
        work = self._work(repository, await body_of(request))
        await run_in_threadpool(lambda: sum(1 for _ in work))
        return JSONResponse({"result": 1})

    async def _take_shard_and_tell(self, repository: Repository, request: Request) -> Response:
        work = self._work(repository, await body_of(request))
        return StreamingResponse(_told(work), media_type="application/x-ndjson")

    def _work(self, repository: Repository, shard: bytes) -> Iterator[tuple[int, int]]:
        """Do what a shard asks for; yield (bytes done, bytes in all) now and then."""
        maker = FileMaker(repository, self._blobs, self._admission)
        maker.check(read_shard(shard))
        total = sum(file.size() for file in read_shard(shard))
        for done in maker.make(read_shard(shard)):
            yield done, total


def _told(work: Iterator[tuple[int, int]]) -> Iterator[str]:
    """Do the work, with a line of JSON now and then; the last one says how it ended.

    Refusals are lines too: this is the one place from which the stock client shows its user more than a status.
    """
    try:
        for done, total in work:
            yield _line(type="validating", verified=done, total=total)
    except Refusal as refusal:
        yield _line(type="error", message=refusal.message, retryable=False)
    except OSError as error:
        yield _line(type="error", message=f"the hub cannot store this: {error.strerror}", retryable=False)
    else:
        yield _line(type="result")


def _line(**fields: object) -> str:
    return json.dumps(fields) + "\n"


def _name(request: Request) -> str:
    return f"{request.path_params['namespace']}/{request.path_params['name']}"


async def _drain(request: Request) -> None:
    """Read what is still coming: a client that is sending would see a broken connection and never read why."""
    try:
        async for _ in request.stream():
            pass
    except (RuntimeError, ClientDisconnect):
        pass  # all of it was read, or the client is gone
