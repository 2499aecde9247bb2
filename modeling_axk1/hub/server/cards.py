"""What a repository's card says of itself: the YAML at the head of its README.md."""

from typing import Any

import yaml

from modeling_axk1.hub.server.repository import File, Repository

# A card is text for people: more front matter than this is no card.
_LONGEST_CARD = 1024 * 1024


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
        data = yaml.safe_load(front_matter)
    except yaml.YAMLError as error:
        raise ValueError(f"the card's front matter must be YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError(f"the card's front matter must be a mapping, got {type(data).__name__}")
    return {str(key): _json_ready(value) for key, value in data.items()}


def _json_ready(value: object) -> Any:
    """Return a YAML value with dates and other scalars that JSON lacks as text."""
    if isinstance(value, dict):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)
