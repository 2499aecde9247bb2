"""Which bytes of a file a Range header asks for. Pure rules (RFC 9110, section 14)."""

import re

# Each range costs a part of a multipart answer; nobody who downloads needs as many.
_MOST_RANGES = 100
_RANGE = re.compile(r"(\d{0,20})\s*-\s*(\d{0,20})", re.ASCII)


def spans_of(header: str, size: int) -> list[tuple[int, int]] | None:
    """Return the (start, end) pairs that a Range header selects from `size` bytes, in order and without overlap.

    None means that the header is to be ignored (another unit, malformed, too many ranges), an empty list that none of
    its ranges lies in the file (416).

    Example: spans_of("bytes=0-9,-3", 100) is [(0, 10), (97, 100)].
    """
    unit, _, listed = header.partition("=")
    wanted = listed.split(",")
    if unit.strip().lower() != "bytes" or len(wanted) > _MOST_RANGES:
        return None
    spans: list[tuple[int, int]] = []
    for part in wanted:
        match = _RANGE.fullmatch(part.strip())
        if match is None or match[0].strip() == "-":
            return None
        first, last = match[1], match[2]
        if first and last and int(first) > int(last):
            return None
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1, size) if first and last else size
        if start < end:
            spans.append((start, end))
    return _merged(spans)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
