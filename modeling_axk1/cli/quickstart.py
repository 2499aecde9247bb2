"""`axk1 quickstart`."""


def quickstart() -> None:
    """Go the whole way once, from raw text to a published model."""
