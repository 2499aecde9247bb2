"""A model and its tokenizer, asked by a person: text goes in, text comes out as it is made.

    speaker = Speaker(model, tokenizer)
    answer = speaker.say(speaker.asked([{"role": "user", "content": "Hello"}]), Wish(max_new_tokens=40), print)

A `Conversation` keeps what was said in the cache, so that a further question costs its own tokens and no others.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.generation.streamers import BaseStreamer

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.stream.watch import Stopped, Sums, Watch

Write = Callable[[str], object]
# Stands for an answer where a template shows what follows one.
_ANSWER = "axk1 answer 5f0c1c"


@dataclass(frozen=True)
class Wish:
    """How to answer; None leaves it to the model's generation_config.json."""

    max_new_tokens: int = 256
    temperature: float | None = None
    top_p: float | None = None
    greedy: bool = False
    seed: int | None = None

    def for_generate(self) -> dict[str, Any]:
        """Return the arguments of `generate`; raises UsageError for values that exclude each other."""
        sampling = {"temperature": self.temperature, "top_p": self.top_p}
        given = {name: value for name, value in sampling.items() if value is not None}
        if self.temperature is not None and self.temperature < 0:
            raise UsageError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p must be above 0 and at most 1, got {self.top_p}")
        if self.greedy or self.temperature == 0:
            if self.greedy and given:
                raise UsageError(f"greedy takes the likeliest token: it goes with no {', '.join(given)}")
            return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {"do_sample": True, **given} if given else {}


@dataclass
class Answer:
    """What came, and what it cost; sizes in bytes, times in seconds.

    Attributes:
        ids: generated tokens, a stopping one included.
        text: what they say.
        prompt_tokens: tokens that had to pass the model before the first came.
        prompt_seconds: how long that took; `seconds` is the whole.
        sums: what was read meanwhile.
        stopped: the answer was broken off.

    """

    ids: list[int] = field(default_factory=list)
    text: str = ""
    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    seconds: float = 0.0
    sums: Sums = field(default_factory=Sums)
    stopped: bool = False

    @property
    def tokens_per_second(self) -> float | None:
        """Of the tokens after the first, whose wait is the prompt's; None before the second."""
        after = self.seconds - self.prompt_seconds
        return (len(self.ids) - 1) / after if len(self.ids) > 1 and after > 0 else None


