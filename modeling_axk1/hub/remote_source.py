"""A repository on a hub, at one commit, as a source: its bytes come in ranges and nothing is kept."""

from collections.abc import Iterator
from urllib.parse import quote

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError, WeightsError
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.repo import RemoteFile, Repo
from modeling_axk1.hub.sources import LARGEST_TEXT, hash_chunks
from modeling_axk1.weights.listing import SIGNATURE_FILE
from modeling_axk1.weights.ranges import RangeReader
from modeling_axk1.weights.store import check_file_name

_RANGE_BYTES = 8 << 20


class RemoteSource:
    """The files of `repo` at `commit`; raises HubError for a listing that leads out of a folder."""

    def __init__(self, remote: Remote, repo: Repo, commit: str) -> None:
        """List the files; see the class."""
        from huggingface_hub.utils import build_hf_headers

        self.name, self.commit = repo.id, commit
        self._base = f"{remote.endpoint}/{repo.page}/resolve/{commit}/"
        headers = build_hf_headers(token=remote.token or False)
        self._reader = RangeReader(f"{repo.id} on {remote.endpoint}", headers)
        try:
            self.listing: dict[str, RemoteFile] = remote.files(repo, commit)
        except HubError as error:
            remote.references(repo)  # the hub is there: then a file keeps it from listing them all
            raise HubError(self._unreadable() or str(error)) from None
        for path, file in self.listing.items():
            _check(path, repo.id)
            self._reader.expect(self._base + quote(path), file.size)
        self.files = {path: file.size for path, file in self.listing.items()}

    def _unreadable(self) -> str:
        """Return a line that names the files that the hub cannot hand out, by SHA256SUMS; "" when it can."""
        wrong: dict[str, str] = {}
        paths = [SUMS_FILE, SIGNATURE_FILE, "README.md"]
        try:
            raw, _ = self._reader.get(self._base + SUMS_FILE, SUMS_FILE, LARGEST_TEXT)
            paths += [path for path in parse_sums(raw) if path not in paths]
        except FileNotFoundError:
            pass
        except (WeightsError, ValueError) as error:
            wrong[SUMS_FILE] = str(error)
        for path in paths:
            try:
                self._reader.read(self._base + quote(path), path, 0, bytearray(1))
            except FileNotFoundError:
                continue  # not every repository is signed
            except WeightsError as error:
                wrong.setdefault(path, str(error))
        more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
        return f"{self.name}: {next(iter(wrong.values()))}{more}" if wrong else ""

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` on, in pieces of at most 8 MiB."""
        size, url = self.files[path], self._base + quote(path)
        while start < size:
            buffer = bytearray(min(_RANGE_BYTES, size - start))
            try:
                got = self._reader.read(url, path, start, buffer)
            except WeightsError as error:
                raise HubError(str(error)) from None
            except FileNotFoundError:
                raise HubError(f"{path} is missing: {self.name} lists it and does not hand it out") from None
            if got != len(buffer):
                raise HubError(f"{path} of {self.name} ends after {start + got:,} of {size:,} bytes")
            yield bytes(buffer)
            start += got

    def digest(self, path: str) -> str:
        """Return the SHA-256 that the hub gives for a large file; a small one is read."""
        return self.listing[path].sha256 or hash_chunks(self.read(path))

    def proven(self, path: str, digest: str) -> None:
        """Refuse a file whose bytes are not those that the hub names."""
        if self.listing[path].sha256 not in (None, digest):
            raise HubError(f"{path} of {self.name} is damaged on its hub: its bytes have another SHA-256 than it says")


def _check(path: str, name: str) -> None:
    try:
        check_file_name(path, name)
    except WeightsError as error:
        raise HubError(f"{name}: {error}") from None
