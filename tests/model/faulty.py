"""Small streamed models, and readers that fail on purpose."""

import errno
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.model import attach_axk1
from modeling_axk1.model.memory_axk1 import plan_memory
from modeling_axk1.model.reading_axk1 import ShardReader
from tests.conftest import tiny_config

IDS = torch.arange(1, 25).view(2, 12)


def write_model(folder: Path, seed: int = 0) -> Tensor:
    """Write the checkpoint of a small model in bfloat16, of several shards, and return its logits."""
    torch.manual_seed(seed)
    AXK1ForCausalLM(tiny_config()).to(torch.bfloat16).save_pretrained(folder, max_shard_size="200KB")
    return logits(AXK1ForCausalLM.from_pretrained(folder))


def shards_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def with_one_expert(folder: Path, **streaming: object) -> AXK1ForCausalLM:
    """The model with room for one routed expert, so that hardly any is there when it is wanted."""
    try:
        return AXK1ForCausalLM.from_pretrained(folder, expert_memory=1, streaming=streaming)
    except ValueError as error:
        least = re.search(r"expert_memory must be at least ([\d,]+) bytes", str(error))
        if not least:
            raise
    return AXK1ForCausalLM.from_pretrained(folder, expert_memory=int(least[1].replace(",", "")), streaming=streaming)


def with_nothing_kept(folder: Path, monkeypatch: pytest.MonkeyPatch, **streaming: object) -> AXK1ForCausalLM:
    """The model with room for one routed expert and two layers, so that everything is read for every token."""

    def least(memory, in_use, reserve, rest, expert_bytes, experts, at_once):
        tight = in_use + reserve + 2 * max(rest.values()) + expert_bytes
        return plan_memory(tight, in_use, reserve, rest, expert_bytes, experts, at_once)

    monkeypatch.setattr(attach_axk1, "plan_memory", least)
    model = AXK1ForCausalLM.from_pretrained(folder, memory="1TB", streaming=streaming)
    assert model.streamed.plan.expert_slots == 1
    assert not model.streamed.plan.fixed
    return model


def logits(model: AXK1ForCausalLM, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        return model(ids).logits


class FailingReader(ShardReader):
    """Raises EIO when `fails`, given the number of the read since the last `begin`, says so."""

    def __init__(self, fails: Callable[[int], bool] = lambda number: False) -> None:
        super().__init__()
        self.fails, self.reads, self._count = fails, 0, threading.Lock()

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        with self._count:
            number, self.reads = self.reads, self.reads + 1
        if self.fails(number):
            buffer[:] = b"\xff" * len(buffer)  # what a failed read may leave behind
            raise OSError(errno.EIO, os.strerror(errno.EIO), file)
        super().read(file, start, nbytes, buffer)