class Speaker:
    """A loaded model that answers in text."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        said = model.generation_config.eos_token_id
        ids = set(said if isinstance(said, list) else [said]) | {tokenizer.eos_token_id}
        self.stops = sorted(one for one in ids if one is not None)

    def asked(self, messages: Sequence[Mapping[str, str]], thinking: bool = False) -> list[int]:
        """Return a conversation as tokens, up to where the model's answer begins."""
        return self._encoded(self._rendered(messages, thinking))

    def continued(self, text: str) -> list[int]:
        """Return a text as tokens, for the model to go on with; raises UsageError when there are none."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        if not ids:
            raise UsageError("PROMPT must hold some text to go on with")
        return ids

    def followed(self, question: str, thinking: bool = False) -> list[int]:
        """Return the tokens from the end of an answer to where the answer to a further question begins."""
        messages = [("user", "-"), ("assistant", _ANSWER), ("user", question)]
        text = self._rendered([{"role": role, "content": content} for role, content in messages], thinking)
        return self._encoded(text.partition(_ANSWER)[2])

    def _rendered(self, messages: Sequence[Mapping[str, str]], thinking: bool) -> str:
        if not self.tokenizer.chat_template:
            raise UsageError("the model's tokenizer has no chat template; --raw goes on with a text instead")
        rendered: str = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
        return rendered

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def say(
        self,
        ids: Sequence[int],
        wish: Wish,
        write: Write,
        cache: Any = None,
        watching: Callable[[Watch], object] = lambda watch: None,
    ) -> Answer:
        """Answer to these tokens; `write` gets the text piece by piece, and `watching` what can be looked at meanwhile.

        `cache` may hold the first of the tokens, and holds all but the last afterwards. An answer that is broken off,
        by `Watch.stop` or Ctrl-C, comes back as far as it came: the interrupt is the caller's to notice.
        Raises OSError or WeightsError when weights cannot be read.
        """
        cached = cache.get_seq_length() if cache is not None else 0
        answer = Answer(prompt_tokens=len(ids) - cached)
        if wish.seed is not None:
            torch.manual_seed(wish.seed)
        began = time.monotonic()
        with Watch(self.model, answer.prompt_tokens, wish.max_new_tokens) as watch:
            watching(watch)
            streamer = _Streamer(self.tokenizer, len(ids), write, watch, answer, began)
            try:
                self.model.generate(
                    torch.tensor([list(ids)]),
                    attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                    max_new_tokens=wish.max_new_tokens,
                    eos_token_id=self.stops,
                    past_key_values=cache,
                    streamer=streamer,
                    **wish.for_generate(),
                )
            except (Stopped, KeyboardInterrupt):
                answer.stopped = True
            except ValueError as error:  # of a shard that changed or ended
                raise WeightsError(" ".join(str(error).split())) from None
            answer.seconds, answer.sums = time.monotonic() - began, watch.sums
        streamer.end()
        if cache is not None:
            _cut(cache, len(ids) + len(answer.ids) - 1)
        return answer


class _Streamer(BaseStreamer):
    """Turns tokens into text as they come, holding back what the next token may still change."""

    def __init__(self, tokenizer: Any, prompt: int, write: Write, watch: Watch, answer: Answer, began: float) -> None:
        self.tokenizer, self.write, self.watch = tokenizer, write, watch
        self.answer, self.began, self.prompt = answer, began, prompt

    def put(self, value: torch.Tensor) -> None:
        if self.prompt:  # comes first, whole
            self.prompt = 0
            return
        self.answer.ids += value.flatten().tolist()
        self.watch.token()
        if len(self.answer.ids) == 1:
            self.answer.prompt_seconds = time.monotonic() - self.began
        self._show(self._text().rstrip("\ufffd"))

    def end(self) -> None:
        self._show(self._text())

    def _text(self) -> str:
        text: str = self.tokenizer.decode(self.answer.ids, skip_special_tokens=True)
        return text

    def _show(self, text: str) -> None:
        new = text[len(self.answer.text) :]
        self.answer.text += new
        if new:
            self.write(new)


def _cut(cache: Any, length: int) -> None:
    """Let every layer of a cache hold `length` tokens, or fewer if one does: an answer may end between two layers."""
    length = min([length, *(layer.get_seq_length() for layer in cache.layers)])
    for layer in cache.layers:
        if layer.get_seq_length() > length:
            layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]


class Conversation:
    """Questions and answers in one cache: what was read once is not read again.

    All that the model said stays before its eyes, its thinking too. A template would leave earlier thinking out, and
    then everything behind it would have to pass the model again.
    """

    def __init__(self, speaker: Speaker, system: str = "", thinking: bool = False) -> None:
        self.speaker, self.system, self.thinking = speaker, system, thinking
        self.reset()

    def reset(self) -> None:
        """Forget what was said."""
        self.ids: list[int] = []
        self.cache = DynamicCache(config=self.speaker.model.config)

    def with_question(self, question: str) -> list[int]:
        """Return all tokens so far and those of a further question."""
        if self.ids:
            return self.ids + self.speaker.followed(question, self.thinking)
        system = [{"role": "system", "content": self.system}] if self.system else []
        return self.speaker.asked([*system, {"role": "user", "content": question}], self.thinking)

    def ask(self, question: str, wish: Wish, write: Write, watching: Callable[[Watch], object]) -> Answer:
        """Answer a question with all that was said before it in mind."""
        ids = self.with_question(question)
        answer = self.speaker.say(ids, wish, write, self.cache, watching)
        # The template of what follows begins with the end of an answer, whichever token ended this one.
        said = answer.ids[:-1] if answer.ids and answer.ids[-1] in self.speaker.stops else answer.ids
        self.ids = ids + said
        _cut(self.cache, len(self.ids))
        return answer
