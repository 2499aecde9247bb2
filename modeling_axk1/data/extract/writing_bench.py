"""The requests of WritingBench: JSON Lines with what a user asks a model to write."""

import json
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def writing_bench(name: str, data: bytes) -> Iterator[Text]:
    """Yield each request."""
    try:
        for line in decode(name, data, "utf-8").splitlines():
            request = json.loads(line)
            yield Text([Block(request["query"], verbatim=True)], str(request["index"]))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{name}: not the requests of WritingBench: {error}") from None
