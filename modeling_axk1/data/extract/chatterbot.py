"""The dialogues of chatterbot-corpus: YAML with a list of conversations, each the list of what is said."""

from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def chatterbot(name: str, data: bytes) -> Iterator[Text]:
    """Yield the conversations of a file as one text: a paragraph each, one utterance a line."""
    import yaml

    try:
        conversations = yaml.safe_load(decode(name, data, "utf-8"))["conversations"]
        said = ("\n".join(str(utterance).strip() for utterance in one) for one in conversations)
        yield Text([Block(one, verbatim=True) for one in said if one])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no conversations in it: {error}") from None
