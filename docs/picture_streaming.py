"""Pictures of the page about running the release on a small machine, as SVG; those that have been measured."""

from collections.abc import Callable
from typing import Any

from drawing import PARTS, THEMES, as_svg, drawing
from results import Word, result
from streaming_page import MODELS, POLICIES, has

KOREAN = {
    "measured, tokens/s": "측정, 토큰/초",
    "by the model: reading overlapped": "모델: 읽기를 계산과 겹칠 때",
    "by the model: one after another": "모델: 겹치지 않을 때",
    "Layers of the release, real bytes": "릴리스 크기의 층, 실제 데이터",
    "The release, computed": "릴리스 전체, 계산값",
    "memory given, GiB": "허용한 메모리 (GiB)",
    "seconds a token": "토큰당 초",
    "share of experts in the cache, %": "캐시에 둔 전문가의 비율 (%)",
    "visits that find theirs there, %": "캐시에서 찾은 방문의 비율 (%)",
}
_SHOWN = ("bf16", "fp8", "int4")
_STYLES = {"this machine": "-", "laptop": "--", "workstation": ":"}


def curve(word: Word, theme: str) -> str:
    """Left what was measured and the model behind it; right the release, computed from that model."""
    pyplot = drawing(theme)
    ink, ours, other = THEMES[theme]
    found = result("streaming_curve")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    gib = [point["memory_bytes"] / 2**30 for point in found["measured"]]
    speeds = [point["tokens_per_second"] for point in found["measured"]]
    left.plot(gib, speeds, "o-", color=ours, label=word("measured, tokens/s"))
    for name, style in (("overlapped", "--"), ("one after another", ":")):
        label = word(f"by the model: {'reading ' if name == 'overlapped' else ''}{name}")
        computed = [point["the hit rate found"][name] for point in found["measured"]]
        left.plot(gib, computed, style, color=other, label=label)
    left.set(title=word("Layers of the release, real bytes"), xlabel=word("memory given, GiB"), ylim=(0, None))
    for stored, colour in zip(_SHOWN, PARTS[theme], strict=False):
        for machine, style in _STYLES.items():
            points = _of(found, machine, stored)
            sizes = [point["memory_bytes"] / 2**30 for point in points]
            seconds = [point["even routing"]["seconds_per_token"] for point in points]
            right.plot(sizes, seconds, style, color=colour, label=f"{stored.upper()}, {word(machine)}")
    right.set(title=word("The release, computed"), xlabel=word("memory given, GiB"), ylabel=word("seconds a token"))
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
    for axes in (left, right):
        axes.grid(color=ink, alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return as_svg(pyplot, figure)


def policies(word: Word, theme: str) -> str:
    """Hit rates of policies against the size of the cache, a picture for each model."""
    pyplot = drawing(theme)
    ink = THEMES[theme][0]
    models = result("streaming_policies")["models"]
    figure, all_axes = pyplot.subplots(
        1, len(models), figsize=(10, 3.9), layout="constrained", sharey=True, squeeze=False
    )
    for axes, model in zip(all_axes[0], models, strict=True):
        rates = model["texts"][-1]["hit_rates"]
        shares = [100 * one["share"] for one in rates]
        for (policy, name), colour in zip(POLICIES.items(), PARTS[theme], strict=False):
            axes.plot(shares, [100 * one[policy] for one in rates], "o-", color=colour, ms=3, label=word(name))
        axes.plot(shares, shares, ":", color=ink, label=word("even"))
        axes.set(title=word(MODELS[model["model"]]), xlabel=word("share of experts in the cache, %"))
        axes.grid(color=ink, alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0][0].set_ylabel(word("visits that find theirs there, %"))
    lines, names = all_axes[0][0].get_legend_handles_labels()
    figure.legend(lines, names, frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    return as_svg(pyplot, figure)


def _of(found: dict[str, Any], machine: str, stored: str) -> list[dict[str, Any]]:
    return [row for row in found["computed"] if (row["machine"], row["stored"]) == (machine, stored)]


PICTURES: dict[str, Callable[[Word, str], str]] = {
    f"streaming_{picture.__name__}": picture for picture in (curve, policies) if has(picture.__name__)
}
