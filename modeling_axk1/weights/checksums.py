"""SHA256SUMS, as `sha256sum *` writes it: what every file of a folder must hash to."""

import re
from pathlib import Path

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import read_small
from modeling_axk1.weights.strict_json import check_name

SUMS_FILE = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def read_sums(folder: Path) -> dict[str, str]:
    """Return {relative path: SHA-256 in lower case} from the folder's SHA256SUMS; raises WeightsError on a bad line."""
    sums: dict[str, str] = {}
    for number, raw in enumerate(read_small(folder, SUMS_FILE).splitlines(), start=1):
        match = _LINE.fullmatch(raw.decode("utf-8", errors="replace"))
        if not match:
            raise WeightsError(f'{SUMS_FILE}: line {number} must be "<64 hex digits>  <path>"')
        check_name(match[2], f"{SUMS_FILE}: line {number}")
        if match[2] in sums:
            raise WeightsError(f"{SUMS_FILE}: line {number} names {match[2]} a second time")
        sums[match[2]] = match[1].lower()
    return sums
