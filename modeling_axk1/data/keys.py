"""The keys of a table in a recipe."""

from typing import Any

from modeling_axk1.errors import DataError, did_you_mean


def check_keys(table: Any, keys: dict[str, tuple[type, bool]], where: str) -> dict[str, Any]:
    """Return a copy of the table; raises DataError for an unknown or missing key, or a value of the wrong type.

    `keys` maps each known key to its type and whether it must be there.
    """
    if not isinstance(table, dict):
        raise DataError(f"{where}: must be a table, got {table!r}")
    for key, value in table.items():
        if key not in keys:
            raise DataError(f"{where}: unknown key {key!r}; known are {', '.join(keys)}{did_you_mean(key, keys)}")
        kind = keys[key][0]
        if type(value) is not kind:
            raise DataError(f"{where}: {key} must be of type {kind.__name__}, got {value!r}")
    missing = [key for key, (_, needed) in keys.items() if needed and key not in table]
    if missing:
        raise DataError(f"{where}: missing key {missing[0]!r}")
    return dict(table)
