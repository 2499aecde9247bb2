"""What a plan is made of: steps that each bring some bytes of the target from where they are."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from modeling_axk1.weights.encodings import Encoding
from modeling_axk1.weights.runs import Run, split

# What a weight costs in memory while it is recoded: read, as float32, scaled, encoded, decoded again, and the error.
_SCRATCH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a source: of which source, in which of its files, and where in that."""

    file: str
    run: Run
    source: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """Bytes as they are. `run` counts from the first byte of `tensor`; one of `run` and `place.run` is one piece."""

    tensor: str
    place: Place
    run: Run

    @property
    def start(self) -> int:
        """Where in its tensor it begins to write."""
        return self.run.start

    @property
    def nbytes(self) -> int:
        """Bytes that are written."""
        return self.run.nbytes

    @property
    def places(self) -> tuple[Place, ...]:
        """What is read."""
        return (self.place,)

    def continues_in(self, other: "Copy") -> bool:
        """Whether `other` begins where this one ends, both where they are read and where they are written."""
        return (
            (self.tensor, self.place.file, self.place.source) == (other.tensor, other.place.file, other.place.source)
            and all(run.count == 1 for run in (self.run, self.place.run, other.run, other.place.run))
            and (self.run.end, self.place.run.end) == (other.run.start, other.place.run.start)
        )

    def chunks(self, limit: int) -> Iterator["Copy"]:
        """Yield the same bytes in steps of at most `limit` bytes."""
        if self.place.run.count > 1:
            done = self.run.start
            for part in split(self.place.run, limit):
                yield Copy(self.tensor, Place(self.place.file, part, self.place.source), Run(done, part.nbytes))
                done += part.nbytes
        else:
            done = self.place.run.start
            for part in split(self.run, limit):
                place = Place(self.place.file, Run(done, part.nbytes), self.place.source)
                yield Copy(self.tensor, place, part)
                done += part.nbytes


@dataclass(frozen=True, slots=True)
class Fill:
    """Bytes that the plan knows, such as a shape or zeros; they begin where `tensor` does."""

    tensor: str
    data: bytes

    @property
    def start(self) -> int:
        """Where in its tensor it begins to write."""
        return 0

    @property
    def nbytes(self) -> int:
        """Bytes that are written."""
        return len(self.data)

    @property
    def places(self) -> tuple[Place, ...]:
        """What is read: nothing."""
        return ()

    def chunks(self, limit: int) -> Iterator["Fill"]:
        """Yield this step: what a plan holds in memory is small."""
        yield self


@dataclass(frozen=True, slots=True)
class Recode:
    """Rows of a weight, read in one form and written in another; a form is a dtype or an encoding.

    `places` and `runs` are by the parts of the forms ("weight", "weight_scale", ...), each one piece of bytes, `runs`
    counted from the first byte of the tensors that are named.
    """

    weight: str
    rows: int
    columns: int
    source: tuple[tuple[str, Place], ...]
    source_form: "Form"
    target: tuple[tuple[str, str, Run], ...]
    target_form: "Form"

    @property
    def tensor(self) -> str:
        """The tensor that is written first."""
        return self.target[0][1]

    @property
    def start(self) -> int:
        """Where in that tensor it begins to write."""
        return self.target[0][2].start

    @property
    def nbytes(self) -> int:
        """Bytes that are written."""
        return sum(run.nbytes for _, _, run in self.target)

    @property
    def places(self) -> tuple[Place, ...]:
        """What is read."""
        return tuple(place for _, place in self.source)

    def chunks(self, limit: int) -> Iterator["Recode"]:
        """Yield the same rows in steps that need at most twice `limit` bytes of memory, or as few rows as go."""
        unit = max(row_multiple(self.source_form), row_multiple(self.target_form))
        at_once = 2 * limit // (_SCRATCH_BYTES * self.columns) // unit * unit
        at_once = max(unit, at_once)
        for first in range(0, self.rows, at_once):
            rows = min(at_once, self.rows - first)
            source = tuple(
                (part, Place(place.file, self._rows_of(place.run, self.source_form, part, first, rows), place.source))
                for part, place in self.source
            )
            target = tuple(
                (part, name, self._rows_of(run, self.target_form, part, first, rows)) for part, name, run in self.target
            )
            yield Recode(self.weight, rows, self.columns, source, self.source_form, target, self.target_form)

    def _rows_of(self, run: Run, form: "Form", part: str, first: int, rows: int) -> Run:
        """Return the bytes of some rows in a part; a row of fp8's scales is for all rows of a block."""
        unit = row_multiple(form) if part == "weight_scale_inv" else 1
        row_bytes = run.nbytes // ceil(self.rows / unit)
        return Run(run.start + first // unit * row_bytes, ceil(rows / unit) * row_bytes)


Step = Copy | Fill | Recode
Form = str | Encoding


def row_multiple(form: Form) -> int:
    """Return how many rows of a weight must be read or written together."""
    return form.row_multiple if isinstance(form, Encoding) else 1


@dataclass(frozen=True)
class Bundle:
    """Tensors that must lie in one shard, as they are read together, and how they come about.

    A new shard begins where `group` changes; `parameters` counts weights, however they are stored.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    steps: tuple[Step, ...]
    parameters: int
    group: int = 0


def merged(steps: Iterable[Step]) -> list[Step]:
    """Join copies that follow each other in the source as they do in the target; `steps` are in the target's order.

    Of experts stored one by one, gate and up lie side by side in both: one piece of work instead of two.
    """
    result: list[Step] = []
    for step in steps:
        before = result[-1] if result else None
        if isinstance(before, Copy) and isinstance(step, Copy) and before.continues_in(step):
            place = Place(
                before.place.file, Run(before.place.run.start, before.nbytes + step.nbytes), before.place.source
            )
            result[-1] = Copy(before.tensor, place, Run(before.run.start, place.run.nbytes))
        else:
            result.append(step)
    return result
