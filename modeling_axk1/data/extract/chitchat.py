"""The conversations of chitchat-dataset: JSON of what two people wrote to each other, turn by turn."""

import json
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def chitchat(name: str, data: bytes) -> Iterator[Text]:
    """Yield each conversation: a paragraph for each turn, a line for each message; who wrote and when is left out."""
    try:
        for number, conversation in json.loads(decode(name, data, "utf-8")).items():
            turns = ("\n".join(message["text"].strip() for message in turn) for turn in conversation["messages"])
            yield Text([Block(turn, verbatim=True) for turn in turns if turn], number)
    except (json.JSONDecodeError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no conversations in it: {error}") from None
