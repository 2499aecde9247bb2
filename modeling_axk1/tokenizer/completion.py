r"""Take apart what a model answered: its thinking, its words, its tool calls.

From token ids the answer is exact: a mark is a token, and the same letters in a text are not. From text alone an
answer that speaks about `</think>` can't be told from one that closes its thinking; where there are ids, use them.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modeling_axk1.tokenizer.vocabulary import BOS, EOS, MARKS

_ENDS = frozenset({BOS, EOS})
_SPLIT = re.compile("(" + "|".join(re.escape(mark) for mark in sorted(MARKS | _ENDS)) + ")")


@dataclass(frozen=True)
class Completion:
    """What a model answered: its thinking, its words, its tool calls, and the text of a call that was cut off."""

    reasoning: str
    content: str
    tool_calls: list[dict[str, Any]]
    unfinished_call: str | None = None


@dataclass(frozen=True)
class Piece:
    """A stretch of an answer: a mark, or the text between two."""

    text: str
    is_mark: bool


def parse(completion: str, enable_thinking: bool = False) -> Completion:
    """Take apart what the model wrote behind the generation prompt; pass the `enable_thinking` of that prompt.

    Everything is kept: an answer cut off while thinking is all reasoning, one cut off in a tool call keeps that text
    in `unfinished_call`, and a closed call that is not a JSON object with a name stays in the content as it stands.
    """
    parts = enumerate(_SPLIT.split(completion))
    return assemble((Piece(text, is_mark=index % 2 == 1) for index, text in parts), enable_thinking)


def assemble(pieces: Iterable[Piece], enable_thinking: bool) -> Completion:
    """Make a completion of its pieces; `Encoder.parse` gives those of token ids."""
    answer = _up_to_the_end(pieces)
    reasoning = ""
    start = next((index for index, piece in enumerate(answer) if piece.text.strip()), 0)
    opened = bool(answer) and answer[start] == Piece("<think>", True)
    if enable_thinking or opened:
        thinking = answer[start + 1 :] if opened else answer
        close = next((index for index, piece in enumerate(thinking) if piece == Piece("</think>", True)), None)
        reasoning = _joined(thinking[:close])
        # The line breaks around a mark belong to the format, as the template writes them.
        reasoning = reasoning.removeprefix("\n") if opened else reasoning
        if close is None:
            return Completion(reasoning, "", [])
        reasoning = reasoning.removesuffix("\n")
        answer = thinking[close + 1 :]
        if answer:
            answer[0] = Piece(answer[0].text.removeprefix("\n").removeprefix("\n"), answer[0].is_mark)
    return _words_and_calls(reasoning, answer)


def _words_and_calls(reasoning: str, answer: Sequence[Piece]) -> Completion:
    calls: list[dict[str, Any]] = []
    unfinished = None
    content = ""
    position = 0
    while position < len(answer):
        piece = answer[position]
        if piece != Piece("<tool_call>", True):
            position += 1
            # Cut off between two calls, the line break belongs to the call that did not come.
            if not (calls and piece.text == "\n" and position == len(answer)):
                content += piece.text
            continue
        end = next((i for i in range(position + 1, len(answer)) if answer[i] == Piece("</tool_call>", True)), None)
        call = _call(_joined(answer[position + 1 : end]))
        written = _joined(answer[position : None if end is None else end + 1])
        position = len(answer) if end is None else end + 1
        if call is None and end is not None:
            content += written
            continue
        content = content.removesuffix("\n")
        if call is None:
            unfinished = written
        else:
            calls.append(call)
    return Completion(reasoning, content, calls, unfinished)


def _up_to_the_end(pieces: Iterable[Piece]) -> list[Piece]:
    kept = []
    for piece in pieces:
        if piece.is_mark and piece.text in _ENDS:
            break
        if piece.text:
            kept.append(piece)
    return kept


def _joined(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _call(text: str) -> dict[str, Any] | None:
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return call if isinstance(call, dict) and isinstance(call.get("name"), str) else None
