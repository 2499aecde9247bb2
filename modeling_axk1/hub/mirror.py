"""Copy a release from one hub to another, or into a folder, file by file: nothing is kept on the way.

Every byte is checked against its SHA256SUMS between the two. A tag means the same on both hubs; a commit id does not:
each hub makes its own commits.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.files import atomic_write, atomic_write_text
from modeling_axk1.hub.crew import Crew
from modeling_axk1.hub.publish import Item, PublishReport, publish_all
from modeling_axk1.hub.release_set import RELEASE_FILE, Member, ReleaseSet, folder_of
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.send import check_source
from modeling_axk1.hub.sets import check_sums
from modeling_axk1.hub.sources import FolderSource
from modeling_axk1.hub.upload import Transport
from modeling_axk1.progress import progress_bar

_AT_ONCE = 4


@dataclass(frozen=True)
class Pin:
    """One repository at one tag: what a mirror copies and a proof proves."""

    repo: Repo
    tag: str


@dataclass(frozen=True)
class FolderReport:
    """What a mirror put into a folder, or would put (`dry_run`): paths below it."""

    folder: str
    tag: str
    fetched: list[str]
    unchanged: list[str]
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return dict(vars(self))


def parse_pin(text: str) -> Pin:
    """Read NAMESPACE/NAME@TAG, or datasets/NAMESPACE/NAME@TAG; raises UsageError."""
    name, at, tag = text.partition("@")
    if not at or not tag:
        raise UsageError(f"what to copy must be NAMESPACE/NAME@TAG or datasets/NAMESPACE/NAME@TAG, got {text!r}")
    is_dataset = name.startswith("datasets/")
    return Pin(Repo("dataset" if is_dataset else "model", name.removeprefix("datasets/")), tag)


def pins_of(release: ReleaseSet) -> list[Pin]:
    """Return the repositories of a set at its tag."""
    return [Pin(Repo(member.type, member.id), release.tag) for member in release.repositories]


def mirror(
    pins: Sequence[Pin],
    origin: Remote,
    target: Remote,
    *,
    release: ReleaseSet | None = None,
    dry_run: bool = False,
    transport: Transport = "lfs",
) -> list[PublishReport]:
    """Make the repositories at their tags on `target` what they are on `origin`; tags come last.

    Run again, what was killed is completed, and what is equal is not sent. With `release` each SHA256SUMS must be the
    one that it names. Raises HubError, and ReleasedTagError when a tag is there and names something else.
    """
    sources = _open(pins, origin, release)
    items = [Item(pin.repo, source, pin.tag) for pin, source in zip(pins, sources, strict=True)]
    return publish_all(items, target, dry_run=dry_run, message="Mirrored", transport=transport)


def mirror_to_folder(
    pins: Sequence[Pin],
    origin: Remote,
    folder: Path,
    *,
    release: ReleaseSet | None = None,
    dry_run: bool = False,
) -> FolderReport:
    """Make `folder` a release set of the repositories at their tags; release.json is written last.

    A file that is there and right is not fetched again. Raises HubError for damage on the way and for files in the
    folder that are not of the release, UsageError when the tags differ: a set has one.
    """
    tags = sorted({pin.tag for pin in pins})
    if len(tags) != 1:
        raise UsageError(f"the repositories of a set share one tag, got {', '.join(tags)}")
    sources = _open(pins, origin, release)
    fetched, unchanged, members = [], [], []
    for pin, source in zip(pins, sources, strict=True):
        base = folder_of(pin.repo.type, pin.repo.id)
        claims = check_source(source)
        missing = _missing(source, folder / base, claims)
        fetched += [f"{base}/{path}" for path in missing]
        unchanged += [f"{base}/{path}" for path in source.files if path not in missing]
        if not dry_run:
            _fetch(source, folder / base, missing, claims)
        members.append(Member(pin.repo.type, pin.repo.id, base, source.digest(SUMS_FILE)))
    if not dry_run:
        name = release.name if release else pins[-1].repo.id.partition("/")[2]
        text = ReleaseSet(name, tags[0], tuple(members)).text()
        if not (folder / RELEASE_FILE).is_file() or (folder / RELEASE_FILE).read_text("utf-8") != text:
            atomic_write_text(folder / RELEASE_FILE, text)
    return FolderReport(str(folder), tags[0], fetched, unchanged, dry_run)


def _open(pins: Sequence[Pin], origin: Remote, release: ReleaseSet | None) -> list[RemoteSource]:
    sources = [RemoteSource(origin, pin.repo, origin.resolve(pin.repo, pin.tag)) for pin in pins]
    if release:
        named = {folder_of(pin.repo.type, pin.repo.id): source for pin, source in zip(pins, sources, strict=True)}
        check_sums(release, named)
    return sources


def _missing(source: RemoteSource, folder: Path, claims: dict[str, str]) -> list[str]:
    """Return the files that `folder` lacks or has otherwise; raises HubError for one that is not of the release."""
    if not folder.is_dir():
        return list(source.files)
    here = FolderSource(folder, may_be_empty=True)
    strange = sorted(here.files.keys() - source.files.keys())
    if strange:
        raise HubError(f"{folder / strange[0]} is not of the release; remove it, or mirror into another folder")
    missing = []
    total = sum(here.files.values())
    with progress_bar(f"comparing {folder}", total=total, in_bytes=True) as advance:
        for path, size in source.files.items():
            if here.files.get(path) != size or here.digest(path) != (claims.get(path) or source.digest(path)):
                missing.append(path)
            advance(here.files.get(path, 0), note=path)
    here.remember()
    return missing


def _fetch(source: RemoteSource, folder: Path, paths: list[str], claims: dict[str, str]) -> None:
    total = sum(source.files[path] for path in paths)
    with progress_bar(f"fetching {source.name}", total=total, in_bytes=True) as advance:
        crew = Crew(_AT_ONCE, advance)

        def fetch(path: str) -> None:
            digest = hashlib.sha256()
            with atomic_write(folder / path) as file:
                for chunk in source.read(path):
                    digest.update(chunk)
                    file.write(chunk)
                    crew.moved(len(chunk), path)
                source.proven(path, digest.hexdigest())
                if claims.get(path, digest.hexdigest()) != digest.hexdigest():
                    raise HubError(f"{source.name}: {path} is damaged: it is not what {SUMS_FILE} says")

        crew.run(partial(fetch, path) for path in paths)
