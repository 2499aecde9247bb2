"""What a comparison of two checkpoints found: a verdict for each weight, and groups of alike verdicts for people."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from modeling_axk1.errors import UsageError
from modeling_axk1.weights.errorsum import ErrorSum
from modeling_axk1.weights.sizes import counted

Verdict = Literal[
    "equal",  # the same bytes under the same name
    "renamed",  # the same bytes under another name
    "cast",  # stored otherwise, and the same values
    "rounded",  # one is the other rounded to its dtype
    "quantised",  # one is quantised, or both are in different ways; `error` says how far they are apart
    "differs",
    "shape",
    "only in A",
    "only in B",
    "alike",  # name, shape and form are the same; the bytes were not read
    "form",  # name and shape are the same, the form is not; the bytes were not read
]

_NUMBER = re.compile(r"(?<=\.)[0-9]{1,9}(?=\.)")


@dataclass(frozen=True)
class WeightDiff:
    """One weight in both checkpoints, by its name in the "per-expert" layout: A's, and B's where only B has it.

    A form is a dtype or an encoding. `error` is that of B's values against A's, None where values were not compared;
    `differing` counts the values that are not the same. `name_b` is given where B has another name for it.
    """

    name: str
    verdict: Verdict
    shape_a: tuple[int, ...] | None = None
    shape_b: tuple[int, ...] | None = None
    form_a: str | None = None
    form_b: str | None = None
    name_b: str | None = None
    differing: int | None = None
    error: ErrorSum | None = None

    def passes(self, tolerance: float | None, *, allow_renamed: bool) -> bool:
        """Whether this weight counts as equal, as `DiffReport.equal` has it."""
        if self.verdict in ("equal", "alike"):
            return True
        if self.verdict == "renamed":
            return allow_renamed
        within = tolerance is not None and self.error is not None and self.error.relative_rms <= tolerance
        return within and self.form_a != self.form_b

    def to_json(self) -> dict[str, Any]:
        """Return the same for a machine; a number that is not finite is null."""
        found = {key: value for key, value in vars(self).items() if value is not None and key != "error"}
        if self.error is not None:
            found |= {
                key: value if isfinite(value) else None
                for key, value in (
                    ("relative_rms", self.error.relative_rms),
                    ("signal_to_noise_db", self.error.signal_to_noise_db),
                    ("max_abs", self.error.max_abs),
                )
            }
        return found

    def __str__(self) -> str:
        return str(Group((self,)))


@dataclass(frozen=True)
class Group:
    """Weights of one verdict and the same forms whose names differ in numbers only: of layers, of experts."""

    members: tuple[WeightDiff, ...]

    def __str__(self) -> str:
        """Return one line.

        Example: cast: 11,520 weights model.layers.[1-60].mlp.experts.[0-191].up_proj.weight: BF16 -> F32, same values
        """
        first = self.members[0]
        count = f"{len(self.members):,} weights " if len(self.members) > 1 else ""
        name = _ranged([member.name for member in self.members])
        return f"{first.verdict}: {count}{name}{self._detail(first)}"

    def _detail(self, first: WeightDiff) -> str:
        forms = first.form_a if first.form_a == first.form_b else f"{first.form_a} -> {first.form_b}"
        if first.verdict == "renamed":
            return f" -> {_ranged([member.name_b or '' for member in self.members])}"
        if first.verdict == "shape":
            return f": {list(first.shape_a or ())} in A, {list(first.shape_b or ())} in B"
        if first.verdict == "cast":
            return f": {forms}, the same values"
        if first.verdict in ("form", "alike"):
            return f": {forms}, not read"
        if first.verdict.startswith("only") or first.verdict == "equal":
            return ""
        return f": {forms}, {self._error()}"

    def _error(self) -> str:
        compared = [member for member in self.members if member.error is not None]
        if not compared:
            return "the values of such a dtype are not compared"
        differing = sum(member.differing or 0 for member in compared)
        worst = max(compared, key=lambda member: member.error.relative_rms if member.error else 0.0)
        error = worst.error or ErrorSum()
        where = f" (the most in {worst.name})" if len(compared) > 1 else ""
        max_abs = max(member.error.max_abs for member in compared if member.error)
        return (
            f"{differing:,} values differ, by up to {max_abs:.3g}; "
            f"relative RMS {error.relative_rms:.3g}, {error.signal_to_noise_db:.1f} dB{where}"
        )


@dataclass(frozen=True)
class Stored:
    """How one of the two checkpoints is stored, which is no difference of its weights."""

    place: str
    shards: int
    tensors: int
    bytes: int
    dtypes: dict[str, int]  # tensors of each
    layout: str
    metadata: dict[str, str]

    def __str__(self) -> str:
        dtypes = ", ".join(f"{dtype} ({count:,})" for dtype, count in self.dtypes.items())
        metadata = json.dumps(self.metadata)
        held = f"{counted(self.tensors, 'tensor')} in {counted(self.shards, 'shard')}, {self.bytes:,} bytes"
        return (
            f"{self.place}: {held}, {dtypes}, layout {self.layout}, "
            f"metadata {metadata if len(metadata) <= 120 else metadata[:120] + '...'}"
        )


@dataclass(frozen=True)
class DiffReport:
    """Everything that was found. `config` has {key of config.json: (JSON in A, JSON in B)}, None for an absent key."""

    a: Stored
    b: Stored
    config: dict[str, tuple[str | None, str | None]]
    weights: tuple[WeightDiff, ...]
    notes: tuple[str, ...]

    def unequal(self, tolerance: float | None = None, *, allow_renamed: bool = False) -> list[WeightDiff]:
        """Return the weights that do not count as equal.

        Equal means the same bytes under the same name in the same form, whatever the shards, their order and the layout
        of experts. With a `tolerance`, a weight stored in another form (cast or quantised) is equal too if the relative
        RMS of its error is at most that; 0 asks for the same values. In one form, bytes must always be the same.

        Raises UsageError as `check_tolerance` does.
        """
        check_tolerance(tolerance)
        return [weight for weight in self.weights if not weight.passes(tolerance, allow_renamed=allow_renamed)]

    def counts(self) -> dict[str, int]:
        """Return the number of weights with each verdict, the most frequent first."""
        return dict(Counter(weight.verdict for weight in self.weights).most_common())

    def remarkable(self) -> list[WeightDiff]:
        """Return all weights but those with the verdict "equal" or "alike", in the order of A, then what only B has."""
        return [weight for weight in self.weights if weight.verdict not in ("equal", "alike")]

    def groups(self) -> list[Group]:
        """Return the same in groups."""
        grouped: dict[tuple[Any, ...], list[WeightDiff]] = defaultdict(list)
        for weight in self.remarkable():
            pattern = (_NUMBER.sub("*", weight.name), _NUMBER.sub("*", weight.name_b or ""))
            shapes = (weight.shape_a, weight.shape_b) if weight.verdict == "shape" else None
            grouped[weight.verdict, pattern, weight.form_a, weight.form_b, shapes].append(weight)
        return [Group(tuple(members)) for members in grouped.values()]

    def summary(self) -> str:
        """Return how many weights have which verdict, in a line."""
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts().items())
        return f"{len(self.weights):,} weights: {counts or 'none'}"

    def differences_of_config(self) -> Iterator[str]:
        """Yield one line for every key of config.json that is not the same."""
        for key, (in_a, in_b) in self.config.items():
            said = ["absent" if value is None else f"{value:.60}" for value in (in_a, in_b)]
            yield f"config.json: {key} is {said[0]} in A and {said[1]} in B"

    def to_json(self) -> dict[str, Any]:
        """Return everything for a machine, of the weights the remarkable ones."""
        return {
            "a": asdict(self.a),
            "b": asdict(self.b),
            "config": {key: {"a": in_a, "b": in_b} for key, (in_a, in_b) in self.config.items()},
            "notes": list(self.notes),
            "counts": self.counts(),
            "weights": [weight.to_json() for weight in self.remarkable()],
        }


def check_tolerance(tolerance: float | None) -> None:
    """Raise UsageError when a tolerance is no number of 0 or more; better before a terabyte is read than after."""
    if tolerance is not None and not tolerance >= 0:  # NaN is not
        raise UsageError(f"tolerance must be a relative RMS of 0 or more, got {tolerance}")


def _ranged(names: list[str]) -> str:
    """Return names that differ in numbers only as one: a.[0-2].b for a.0.b, a.1.b and a.2.b."""
    if len(names) == 1:
        return names[0]
    ranges = iter([_range(set(numbers)) for numbers in zip(*(_numbers(name) for name in names), strict=True)])
    return _NUMBER.sub(lambda _: next(ranges), names[0])


def _numbers(name: str) -> Iterable[int]:
    return map(int, _NUMBER.findall(name))


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    if low == high:
        return str(low)
    return f"[{low}-{high}]" if len(numbers) == high - low + 1 else f"[{len(numbers)} of {low}-{high}]"
