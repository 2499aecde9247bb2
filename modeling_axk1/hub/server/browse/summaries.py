"""What lists show of a repository: a few facts from the head of main, remembered by commit."""

import re
from contextlib import suppress
from dataclasses import dataclass
from textwrap import shorten

from modeling_axk1.hub.server.browse.front_matter import CARDS, body_of_card, listed
from modeling_axk1.hub.server.browse.shown import tame
from modeling_axk1.hub.server.cache import Cache
from modeling_axk1.hub.server.cards import card_of
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import File, Repository

_REMEMBERED = 32 * 1024 * 1024
# Of one summary, in bytes; about what a card with a paragraph and ten tags comes to.
_COST = 3000
# Of one kind in one repository: a card that claims a thousand languages has none to find it by.
_MOST_VALUES = 100
_LONGEST_VALUE = 60
_LONGEST_ABOUT = 180
# A shorter paragraph says little: a link to another card, the command that made it.
_SHORTEST_ABOUT = 60
_MOST_READ = 20_000

_cache = Cache(_REMEMBERED)


@dataclass(frozen=True, slots=True)
class Summary:
    """One repository in a list; `date` is of the newest commit, in seconds since 1970."""

    kind: str
    repo_id: str
    commit: str
    date: int
    about: dict[str, str]
    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    licences: tuple[str, ...]
    libraries: tuple[str, ...]
    tags: tuple[str, ...]

    def text(self) -> str:
        """What a search looks through."""
        return "\n".join((self.repo_id, *self.about.values(), *self.tasks, *self.libraries, *self.tags)).casefold()


def summary_of(catalog: Catalog, kind: str, repo_id: str) -> Summary:
    """Return the summary of a repository; refuses one that has just gone (404)."""
    commit = catalog.head(kind, repo_id)
    # With its name: a card is read anew when its repository was moved, or made again.
    found: Summary = _cache.get(
        (kind, repo_id, commit),
        lambda: _read(catalog.get(kind, *repo_id.split("/", 1)), kind, repo_id, commit),
        lambda it: _COST,
    )
    return found


def remember_all(catalog: Catalog) -> None:
    """Read what lists show of every repository, before anybody asks."""
    for kind, repo_id in catalog.names():
        with suppress(Refusal, OSError):  # deleted a moment ago, or its main names nothing
            summary_of(catalog, kind, repo_id)


def _read(repository: Repository, kind: str, repo_id: str, commit: str) -> Summary:
    files = [entry for entry in repository.listing(commit) if isinstance(entry, File)]
    card = card_of(repository, files)
    return Summary(
        kind,
        repo_id,
        commit,
        repository.commit_entry(commit).date,
        _about(repository, files),
        _values(card, "pipeline_tag", "task_categories"),
        _values(card, "language"),
        _values(card, "license"),
        _values(card, "library_name"),
        _values(card, "tags"),
    )


def _values(card: dict[str, object], *keys: str) -> tuple[str, ...]:
    found = (tame(value, _LONGEST_VALUE).strip() for key in keys for value in listed(card.get(key))[:_MOST_VALUES])
    return tuple(dict.fromkeys(value for value in found if value))


def _about(repository: Repository, files: list[File]) -> dict[str, str]:
    """Return, for each language that has a card, the beginning of its first paragraph, without markup."""
    return {
        language: _first_words(body_of_card(repository.content(file)[:_MOST_READ].decode("utf-8", "replace")))
        for language, path in CARDS.items()
        for file in files
        if file.path == path and not file.pointer
    }


def _first_words(text: str) -> str:
    without_code = re.sub(r"(?ms)^(```|~~~).*?^\1", "", text)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", without_code))
    plain = [_plain(part) for part in paragraphs if part and not re.match(r"[#<|>!\[]|[-*+] |\d+\. ", part)]
    told = next((part for part in plain if len(part) >= _SHORTEST_ABOUT), next(iter(plain), ""))
    return shorten(tame(told, 10 * _LONGEST_ABOUT), _LONGEST_ABOUT, placeholder=" …")


def _plain(markdown: str) -> str:
    """Return a paragraph with the words of its links and without marks of emphasis."""
    without_links = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"<[^>]*>|[*`]|\b_|_\b", "", without_links).strip()
