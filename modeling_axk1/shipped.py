"""Find the files that ship beside the code: card templates, the sample corpus, the chat template, the licence.

In a checkout they lie at the root of the repository; in a wheel the build copies them into `_shipped/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder, e.g. `shipped("data_cards/sample")`.

    Raises FileNotFoundError when neither the wheel nor the checkout has it.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"{name} is not part of this installation; reinstall axk1")
