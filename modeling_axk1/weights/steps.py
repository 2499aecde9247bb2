"""What a plan is made of: steps that each bring some bytes of the target from where they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modeling_axk1.weights.runs import Run, split


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
    def nbytes(self) -> int:
        """Bytes that are written."""
        return self.run.nbytes

    @property
    def places(self) -> tuple[Place, ...]:
        """What is read."""
        return (self.place,)

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


Step = Copy | Fill


@dataclass(frozen=True)
class Bundle:
    """Tensors that must lie in one shard, as they are read together, and how they come about.

    A new shard begins where `group` changes; `parameters` counts weights, however they are stored.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    steps: tuple[Step, ...]
    parameters: int
    group: int = 0
