"""Worked examples in a task file (YAML) of the evaluation harness: question, choices, and an answer with reasons."""

from collections.abc import Iterator
from typing import Any

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def few_shot(name: str, data: bytes) -> Iterator[Text]:
    """Yield each example of `fewshot_config.samples`."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Passes over the harness's own tags, which name functions."""

    Loader.add_multi_constructor("!", lambda *_: None)
    try:
        samples = Loader(decode(name, data, "utf-8")).get_single_data()["fewshot_config"]["samples"]
        for number, sample in enumerate(samples, 1):
            yield Text([Block("\n".join(_lines(sample)), verbatim=True)], str(number))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no worked examples in it: {error}") from None


def _lines(sample: dict[str, Any]) -> Iterator[str]:
    # Tasks after Llama's own evaluation name the parts in a way of their own.
    choices = sample.get("input_choice_list", sample)
    yield sample["input_question"] if "input_question" in sample else sample["question"]
    yield from (f"{letter}. {choices[letter]}" for letter in "ABCD" if letter in choices)
    yield "\n".join(sample["input_correct_responses"]) if "input_correct_responses" in sample else sample["target"]
