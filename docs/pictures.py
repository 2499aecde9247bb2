"""Pictures for the pages, as SVG: for light pages and for dark ones, in the words of the page's language."""

from collections.abc import Callable

import data_page
import picture_layer
import picture_streaming
import picture_way
import tokenizer_page
from drawing import PARTS, THEMES, as_svg, drawing
from model_page import attention
from results import Word
from variants_page import MACHINES
from weights_page import PRECISIONS, bytes_in

KOREAN = {
    "other licences": "그 밖의 라이선스",
    "MB of text": "텍스트 (MB)",
    "A decoding step, ms": "디코딩 한 단계 (ms)",
    "Reading a prompt, MiB beyond weights and cache": "프롬프트 읽기, 가중치와 캐시를 뺀 메모리 (MiB)",
    "tokens of context": "문맥 토큰 수",
    "tokens of the prompt": "프롬프트 토큰 수",
    "ours": "이 모델",
    "native": "네이티브",
    "batch": "배치",
    "GiB, weights alone; caches and activations come on top": "GiB, 가중치만. 캐시와 활성값은 따로 듭니다",
}
KOREAN |= picture_layer.KOREAN | picture_way.KOREAN | picture_streaming.KOREAN


def sizes_plot(word: Word, theme: str) -> str:
    """Bytes of the release in each precision against what memory holds, as SVG."""
    pyplot = drawing(theme)
    _, ours, other = THEMES[theme]
    figure, axes = pyplot.subplots(figsize=(9, 3.2), layout="constrained")
    names, gib = [name.upper() for name in PRECISIONS], [bytes_in(name) / 2**30 for name in PRECISIONS]
    axes.hlines(names, 16, gib, color=ours, lw=3)
    axes.plot(gib, names, "o", color=ours, ms=8)
    for name, size in zip(names, gib, strict=True):
        axes.annotate(f"{size:,.0f} GiB", (size, name), (4, 8), textcoords="offset points", ha="right")
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


def composition(word: Word, theme: str) -> str:
    """Bytes of the released corpus by language, divided by licence, as SVG; small licences share the last colour."""
    stats = data_page.corpus_stats()
    assert stats
    pyplot, colours = drawing(theme), PARTS[theme]
    largest = sorted(stats.by_license, key=lambda name: -stats.by_license[name].bytes)[: len(colours) - 1]
    figure, axes = pyplot.subplots(figsize=(9, 3.8), layout="constrained")
    languages = list(stats.by_language)
    left = dict.fromkeys(languages, 0.0)
    for part, colour in zip([*largest, None], colours, strict=True):
        for language in languages:
            width = sum(
                of_license[language].bytes
                for name, of_license in stats.by_license_and_language.items()
                if language in of_license and (name == part or (part is None and name not in largest))
            )
            label = (part or word("other licences")) if language == languages[0] else None
            axes.barh(language, width / 1e6, left=left[language], height=0.65, color=colour, lw=0, label=label)
            left[language] += width / 1e6
    for language, total in left.items():
        axes.annotate(f"{total:,.0f} MB", (total, language), (5, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.set(xlim=(0, max(left.values()) * 1.12), xlabel=word("MB of text"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", ncols=2, fontsize=9)
    return as_svg(pyplot, figure)


PICTURES: dict[str, Callable[[Word, str], str]] = {
    "layer": picture_layer.layer,
    "way": picture_way.way,
    "attention": attention_plot,
    "sizes": sizes_plot,
    "tokenizer": tokenizer_plot,
    "composition": composition,
    **picture_streaming.PICTURES,
}
