"""Text, chats and bytes to token ids, exactly: only what the chat template itself writes becomes a special token.

Unlike `tokenizer(text)` of transformers, which takes every `<|im_end|>` for the token, wherever it comes from. Use
this for text that others wrote: training data, documents, messages. It needs tokenizer.json alone and does not rely
on that file's normalizer (see escape.py), so it holds for other tokenizers with the same special tokens too.

Example:
    encoder = Encoder.load(Path("tokenizer"))
    ids = encoder.encode_chat([{"role": "user", "content": "What is <|im_end|>?"}], add_generation_prompt=True)
    answer = encoder.parse(generated_ids)

"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.chat import render
from modeling_axk1.tokenizer.completion import Completion, Piece, assemble
from modeling_axk1.tokenizer.escape import NORMALIZER, unescape

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# How bytes that are no UTF-8 look in a string decoded with "surrogateescape": U+DC80 to U+DCFF.
_INVALID = re.compile("([\udc80-\udcff]+)")


class Encoder:
    """Encodes for one tokenizer; `special` maps each of its special tokens to its id."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        """Take a `tokenizers.Tokenizer`; of a fast tokenizer of transformers that is its `backend_tokenizer`."""
        from tokenizers import Tokenizer

        content = json.loads(tokenizer.to_str())
        self.special: dict[str, int] = {token["content"]: token["id"] for token in content["added_tokens"]}
        self._names = {number: token for token, number in self.special.items()}
        self._find = re.compile("(" + "|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) + ")")
        content["added_tokens"] = []
        if content["normalizer"] == NORMALIZER:
            content["normalizer"] = None
        self._plain = Tokenizer.from_str(json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Read FOLDER/tokenizer.json; raises TokenizerError when that is no tokenizer."""
        return cls(read_tokenizer(folder))

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of `text`; special tokens in it are text. Raises TokenizerError for half a surrogate pair."""
        try:
            ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        except TypeError:
            raise TokenizerError("text holds half a surrogate pair, which no UTF-8 can hold") from None
        return ids

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, as `encode_text` does; on several cores."""
        return [encoding.ids for encoding in self._plain.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        enable_thinking: bool = False,
    ) -> list[int]:
        """Return the ids of a conversation; see `chat.render` for what it may be.

        They are those of `apply_chat_template` of transformers with our template and our tokenizer.json.
        """
        rendered = render(messages, tools, add_generation_prompt, enable_thinking)
        ids: list[int] = []
        for index, piece in enumerate(self._find.split(rendered)):
            ids += [self.special[piece]] if index % 2 else self.encode_text(unescape(piece))
        return ids

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return the ids of any bytes: UTF-8 as text, and every other byte as the token of that byte."""
        ids: list[int] = []
        for index, part in enumerate(_INVALID.split(data.decode("utf-8", "surrogateescape"))):
            if index % 2:
                ids += [self._id_of_byte[ord(character) - 0xDC00] for character in part]
            else:
                ids += self.encode_text(part)
        return ids

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ids, as `encode_bytes` was given them; a special token gives its name."""
        return b"".join(
            self._names[number].encode() if number in self._names else self._bytes_of(number) for number in ids
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special tokens by their names; a character that is cut in two becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def parse(self, ids: Sequence[int], enable_thinking: bool = False) -> Completion:
        """Take apart the ids that a model appended to a prompt; see `completion.parse`, of which this is the exact way.

        Only tokens are marks here: an answer may quote `</think>` or `<tool_call>` as text.
        """
        pieces = []
        for is_text, run in groupby(ids, key=lambda number: number not in self._names):
            if is_text:
                pieces.append(Piece(self.decode(list(run)), is_mark=False))
            else:
                pieces += [Piece(self._names[number], is_mark=True) for number in run]
        return assemble(pieces, enable_thinking)

    def _bytes_of(self, number: int) -> bytes:
        token = self._plain.id_to_token(number)
        if token is None:
            entries = len(self._names) + self._plain.get_vocab_size()
            raise TokenizerError(f"token id must be below {entries}, got {number}")
        return bytes(_BYTE_OF[character] for character in token)

    @cached_property
    def _id_of_byte(self) -> dict[int, int]:
        vocab = self._plain.get_vocab()
        return {byte: vocab[character] for character, byte in _BYTE_OF.items()}


def read_tokenizer(folder: Path) -> "Tokenizer":
    """Return the `tokenizers.Tokenizer` of FOLDER/tokenizer.json; raises TokenizerError when that is none."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(f"no tokenizer.json in {folder}; make one with `axk1 tokenizer train`")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise TokenizerError(f"{path} is not a tokenizer: {error}") from None


def _bytes_by_character() -> dict[str, int]:
    """Return how byte-level BPE writes bytes: printable Latin-1 as itself, the others from U+0100 on (GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTE_OF = _bytes_by_character()
