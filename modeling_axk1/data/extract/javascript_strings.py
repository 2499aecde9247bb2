"""Language packs in JavaScript: a list of messages, as those of Visual Studio Code."""

import json
import re
from collections.abc import Iterable

from modeling_axk1.data.extract.block import Text, decode
from modeling_axk1.data.extract.joined import join_strings
from modeling_axk1.errors import DataError

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def javascript_strings(name: str, data: bytes) -> Iterable[Text]:
    """Yield the double-quoted strings of a script, joined to texts in the order of the file."""
    try:
        return join_strings([json.loads(one) for one in _STRING.findall(decode(name, data, "utf-8"))])
    except json.JSONDecodeError as error:
        raise DataError(f"{name}: a string is not one of JSON: {error}") from None
