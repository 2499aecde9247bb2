"""Which bytes of a file are held: ranges that do not overlap, in the order of the file."""

from bisect import bisect_left, bisect_right, insort

Range = tuple[int, int]  # the first byte, and the first behind the last


class Held:
    """The ranges of one file that are held; ranges that touch stay apart, so that each can be let go of."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ranges: list[Range] = []

    def overlapping(self, start: int, end: int) -> list[Range]:
        """Return the held ranges that have a byte in [start, end)."""
        first = bisect_right(self._ranges, start, key=lambda held: held[1])
        last = bisect_left(self._ranges, end, key=lambda held: held[0])
        return self._ranges[first:last]

    def missing(self, start: int, end: int) -> list[Range]:
        """Return what of [start, end) is not held."""
        gaps = []
        for first, last in self.overlapping(start, end):
            if start < first:
                gaps.append((start, first))
            start = last
        return [*gaps, (start, end)] if start < end else gaps

    def add(self, start: int, end: int) -> list[Range]:
        """Hold [start, end), and return what of it was not held: each a range of its own now."""
        added = self.missing(start, end)
        for each in added:
            insort(self._ranges, each)
        return added

    def remove(self, start: int, end: int) -> list[Range]:
        """Let go of [start, end), and return the ranges that this took away or made shorter, as they were."""
        gone = self.overlapping(start, end)
        for each in gone:
            self._ranges.remove(each)
            for rest in ((each[0], start), (end, each[1])):
                if rest[0] < rest[1]:
                    insort(self._ranges, rest)
        return gone
