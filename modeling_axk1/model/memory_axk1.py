# Copyright 2026 the contributors of the A.X K1 open release. Licensed under the Apache License, Version 2.0.
"""How much of a model stays in memory: what people ask for, and the plan that follows from it.

Every token needs the *rest* of a model (attention, shared experts, output head: 21 GB of the release in BF16), and few
of its routed experts (1 TB). So memory goes to the rest first, layer by layer as far as it lasts; what does not fit is
read anew for every token. Then it goes to the experts that are worth keeping.

This file travels to the hub beside modeling_axk1.py and imports nothing of this package.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .checkpoint_axk1 import CheckpointTensor
from .policies_axk1 import POLICIES
from .quantised_axk1 import EncodedTensor, Quantisation, StoredTensor
from .reading_axk1 import Extent, Piece, Reader, extents_in

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
# Tokens that memory is set aside for beside the weights, unless asked otherwise: 0.3 GB of latents at full size.
DEFAULT_CONTEXT = 4096


def bytes_of(size: int | str) -> int:
    """Return the bytes that "12GiB", "500 MB" or a number says; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(size).strip(), re.IGNORECASE)
    if isinstance(size, bool) or match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"memory must be a number of bytes or a size like 12GiB or 500MB, got {size!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


@dataclass(frozen=True)
class Streaming:
    """What `from_pretrained` was asked for.

    `memory` bounds the whole process: what it takes already, room for `context` tokens and a prompt's passing through,
    and weights in all the rest. `expert_memory` bounds routed experts alone, beside a model that is in memory whole.
    """

    memory: int | None = None
    expert_memory: int | None = None
    context: int = DEFAULT_CONTEXT
    policy: str = "lfu"
    threads: int = 4
    direct: bool = True
    hot: tuple[tuple[int, int], ...] = ()  # (layer, expert), the hottest first, to be kept from their first use on
    guess: bool = True
    reader: Reader | None = None


def asked_for(kwargs: dict[str, Any]) -> Streaming | None:
    """Take `memory`, `expert_memory` and `streaming` out of the arguments of `from_pretrained`."""
    sizes = {name: kwargs.pop(name, None) for name in ("memory", "expert_memory")}
    given: dict[str, Any] = {name: bytes_of(size) for name, size in sizes.items() if size is not None}
    options = dict(kwargs.pop("streaming", None) or {})
    if not given:
        if options:
            raise ValueError("streaming says how weights are read on demand; give memory or expert_memory with it")
        return None
    if len(given) > 1:
        raise ValueError("give memory, for the whole process, or expert_memory, for routed experts; not both")
    known = [field.name for field in fields(Streaming) if field.name not in sizes]
    if unknown := options.keys() - set(known):
        raise ValueError(f"streaming must be of {', '.join(known)}, got {', '.join(sorted(map(str, unknown)))}")
    streaming = replace(Streaming(**options), **given)
    if streaming.policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, got {streaming.policy!r:.60}")
    return streaming


@dataclass(frozen=True)
class MemoryPlan:
    """Where memory goes, in bytes; `str` of it is a table.

    `fixed` names the pieces of the rest that stay; the others pass through `rest_slots` slots. `expert_slots` routed
    experts are in memory at a time.
    """

    in_use: int
    reserve: int
    fixed: tuple[Any, ...]
    fixed_bytes: int
    rest_bytes: int
    rest_slots: int
    rest_slot_bytes: int
    expert_slots: int
    expert_slot_bytes: int
    experts: int

    @property
    def total(self) -> int:
        """The most that the process will take."""
        slots = self.rest_slots * self.rest_slot_bytes + self.expert_slots * self.expert_slot_bytes
        return self.in_use + self.reserve + self.fixed_bytes + slots

    def __str__(self) -> str:
        passing = self.rest_slots * self.rest_slot_bytes
        rows = [
            ("the process beside weights", self.in_use, ""),
            ("latents and a prompt's passing", self.reserve, ""),
            ("attention, shared experts, head", self.fixed_bytes, f"of {_gib(self.rest_bytes)}, kept"),
            ("the rest of them, passing through", passing, f"{self.rest_slots} slots, read for every token"),
            (
                "routed experts",
                self.expert_slots * self.expert_slot_bytes,
                f"{self.expert_slots:,} of {self.experts:,} at a time",
            ),
            ("together", self.total, ""),
        ]
        return "\n".join(f"{what:34} {_gib(nbytes):>10}  {note}".rstrip() for what, nbytes, note in rows if nbytes)


