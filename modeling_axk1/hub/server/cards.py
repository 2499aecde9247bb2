"""What a repository's card says of itself: the YAML at the head of its README.md."""

from math import isfinite
from typing import Any

import yaml

from modeling_axk1.hub.server.repository import File, Repository

# A card is text for people: more front matter than this is no card.
_LONGEST_CARD = 1024 * 1024
_MOST_CARD_VALUES = 100_000
_DEEPEST_CARD = 50


def card_of(repository: Repository, files: list[File]) -> dict[str, Any]:
    """Return the front matter of README.md among `files`; empty when there is none that can be read."""
    card = next((file for file in files if file.path == "README.md" and not file.pointer), None)
    if card is None or card.size > _LONGEST_CARD:
        return {}
    try:
        return card_data(repository.content(card).decode("utf-8", "replace"))
    except ValueError:
        return {}  # the card was committed past validate-yaml; the repository is still readable


def card_data(card: str) -> dict[str, Any]:
    """Return the YAML front matter of a card as JSON-ready values; raises ValueError when it is not a mapping."""
    lines = card.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}
    front_matter = "\n".join(lines[1 : lines.index("---", 1)])
    try:
        data = yaml.load(front_matter, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"the card's front matter must be YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError(f"the card's front matter must be a mapping, got {type(data).__name__}")
    return dict(_JsonReady()(data, depth=0))


class _JsonReady:
    """Makes YAML values JSON values: dates, NaN and infinity become text. References to one part are written out."""

    def __init__(self) -> None:
        self._left = _MOST_CARD_VALUES

    def __call__(self, value: object, depth: int) -> Any:
        # A few lines of references to references stand for billions of values, or for one without end.
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST_CARD:
            raise ValueError(
                f"the card's front matter must not hold more than {_MOST_CARD_VALUES} values, "
                f"nor any in more than {_DEEPEST_CARD} others"
            )
        if isinstance(value, dict):
            return {str(key): self(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item, depth + 1) for item in value]
        is_plain = (
            value is None or isinstance(value, str | int | bool) or (isinstance(value, float) and isfinite(value))
        )
        return value if is_plain else str(value)
