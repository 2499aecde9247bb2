"""Draw a report: tokens per byte by language, ours among the tokenizers of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modeling_axk1.errors import UsageError
from modeling_axk1.files import atomic_write
from modeling_axk1.tokenizer.report import OURS

LABEL = "tokens per byte of text not trained on: ours (dot), others (bars); fewer is better"
# Legible on white and on black: a page shows the drawing as it is in either theme.
_INK, _OTHERS, _OURS = "#7d8590", "#9aa4af", "#2f81f7"


def draw(result: Mapping[str, Any], out: Path) -> None:
    """Write an SVG with one line per language; raises UsageError without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError("a plot needs matplotlib: pip install 'axk1[report]'") from None
    matplotlib.use("svg")
    from matplotlib import pyplot

    look: Any = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    with pyplot.rc_context(look | {"svg.hashsalt": "axk1", "svg.fonttype": "none"}):
        figure = figure_of(result, pyplot, LABEL, _INK, _OURS, _OTHERS)
        with atomic_write(out) as file:
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)


def figure_of(result: Mapping[str, Any], pyplot: Any, label: str, ink: str, ours: str, other: str) -> Any:
    """Return the figure, in colours of one's own and with a label in one's language."""
    languages = result["languages"]
    figure, axes = pyplot.subplots(figsize=(9, 0.6 * len(languages) + 1.2), layout="constrained")
    for place, row in enumerate(languages.values()):
        others = [value for name, value in row["tokens_per_byte"].items() if name != OURS]
        axes.hlines(place, min(others), max(others), color=other, lw=1)
        axes.plot(others, [place] * len(others), "|", color=other, ms=12, mew=2)
        axes.plot(row["tokens_per_byte"][OURS], place, "o", color=ours, ms=9)
        best = row["tokens_per_byte"][row["best_peer"]]
        axes.annotate(row["best_peer"], (best, place), (0, 9), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(languages)), list(languages))
    axes.set_ylim(len(languages) - 0.5, -0.7)
    axes.set_xlabel(label)
    axes.grid(axis="x", color=ink, alpha=0.2)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
