"""A JSON list of texts, such as the chapters of a book."""

import json
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.plain_text import plain_text
from modeling_axk1.errors import DataError


def json_texts(name: str, data: bytes) -> Iterator[Text]:
    """Yield each string of the list, paragraph by paragraph."""
    try:
        texts = json.loads(decode(name, data, "utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name}: not JSON: {error}") from None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{name}: must be a list of strings")
    for number, text in enumerate(texts, 1):
        blocks = plain_text(name, text.encode())
        yield Text([block._replace(text=block.text.strip()) for block in blocks], str(number))
