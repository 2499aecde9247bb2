"""Numbers of bytes and parameters as people say them; exact ones stand beside them wherever it matters."""


def human_bytes(count: int) -> str:
    """Return three digits and a unit: "1.04 TB", "11.3 GB", "512 B"."""
    return _three_digits(count, ("B", "KB", "MB", "GB", "TB", "PB"))


def human_count(count: int) -> str:
    """Return three digits and the short scale that models are named by: "519 B", "7.24 M", "512"."""
    return _three_digits(count, ("", "K", "M", "B", "T", "Q")).rstrip()


def counted(count: int, noun: str) -> str:
    """Return "1 shard", "260 shards"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _three_digits(count: int, units: tuple[str, ...]) -> str:
    value, unit = float(count), 0
    # 999.5 is shown as 1.00 of the next unit, not as 1000 of this one.
    while value >= 999.5 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    decimals = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f} {units[unit]}"
