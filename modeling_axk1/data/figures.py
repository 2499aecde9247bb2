"""The plots of a dataset's card, drawn from its measured numbers alone as SVG, the same bytes every time.

Written by hand and not by a plotting library: these are bars and steps, and a dataset's bytes must not depend on which
version of a library, or which font, a machine has. Colours fit light and dark pages.
"""

from collections.abc import Mapping
from html import escape

from modeling_axk1.data.stats import Stats

_COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0a7ea4", "#57606a")
_INK = "#6e7781"
_WIDTH = 720
_LEFT, _RIGHT = 60, 20
_ROW = 26


def figures(stats: Stats) -> dict[str, str]:
    """Return the plots by their path in the dataset folder."""
    return {"figures/composition.svg": composition(stats), "figures/lengths.svg": lengths(stats)}


def composition(stats: Stats) -> str:
    """Draw a bar per language, as long as its text, divided by licence; small licences share the last colour."""
    by_size = sorted(stats.by_license, key=lambda license: -stats.by_license[license].bytes)
    parts = by_size if len(by_size) <= len(_COLOURS) else [*by_size[: len(_COLOURS) - 1], "other licences"]
    by_language: dict[str, list[int]] = {language: [0] * len(parts) for language in stats.by_language}
    for license, languages in stats.by_license_and_language.items():
        for language, amount in languages.items():
            by_language[language][min(by_size.index(license), len(parts) - 1)] += amount.bytes
    longest = max(sum(sizes) for sizes in by_language.values())
    scale = (_WIDTH - _LEFT - _RIGHT - 90) / max(longest, 1)
    marks = []
    for row, (language, sizes) in enumerate(by_language.items()):
        top = 10 + row * _ROW
        marks.append(_text(_LEFT - 8, top + 14, language, "end"))
        left = float(_LEFT)
        for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            if size:
                width = size * scale
                marks.append(_bar(left, top, width, _ROW - 8, _colour(number), f"{language}, {part}: {size:,} bytes"))
                left += width
        marks.append(_text(left + 6, top + 14, f"{sum(sizes) / 1e6:,.2f} MB"))
    return _svg("Bytes of text by language and licence", marks, 20 + len(by_language) * _ROW, parts)


def lengths(stats: Stats) -> str:
    """Draw for each language how many of its documents have how many bytes, in powers of two."""
    exponents = [exponent for bins in stats.lengths.values() for exponent in bins]
    low, high = min(exponents), max(exponents) + 1
    height, floor = 220, 240
    step = (_WIDTH - _LEFT - _RIGHT) / (high - low)
    marks = []
    for exponent in range(low, high + 1):
        marks.append(_text(_LEFT + (exponent - low) * step, floor + 18, _size(exponent), "middle"))
    shares = {language: _shares(bins) for language, bins in stats.lengths.items()}
    highest = max(share for of_language in shares.values() for share in of_language.values())
    for number, (language, of_language) in enumerate(shares.items()):
        points = [f"{_LEFT:.1f},{floor}"]
        for exponent in range(low, high):
            y = floor - of_language.get(exponent, 0.0) / highest * height
            left = _LEFT + (exponent - low) * step
            points += [f"{left:.1f},{y:.1f}", f"{left + step:.1f},{y:.1f}"]
        line = f'<polyline points="{" ".join(points)}" fill="none" stroke="{_colour(number)}" stroke-width="2">'
        marks.append(f"{line}<title>{escape(language)}</title></polyline>")
    marks.append(_text(_LEFT - 8, floor - height + 4, f"{highest:.0%}", "end"))
    marks.append(_text(_LEFT - 8, floor, "0", "end"))
    return _svg("Share of documents by their bytes", marks, floor + 30, list(shares))


def _shares(bins: Mapping[int, int]) -> dict[int, float]:
    total = sum(bins.values())
    return {exponent: number / total for exponent, number in bins.items()}


def _size(exponent: int) -> str:
    names = ("B", "KiB", "MiB", "GiB")
    return f"{1 << exponent % 10} {names[exponent // 10]}"


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(text)}</text>'


def _bar(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}">'
    return f"{shape}<title>{escape(title)}</title></rect>"


def _svg(title: str, marks: list[str], height: float, legend: list[str]) -> str:
    left, top = float(_LEFT), height + 20.0
    for number, name in enumerate(legend):
        width = 34 + 7.5 * len(name)
        if left + width > _WIDTH:
            left, top = float(_LEFT), top + 20
        marks += [_bar(left, top - 10, 12, 12, _colour(number), name), _text(left + 18, top, name)]
        left += width
    box = f'width="{_WIDTH}" height="{top + 12:.0f}" viewBox="0 0 {_WIDTH} {top + 12:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *marks, "</svg>", ""])
