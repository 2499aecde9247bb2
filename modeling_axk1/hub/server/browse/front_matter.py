"""A card's two parts: the YAML at its head, shown as a table, and the Markdown below it."""

from typing import Any

from modeling_axk1.hub.server.browse.shown import tame
from modeling_axk1.hub.server.cards import card_data

# The card in each language that a repository may have one in.
CARDS = {"en": "README.md", "ko": "README.ko.md"}

_MOST_ROWS = 150
_LONGEST_VALUE = 500


def body_of_card(card: str) -> str:
    """Return a card without its front matter."""
    lines = card.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---" or "---" not in lines[1:]:
        return card
    return "\n".join(lines[lines.index("---", 1) + 1 :])


def rows_of_card(card: str) -> tuple[list[tuple[str, str]], str | None]:
    """Return the front matter as rows (where, value), and why it cannot be read, if it cannot.

    Example: `model-index: [{name: nano}]` is ("model-index 1 name", "nano"). At most 150 rows.
    """
    try:
        data = card_data(card)
    except ValueError as error:
        return [], tame(error, _LONGEST_VALUE)
    rows: list[tuple[str, str]] = []
    _flatten(data, "", rows)
    return rows[:_MOST_ROWS], None


def listed(value: object) -> list[str]:
    """Return what a field of a card lists: one text counts as a list of it."""
    if value is None or isinstance(value, dict):
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _flatten(value: Any, where: str, rows: list[tuple[str, str]]) -> None:
    if len(rows) >= _MOST_ROWS:
        return
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _flatten(item, f"{where} {tame(key, 80)}".strip(), rows)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value[:_MOST_ROWS], 1):
            _flatten(item, f"{where} {number}", rows)
    else:
        text = ", ".join(str(item) for item in value[:_LONGEST_VALUE]) if isinstance(value, list) else str(value)
        rows.append((where, tame(text, _LONGEST_VALUE)))
