"""Some rows of a split, whose files follow each other."""

import json
import time
from typing import Any

from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.table import Row
from modeling_axk1.hub.server.browse.sandboxed.tables import open_table
from modeling_axk1.hub.server.browse.sandboxed.values import cell, sound

# For counting the rows of files that are not shown now; the next page goes on with it.
_COUNTING_SECONDS = 2.0
# Characters that every value of a row may have.
_LEAST = 100


def rows(files: list[dict[str, Any]], format: str, start: int, count: int, longest: int, most: int) -> bytes:
    """Return JSON: up to `count` rows, from the row `start` of all files on.

    Values are cut to `longest` characters, and all values of a row to about `most`. A file is {"path", "compressed",
    "rows" (None where nobody counted yet)}. The answer has

        rows      [{"number", "file" (its place in `files`), "cells": {column: cell}, "problem" (where it has one)}]
        types     {column: type}, of files whose format has types
        counts    rows of each file, None where they are still not known
        problems  [[place in `files`, what is wrong]]
        more      columns that are left out, of the widest file
    """
    counts: list[int | None] = [file["rows"] for file in files]
    found: list[dict[str, Any]] = []
    types: dict[str, str] = {}
    problems: list[tuple[int, str]] = []
    before = more = 0
    until = time.process_time() + _COUNTING_SECONDS
    for place, file in enumerate(files):
        is_wanted = len(found) < count and before < start + count
        held = counts[place]
        if held is None or (is_wanted and before + held > start):
            if not is_wanted and time.process_time() > until:
                break
            try:
                with open_table(file["path"], format, compressed=file["compressed"]) as table:
                    held = counts[place] = table.count(until) if held is None else held
                    if is_wanted and (held is None or before + held > start):
                        skipped = max(start - before, 0)
                        taken = table.rows(skipped, count - len(found))
                        found += (
                            _shown(before + skipped + at, place, row, longest, most) for at, row in enumerate(taken)
                        )
                        more = max(more, table.more_columns())
                        types |= {name: kind for name, kind in table.types().items() if name not in types}
            except UnfitError as error:
                problems.append((place, str(error)))
                held = counts[place] = held or 0
        if held is None:
            break  # where the next file's rows begin is not known
        before += held
    answer = {"rows": found, "types": types, "counts": counts, "problems": problems, "more": more}
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def _shown(number: int, place: int, row: Row | UnfitError, longest: int, most: int) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    shown: dict[str, Any] = {"number": number, "file": place, "cells": cells}
    if isinstance(row, UnfitError):
        return shown | {"problem": str(row)}
    for name, value in row.items():
        made = cells[sound(name)[:200]] = cell(value, max(min(longest, most), _LEAST))
        most -= len(made["text"])
    return shown
