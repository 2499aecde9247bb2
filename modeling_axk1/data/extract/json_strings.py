"""Language packs in JSON: objects whose values are messages."""

import json
from collections.abc import Iterable, Iterator

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings
from modeling_axk1.errors import DataError


def json_strings(name: str, data: bytes) -> Iterable[Text]:
    """Yield the messages of a language pack, joined to texts in the order of the file.

    Messages are the strings that are values of objects, however deep. Lists (copyright notices in these packs) and
    what stands under a key with `@` (notes on the translators) are passed over.
    """
    try:
        tree = json.loads(decode(name, data, "utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name}: not JSON: {error}") from None
    return join_strings(_values(tree))


def _values(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if isinstance(value, str):
                yield value
            elif not key.startswith("@"):
                yield from _values(value)
