r"""How text that looks like a special token stays text, with nothing but tokenizer.json and the chat template.

An engine renders a chat to one string and tokenizes that: it can't tell the template's `<|im_end|>` from one that a
user typed. So the template writes every `<` of what others wrote as `<` and U+FDD0, and tokenizer.json drops that
U+FDD0 again, by its normalizer, which works after special tokens were looked for and before text is cut and merged.
What comes out are the ids of the text as it was typed, and no special token: all of them begin with `<`.

Nothing that was escaped is lost, U+FDD0 itself included: escaping adds one behind every `<`, and exactly one is taken
away. Text that was not escaped loses a U+FDD0 that follows a `<`, and nothing else. U+FDD0 is one of Unicode's
noncharacters, set aside for inner use by a program and never for text that is exchanged.

Example: `tokenizer("<think>")` is one token, a mark; `tokenizer(escape("<think>"))` is three, as in any text.
"""

from typing import Any

_MARKER = "\ufdd0"
NORMALIZER: dict[str, Any] = {"type": "Replace", "pattern": {"String": f"<{_MARKER}"}, "content": "<"}


def escape(text: str) -> str:
    """Return `text` so that our tokenizer finds no special token in it, and gives the ids of what was there."""
    return text.replace("<", f"<{_MARKER}")


def unescape(text: str) -> str:
    """Return what `escape` was given: what the tokenizer sees."""
    return text.replace(f"<{_MARKER}", "<")
