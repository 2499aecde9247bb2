"""What every picture is drawn with: a theme's colours, pyplot set up for it, and SVG that is the same in every run."""

import io
import warnings
from typing import Any

# Ink and the colours of ours and native, on pages of either kind.
THEMES = {"light": ("#24292f", "#0969da", "#bc4c00"), "dark": ("#e6edf3", "#58a6ff", "#f0883e")}
# Colours for parts of a whole, told from each other on light pages and on dark ones.
PARTS = {
    "light": ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0a7ea4", "#57606a"),
    "dark": ("#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#f778ba", "#d29922", "#39c5cf", "#8b949e"),
}


def drawing(theme: str) -> Any:
    """Pyplot, set up for a page of this theme."""
    import matplotlib

    matplotlib.use("svg")
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the drawer lacks Korean, the reader does not
    from matplotlib import pyplot

    ink = THEMES[theme][0]
    pyplot.rcParams.update(
        {
            **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
            "svg.fonttype": "none",  # the reader's fonts, which have Korean
            "svg.hashsalt": "axk1",
            "font.family": "sans-serif",
            "axes.unicode_minus": False,
        }
    )
    return pyplot


def as_svg(pyplot: Any, figure: Any) -> str:
    """The figure's text, the same in every run."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    pyplot.close(figure)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
