"""The problems of HumanEval: JSON Lines with a prompt and its solution."""

import json
from collections.abc import Iterator

from modeling_axk1.data.extract.block import Block, Text, decode
from modeling_axk1.errors import DataError


def human_eval(name: str, data: bytes) -> Iterator[Text]:
    """Yield each problem as the program that solves it."""
    try:
        problems = [json.loads(line) for line in decode(name, data, "utf-8").splitlines()]
        for problem in problems:
            program = problem["prompt"] + problem["canonical_solution"]
            yield Text([Block(program, verbatim=True)], problem["task_id"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{name}: not the problems of HumanEval: {error}") from None
