"""Parts of files on web servers, over HTTP ranges: the bytes asked for, all of them and of one version, or an error.

What a server says is believed as little as what a file says: it may ignore ranges, stop early, redirect for ever or
change a file between two reads. None of that passes for data, and none takes more time or memory than was meant.
"""

from __future__ import annotations  # Buffer exists at run time from Python 3.12 on only

import errno
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from modeling_axk1.errors import WeightsError

if TYPE_CHECKING:
    from typing_extensions import Buffer

ATTEMPTS = 5
FIRST_WAIT = 0.5  # seconds before the second attempt, doubled before each further one
LONGEST_WAIT = 60.0  # however long a server asks us to wait
MAX_REDIRECTS = 5
# Seconds to connect, and until the next piece of an answer. A server that sends a byte now and then keeps to that and
# never ends, so an answer must also come at SLOWEST bytes a second once GRACE is over.
TIMEOUT = (10.0, 30.0, 30.0, None)
GRACE, SLOWEST = 60.0, 16_384

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_BEYOND_THE_END = re.compile(r"bytes \*/([0-9]{1,19})")
_SMALL_BODY = 65_536

_Result = TypeVar("_Result")


class _Again(Exception):
    """An attempt failed as the next one may not; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeReader:
    """Reads files of one place on the web for any number of threads, over huggingface_hub's own connections.

    Resets, timeouts, 429 and 5xx are tried again, and a body that broke is taken up where it stopped. What remains is
    a WeightsError that names the place and the file, or FileNotFoundError for a file that is not there.
    """

    def __init__(self, place: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """Read for `place`, as people call it; of `headers`, authorization never goes to another host."""
        self._place = place
        self._headers = {**headers, "accept-encoding": "identity"}
        self._secret = headers.get("authorization", "").removeprefix("Bearer ")
        self._answered = False
        self._sizes: dict[str, int] = {}
        self._versions: dict[str, str] = {}  # by the address that answered: mirrors of a file may differ in these
        self._moved: dict[str, str] = {}  # where another host was found to have a file
        self._lock = threading.Lock()
        self.bytes_read = 0

    def expect(self, url: str, size: int) -> None:
        """Refuse from now on whatever comes from `url` when it is not of this size."""
        self._sizes[url] = size

    def describe(self, url: str, file: str) -> tuple[int, str]:
        """Return size and version of a file as it was first met; the version is "" where no server names it."""
        if url not in self._sizes:
            self.read(url, file, 0, bytearray(1))
        return self._sizes[url], self._versions.get(_address(self._moved.get(url, url)), "")

    def read(self, url: str, file: str, start: int, buffer: Buffer) -> int:
        """Fill `buffer` with the bytes of `url` from `start` on, and return how many: fewer only where the file ends.

        `file` is what messages call it.
        """
        view = memoryview(buffer).cast("B")
        filled = 0

        def attempt() -> int:
            nonlocal filled
            headers = {"range": f"bytes={start + filled}-{start + len(view) - 1}"}
            with self._opened(url, file, headers) as response:
                left = self._promised(response, url, file, start + filled, len(view) - filled)
                for chunk in self._body(response, left):
                    if len(chunk) > left:
                        raise WeightsError(f"{self._place} sent more of {file} than it was asked for")
                    view[filled : filled + len(chunk)] = chunk
                    filled, left = filled + len(chunk), left - len(chunk)
            if filled < min(len(view), self._sizes[url] - start):
                raise _Again("the answer ended early")
            return filled

        return self._persist(attempt, file) if view else 0

    def get(self, url: str, what: str, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """Return the whole answer to `url` and its headers; raises WeightsError beyond `limit` bytes."""

        def attempt() -> tuple[bytes, Mapping[str, str]]:
            body = bytearray()
            with self._opened(url, what, {}) as response:
                for chunk in self._body(response, limit):
                    body += chunk
                    if len(body) > limit:
                        raise WeightsError(f"{what} of {self._place} must be at most {limit:,} bytes")
            return bytes(body), response.headers

        return self._persist(attempt, what)

    def _persist(self, attempt: Callable[[], _Result], file: str) -> _Result:
        from huggingface_hub.errors import HTTPError

        tried = 0
        while True:
            try:
                return attempt()
            except _Again as again:
                reason, wait = str(again), again.wait
            except HTTPError as error:
                reason, wait = self._one_line(str(error) or type(error).__name__), 0.0
            except ConnectionError as error:  # huggingface_hub is told to stay offline
                raise WeightsError(self._one_line(str(error))) from None
            tried += 1
            if not self._answered and tried == 2:  # nobody is there: a person waits for this line
                raise WeightsError(f"{self._place} cannot be reached: {reason}")
            if tried == ATTEMPTS:
                raise WeightsError(f"{file} could not be read from {self._place} in {tried} attempts: {reason}")
            time.sleep(min(max(wait, FIRST_WAIT * 2 ** (tried - 1)), LONGEST_WAIT))

    @contextmanager
    def _opened(self, url: str, file: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Yield the answer to a request, its body not yet read; redirects are followed, errors raised."""
        from huggingface_hub.utils import get_session

        session = get_session()
        target = self._moved.get(url, url)
        # Only another host is remembered in _moved, and no other host gets the token.
        own = self._headers if target == url else {"accept-encoding": "identity"}
        request = session.build_request("GET", target, headers={**own, **headers}, timeout=TIMEOUT)
        for _ in range(MAX_REDIRECTS + 1):
            # Not by the session itself: it reads the body of a redirect, however long. It drops the token all the same.
            response = session.send(request, stream=True, follow_redirects=False)
            try:
                self._answered = True
                if not response.has_redirect_location:
                    self._check_status(response, url, file)
                    if urlsplit(str(request.url)).netloc != urlsplit(url).netloc:
                        self._moved[url] = str(request.url)
                    yield response
                    return
                if response.next_request is None or response.next_request.url.scheme not in ("http", "https"):
                    raise WeightsError(f"{self._place} redirects {file} to what is no web address")
                if int(response.headers.get("content-length", _SMALL_BODY)) < _SMALL_BODY:
                    list(self._body(response, _SMALL_BODY))  # to the end, so that the connection serves again
                request = response.next_request
            finally:
                response.close()
        raise WeightsError(f"{self._place} redirects {file} more than {MAX_REDIRECTS} times")

    def _check_status(self, response: Any, url: str, file: str) -> None:
        status = response.status_code
        if status in (200, 206, 416):
            if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
                raise WeightsError(
                    f"{self._place} must send {file} as it is, and encodes it: {self._one_line(encoding)}"
                )
            return
        if self._moved.pop(url, None):
            raise _Again(f"HTTP status {status}")  # an address that was signed for a while; the first host has another
        if status in (404, 410):
            raise FileNotFoundError(errno.ENOENT, f"there is no such file at {self._place}", file)
        if status in (408, 425, 429) or status >= 500:
            asked = response.headers.get("retry-after", "")
            raise _Again(f"HTTP status {status}", float(asked) if re.fullmatch("[0-9]{1,6}", asked) else 0.0)
        said = self._one_line(response.headers.get("x-error-message", ""))
        hint = "; what is private or gated needs a token in HF_TOKEN" if status in (401, 403) else ""
        raise WeightsError(f"{self._place} refused {file} with HTTP status {status}{said and ': '}{said}{hint}")

    def _promised(self, response: Any, url: str, file: str, start: int, wanted: int) -> int:
        """Return how many bytes the body must have, after checking that they are the ones asked for."""
        headers = response.headers
        said = headers.get("content-range", "")
        if response.status_code == 416:
            beyond = _BEYOND_THE_END.fullmatch(said)
            if not beyond or int(beyond[1]) > start:
                raise WeightsError(f"{self._place} must give the bytes of {file} from {start:,} on, and refuses")
            self._remember(response, url, file, int(beyond[1]))
            return 0
        if response.status_code == 200:
            # All of a file is an answer to a range that begins at 0 and goes beyond the end.
            length = headers.get("content-length", "")
            if start or not re.fullmatch("[0-9]{1,19}", length) or int(length) > wanted:
                raise WeightsError(
                    f"{self._place} must answer requests for a range of a file, and sends all of {file}; "
                    "serve it by a server that knows ranges (HTTP status 206)"
                )
            self._remember(response, url, file, int(length))
            return int(length)
        match = _CONTENT_RANGE.fullmatch(said)
        first, last, size = (int(number) for number in match.groups()) if match else (0, 0, 0)
        if not match or first != start or not first <= last < min(start + wanted, size):
            raise WeightsError(
                f"{self._place} must give {wanted:,} bytes of {file} from {start:,} on, and gives {said!r:.60}"
            )
        self._remember(response, url, file, size)
        return last + 1 - first

    def _remember(self, response: Any, url: str, file: str, size: int) -> None:
        """Hold every answer against the first one.

        Not by If-Range: a changed file would then come as a whole, and look like a server that knows no ranges.
        """
        version = response.headers.get("etag") or response.headers.get("last-modified") or ""
        known_size = self._sizes.setdefault(url, size)
        if known_size != size:
            raise WeightsError(
                f"{file} at {self._place} changed while it was read: it had {known_size:,} bytes and now has {size:,}"
            )
        if version and self._versions.setdefault(_address(str(response.url)), version) != version:
            raise WeightsError(f"{file} at {self._place} changed while it was read")

    def _body(self, response: Any, length: int) -> Iterator[bytes]:
        deadline = time.monotonic() + GRACE + length / SLOWEST
        for chunk in response.iter_raw() if response.status_code != 416 else ():
            with self._lock:
                self.bytes_read += len(chunk)
            yield chunk
            if time.monotonic() > deadline:
                raise _Again(f"the answer came at less than {SLOWEST:,} bytes a second")

    def _one_line(self, text: str) -> str:
        """Return what a server or the connection said: one line, not long, never with the token in it."""
        text = text.replace(self._secret, "***") if self._secret else text
        return ascii(" ".join(text.split()))[1:-1][:200]


def _address(url: str) -> str:
    """Return `url` without the signature that differs from one redirect to the next."""
    return url.partition("?")[0]
