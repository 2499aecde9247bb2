"""Checkpoints on the web, siblings of store.Folder: a repository of a hub, or a folder that a web server shows."""

from __future__ import annotations  # Buffer exists at run time from Python 3.12 on only

import errno
import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.header import Header, header_length, parse_header
from modeling_axk1.weights.ranges import RangeReader
from modeling_axk1.weights.store import check_file_name
from modeling_axk1.weights.strict_json import check_name, parse_json

if TYPE_CHECKING:
    from typing_extensions import Buffer

READERS = 16
# What a first request for a header asks for. Most are shorter, and what lies behind a header are weights that nobody
# asked for; where they are longer, they are so in most shards of a checkpoint, and the guess grows with them.
FIRST_GUESS, LARGEST_GUESS = 16_384, 1_048_576
# A listing beyond these is no checkpoint's.
LARGEST_PAGE, MOST_FILES = 16_000_000, 100_000


class _Web(ABC):
    """What both have: a name, a reader of ranges, and an address for every file."""

    readers = READERS

    def __init__(self, name: str, reader: RangeReader) -> None:
        self.name = name
        self._reader = reader
        self._guess = FIRST_GUESS

    @property
    def bytes_read(self) -> int:
        """Bytes fetched so far."""
        return self._reader.bytes_read

    @abstractmethod
    def url(self, file: str) -> str:
        """Return the address of `file`; raises WeightsError for a name that leads elsewhere."""

    def expect(self, file: str, start: int, nbytes: int) -> None:  # noqa: B027 (nothing is right for both)
        """Do nothing: over a network, what is wanted soon is asked for by more threads."""

    @abstractmethod
    def size(self, file: str) -> int:
        """Return the bytes of a file."""

    def header(self, file: str) -> Header:
        """Read and validate the header of a shard: one request, two for a longer one than those before."""
        url = self.url(file)
        start = bytearray(self._guess)
        del start[self._reader.read(url, file, 0, start) :]
        size = self.size(file)
        end = 8 + header_length(bytes(start[:8]), size, file)
        if end > len(start):
            self._guess = max(self._guess, min(end + end // 4, LARGEST_GUESS))
            got = len(start)
            start.extend(bytes(end - got))
            self.read_into(file, got, memoryview(start)[got:])
        return parse_header(bytes(memoryview(start)[8:end]), size, file)

    def read_into(self, file: str, start: int, buffer: Buffer) -> None:
        """Fill `buffer` with the file's bytes from `start` on."""
        if self._reader.read(self.url(file), file, start, buffer) < memoryview(buffer).nbytes:
            raise WeightsError(f"{file} at {self.name} ended before the bytes that were asked for")


class WebFolder(_Web):
    """The files below an address, on any web server that knows ranges; it cannot be listed."""

    def __init__(self, address: str) -> None:
        """Stand for `address`, like https://host/folder/; no request is sent yet."""
        self._address = address.rstrip("/") + "/"
        super().__init__(self._address, RangeReader(self._address))

    def url(self, file: str) -> str:
        """Return the address of `file`."""
        check_file_name(file, self.name)
        return self._address + quote(file)

    def names(self) -> None:
        """Return None: there is no one way in which web servers list a folder."""

    def exists(self, file: str) -> bool:
        """Whether there is a file of this name."""
        try:
            self.size(file)
        except FileNotFoundError:
            return False
        return True

    def size(self, file: str) -> int:
        """Return the bytes of a file."""
        return self._reader.describe(self.url(file), file)[0]

    def identity(self, file: str) -> str:
        """Return size and ETag (or the time of the last change)."""
        size, version = self._reader.describe(self.url(file), file)
        return f"{size} {version}".rstrip()


@dataclass(frozen=True)
class _HubFile:
    size: int
    digest: str  # SHA-256 of a large file, git's object id of a small one


class HubRepository(_Web):
    """The files of a model repository at one commit, whatever happens to its branch meanwhile.

    The token is huggingface_hub's: HF_TOKEN or what `hf auth login` left, sent to the hub and nowhere else.
    """

    def __init__(self, repository: str, revision: str | None = None, endpoint: str | None = None) -> None:
        """Resolve `owner/name` at a branch, tag or commit, and list its files, at $HF_ENDPOINT or `endpoint`.

        Raises WeightsError when the hub cannot be reached, or has no such repository or revision.
        """
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers

        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        asked = f"{repository}@{revision}" if revision else repository
        super().__init__(asked, RangeReader(f"{asked} on {self.endpoint}", build_hf_headers()))
        api = f"{self.endpoint}/api/models/{quote(repository)}"
        try:
            info, _ = self._json(f"{api}/revision/{quote(revision or 'main', safe='')}")
            self.commit = info.get("sha") if isinstance(info, dict) else None
            if not isinstance(self.commit, str) or not re.fullmatch("[0-9a-f]{40,64}", self.commit):
                raise WeightsError(f"{self.endpoint} must name the commit of {asked}, got {self.commit!r:.60}")
            self._files = self._listing(f"{api}/tree/{self.commit}")
        except FileNotFoundError:
            raise WeightsError(
                f"{self.endpoint} has no model {asked}, or shows it only with a token in HF_TOKEN"
            ) from None
        self.name = f"{repository}@{self.commit}"
        self._base = f"{self.endpoint}/{quote(repository)}/resolve/{self.commit}/"
        for file, facts in self._files.items():
            self._reader.expect(self._base + quote(file), facts.size)

    def url(self, file: str) -> str:
        """Return the address of `file` at the commit."""
        self._file(file)
        return self._base + quote(file)

    def names(self) -> list[str]:
        """Return the names of the files in the repository's root, sorted."""
        return sorted(file for file in self._files if "/" not in file)

    def exists(self, file: str) -> bool:
        """Whether there is a file of this name."""
        check_file_name(file, self.name)
        return file in self._files

    def size(self, file: str) -> int:
        """Return the bytes of a file."""
        return self._file(file).size

    def identity(self, file: str) -> str:
        """Return the digest that the hub keeps: SHA-256 of a large file, git's object id of a small one."""
        return self._file(file).digest

    def _file(self, file: str) -> _HubFile:
        if not self.exists(file):
            raise FileNotFoundError(errno.ENOENT, f"there is no such file in {self.name}", file)
        return self._files[file]

    def _listing(self, tree: str) -> dict[str, _HubFile]:
        files: dict[str, _HubFile] = {}
        url = f"{tree}?recursive=true"
        while url:
            page, link = self._json(url)
            if not isinstance(page, list):
                raise WeightsError(f"{self.endpoint} must list files as a JSON array, got a {type(page).__name__}")
            for entry in page:
                if isinstance(entry, dict) and entry.get("type") == "file":
                    path, facts = _described(entry, self.endpoint)
                    files[path] = facts
            if len(files) > MOST_FILES:
                raise WeightsError(f"{self.name} must hold at most {MOST_FILES:,} files")
            # Only the query of the next page's address: a mirror passes on that of the hub it mirrors.
            after = re.match(r'<([^>]+)>;\s*rel="next"', link)
            following = f"{tree}?{urlsplit(after[1]).query}" if after and page else ""
            url = following if following != url else ""
        return files

    def _json(self, url: str) -> tuple[Any, str]:
        raw, headers = self._reader.get(url, "what the hub says", LARGEST_PAGE)
        return parse_json(raw, f"what {self.endpoint} says"), headers.get("link", "")


def _described(entry: dict[str, Any], endpoint: str) -> tuple[str, _HubFile]:
    path, size, digest = entry.get("path"), entry.get("size"), entry.get("oid")
    if isinstance(large := entry.get("lfs"), dict):
        digest = large.get("oid")
    if not isinstance(path, str) or type(size) is not int or size < 0 or not isinstance(digest, str):
        raise WeightsError(f"{endpoint} must give every file a path, a size and a digest, got {json.dumps(entry):.80}")
    check_name(path, endpoint)
    return path, _HubFile(size, digest)
