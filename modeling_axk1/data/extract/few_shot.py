"""Worked examples in a task file (YAML) of the evaluation harness: question, choices, and an answer with reasons."""

from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def few_shot(name: str, data: bytes) -> Iterator[Text]:
    """Yield each example of `fewshot_config.samples`."""
    import yaml

    try:
        samples = yaml.safe_load(decode(name, data, "utf-8"))["fewshot_config"]["samples"]
        for number, sample in enumerate(samples, 1):
            choices = (f"{letter}. {sample[letter]}" for letter in "ABCD" if letter in sample)
            yield Text([Block("\n".join([sample["question"], *choices, sample["target"]]), verbatim=True)], str(number))
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no worked examples in it: {error}") from None