def plan_memory(
    memory: int,
    in_use: int,
    reserve: int,
    rest: Mapping[Any, int],
    expert_slot_bytes: int,
    experts: int,
    experts_at_once: int,
) -> MemoryPlan:
    """Divide `memory` bytes: `rest` is {piece: its bytes}, in the order in which they are needed.

    If all of the rest fits beside a token's experts of one layer, it stays. Otherwise as many pieces of it as fit stay
    (which of them makes no difference, as each is needed once a token; the largest go first, because slots are as large
    as the largest that passes), and the others pass through two slots: one computes while the other is read.

    Raises ValueError, with the least that would do, if even that does not fit.
    """
    rest_bytes = sum(rest.values())
    at_once = min(experts_at_once, experts)

    def left_for_experts(fixed: set[Any]) -> tuple[int, int, int, int]:
        passing = [nbytes for key, nbytes in rest.items() if key not in fixed]
        slots, slot_bytes = min(2, len(passing)), max(passing, default=0)
        fixed_bytes = sum(rest[key] for key in fixed)
        return memory - in_use - reserve - fixed_bytes - slots * slot_bytes, slots, slot_bytes, fixed_bytes

    fixed = set(rest)
    if left_for_experts(fixed)[0] < at_once * expert_slot_bytes:
        fixed = set()
        for key in sorted(rest, key=lambda key: -rest[key]):
            if left_for_experts(fixed | {key})[0] >= at_once * expert_slot_bytes:
                fixed.add(key)
        if not fixed:  # two slots for the largest may be more than all of it
            fixed = max(set(), set(rest), key=lambda kept: left_for_experts(kept)[0])
    left, rest_slots, rest_slot_bytes, fixed_bytes = left_for_experts(fixed)
    expert_slots = min(experts, left // expert_slot_bytes) if expert_slot_bytes else 0
    if expert_slots < min(1, experts):
        least = memory - left + expert_slot_bytes
        raise ValueError(f"memory must be at least {_gib(least, up=True)} for this model, got {_gib(memory)}")
    return MemoryPlan(
        in_use=in_use,
        reserve=reserve,
        fixed=tuple(key for key in rest if key in fixed),
        fixed_bytes=fixed_bytes,
        rest_bytes=rest_bytes,
        rest_slots=rest_slots,
        rest_slot_bytes=rest_slot_bytes,
        expert_slots=int(expert_slots),
        expert_slot_bytes=expert_slot_bytes,
        experts=experts,
    )


def _gib(nbytes: int, up: bool = False) -> str:
    """Return a size that `bytes_of` reads; `up` never says less than it is."""
    hundredths = -(-nbytes * 100 // 2**30) if up else round(nbytes * 100 / 2**30)
    return f"{hundredths / 100:.2f}GiB"


def process_bytes() -> int:
    """Return the memory that this process takes now, as the kernel counts it; 0 where it does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))


class Places:
    """Where the bytes of a checkpoint's tensors lie; every shard's header is read once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._files: dict[str, dict[str, Extent]] = {}
        self.quantisation: Quantisation | None = None  # of the encoded weights that were asked for

    def of(self, stored: StoredTensor) -> Extent:
        """Return the place of one stored tensor."""
        if stored.file not in self._files:
            self._files[stored.file] = extents_in(stored.file, self.reader)
        extent = self._files[stored.file].get(stored.name)
        if extent is None or extent.shape != stored.shape:
            raise ValueError(f"{Path(stored.file).name} was changed while the model was loaded")
        return extent

    def weight(self, name: str, tensor: CheckpointTensor) -> Piece:
        """Return the parts of a weight that is stored as one: itself, or its numbers and its scales."""
        (stored, _), *others = tensor.parts
        assert not others, name
        if isinstance(stored, EncodedTensor):
            self.quantisation = stored.quantisation
            return {f"{name}.numbers": self.of(stored.numbers), f"{name}.scales": self.of(stored.scales)}
        return {name: self.of(stored)}

    def expert(self, expert: int, name: str, tensor: CheckpointTensor) -> Piece:
        """Return the parts of one expert's share of a fused weight, which may be stored fused or one by one.

        Of experts stored one by one, `gate_up_proj` has two parts, whose names end in ".0" and ".1".
        """
        if len(tensor.parts) == 1:
            stored, _ = tensor.parts[0]
            assert isinstance(stored, StoredTensor)
            return {name: self.of(stored).part(expert)}
        mine = [stored for stored, place in tensor.parts if place[0] == expert]
        piece: dict[str, Extent] = {}
        for number, stored in enumerate(mine):
            part = f"{name}.{number}" if len(mine) > 1 else name
            piece |= self.weight(part, CheckpointTensor([(stored, (0, 0))], stored.shape, tensor.dtype))
        return piece


__all__ = [
    "DEFAULT_CONTEXT",
    "MemoryPlan",
    "Places",
    "Streaming",
    "asked_for",
    "bytes_of",
    "plan_memory",
    "process_bytes",
]
