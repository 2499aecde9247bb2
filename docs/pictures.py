"""Pictures for the pages, as SVG: for light pages and for dark ones, in the words of the page's language."""

from collections.abc import Callable

import tokenizer_page
from drawing import THEMES, as_svg, drawing
from model_page import attention
from results import Word
from weights_page import PRECISIONS, bytes_in

KOREAN = {
    "A decoding step, ms": "디코딩 한 단계 (ms)",
    "Reading a prompt, MiB beyond weights and cache": "프롬프트 읽기, 가중치와 캐시를 뺀 메모리 (MiB)",
    "tokens of context": "문맥 토큰 수",
    "tokens of the prompt": "프롬프트 토큰 수",
    "ours": "이 모델",
    "native": "네이티브",
    "batch": "배치",
    "GiB, weights alone; caches and activations come on top": "GiB, 가중치만. 캐시와 활성값은 따로 듭니다",
}

# GiB of memory: what one has on a desk, in a node and in four.
MACHINES = {"24 GB": 24, "64 GB": 64, "192 GB": 192, "8 x 80 GB": 640, "32 x 80 GB": 2560}


def sizes_plot(word: Word, theme: str) -> str:
    """Bytes of the release in each precision against what memory holds, as SVG."""
    pyplot = drawing(theme)
    _, ours, other = THEMES[theme]
    figure, axes = pyplot.subplots(figsize=(9, 3.2), layout="constrained")
    names, gib = [name.upper() for name in PRECISIONS], [bytes_in(name) / 2**30 for name in PRECISIONS]
    axes.hlines(names, 16, gib, color=ours, lw=3)
    axes.plot(gib, names, "o", color=ours, ms=8)
    for name, size in zip(names, gib, strict=True):
        axes.annotate(f"{size:,.0f} GiB", (size, name), (0, 8), textcoords="offset points", ha="center")
    for machine, size in MACHINES.items():
        axes.axvline(size, color=other, ls="--", lw=1)
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center"}
        axes.annotate(machine, (size, 1), (0, 4), color=other, **place)
    axes.set_xscale("log", base=2)
    axes.set(xlim=(16, 3200), xlabel=word("GiB, weights alone; caches and activations come on top"))
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    return as_svg(pyplot, figure)


def attention_plot(word: Word, theme: str) -> str:
    """Latency of a decoding step and memory of a prompt, against their lengths, as SVG."""
    pyplot = drawing(theme)
    ink, ours, native = THEMES[theme]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for batch, style in ((1, "-"), (4, "--")):
        runs = attention(**{"pass": "decode", "dtype": "float32", "batch": batch})
        for kind, colour in (("ours", ours), ("native", native)):
            label = f"{word(kind)}, {word('batch')} {batch}"
            lengths = [run["context"] for run in runs]
            left.plot(lengths, [run[f"{kind}_ms"] for run in runs], style, color=colour, marker="o", ms=3, label=label)
    left.set(title=word("A decoding step, ms"), xlabel=word("tokens of context"))
    runs = attention(**{"pass": "prefill"})
    for kind, colour in (("ours", ours), ("native", native)):
        fitting = [run for run in runs if isinstance(run[f"{kind}_mib"], float)]
        lengths, mib = [run["tokens"] for run in fitting], [run[f"{kind}_mib"] for run in fitting]
        right.plot(lengths, mib, color=colour, marker="o", ms=3, label=word(kind))
        if fitting[-1] is not runs[-1]:
            where = (lengths[-1], mib[-1])
            right.annotate(word("does not fit"), where, (6, -4), textcoords="offset points", color=colour)
    title = word("Reading a prompt, MiB beyond weights and cache")
    right.set(title=title, xlabel=word("tokens of the prompt"))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.grid(color=ink, alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return as_svg(pyplot, figure)


def tokenizer_plot(word: Word, theme: str) -> str:
    """Tokens per byte of ours among those of others, as SVG."""
    pyplot = drawing(theme)
    return as_svg(pyplot, tokenizer_page.plot(pyplot, word, *THEMES[theme]))


PICTURES: dict[str, Callable[[Word, str], str]] = {
    "attention": attention_plot,
    "sizes": sizes_plot,
    "tokenizer": tokenizer_plot,
}
