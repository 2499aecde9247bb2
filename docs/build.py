"""Fill measured figures into the documentation: tables between markers, and plots, from release/results.

    python docs/build.py            write what the results say
    python docs/build.py --check    exit 1 if a page or a plot says something else

A page has `<!-- measured: NAME -->` and `<!-- /measured -->`; what lies between them is written here. Plots are drawn
for both languages and for light and dark pages. Needs matplotlib, which the extra `test` brings.
"""

import argparse
import io
import json
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "release" / "results"
LANGUAGES = ("en", "ko")
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- /measured -->)", re.S)
# Ink and the colours of ours and native, on pages of either kind.
THEMES = {"light": ("#24292f", "#0969da", "#bc4c00"), "dark": ("#e6edf3", "#58a6ff", "#f0883e")}

KOREAN = {
    "dtype": "dtype",
    "Batch": "배치",
    "Context": "문맥 길이",
    "Ours": "이 모델",
    "Native": "네이티브",
    "Native over ours": "네이티브/이 모델",
    "Largest difference": "최대 차이",
    "Prompt": "프롬프트",
    "Ours, beyond weights and cache": "이 모델, 가중치와 캐시를 뺀 메모리",
    "Native, beyond weights and cache": "네이티브, 가중치와 캐시를 뺀 메모리",
    "does not fit": "메모리 부족",
    "Experts": "전문가",
    "Tokens": "토큰",
    "Ours over roofline": "이 모델/루프라인",
    "Native over roofline": "네이티브/루프라인",
    "Limit": "한계",
    "memory": "메모리",
    "arithmetic": "계산",
    "Pass": "패스",
    "forward": "순전파",
    "forward and backward": "순전파와 역전파",
    "Ours, adapted over base": "이 모델, 어댑터/원본",
    "Native, adapted over base": "네이티브, 어댑터/원본",
    "Layout": "저장 형식",
    "fused": "융합",
    "per-expert": "전문가별",
    "Ours, peak over model": "이 모델, 최대 메모리/모델 크기",
    "Native, peak over model": "네이티브, 최대 메모리/모델 크기",
    "Ours, first token": "이 모델, 첫 토큰까지",
    "Native, first token": "네이티브, 첫 토큰까지",
    "Parameters": "파라미터",
    "Ours over native": "이 모델/네이티브",
    "Ours, tokens/s": "이 모델, 토큰/초",
    "Native, tokens/s": "네이티브, 토큰/초",
    "Measured by": "측정 명령",
    "on": "환경",
    "cores": "코어",
    "threads": "스레드",
    "commit": "커밋",
    "A decoding step, ms": "디코딩 한 단계 (ms)",
    "Reading a prompt, MiB beyond weights and cache": "프롬프트 읽기, 가중치와 캐시를 뺀 메모리 (MiB)",
    "tokens of context": "문맥 토큰 수",
    "tokens of the prompt": "프롬프트 토큰 수",
    "ours": "이 모델",
    "native": "네이티브",
    "batch": "배치",
}


def say(text: str, language: str) -> str:
    """A word of a table or plot in the page's language."""
    return text if language == "en" else KOREAN[text]


@cache
def result(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def table(language: str, source: str, header: list[str], rows: list[list[str]]) -> str:
    """A table and the line that says where its figures come from."""
    lines = [[say(name, language) for name in header], ["---:"] * len(header), *rows]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    measured, machine = result(source), result(source)["machine"]
    versions = measured["versions"]
    origin = (
        f"{say('Measured by', language)}: `{measured['command']}` "
        f"([{source}.json](../../release/results/{source}.json)); {say('on', language)}: {machine['cpu']}, "
        f"{machine['cores']} {say('cores', language)}, torch {versions['torch']}, transformers "
        f"{versions['transformers']}, {say('commit', language)} {measured['commit'][:10]}."
    )
    return f"{text}\n{origin}\n"


def attention(**wanted: Any) -> list[dict[str, Any]]:
    """The runs of the attention benchmark that have these values."""
    return [run for run in result("attention")["runs"] if wanted.items() <= run.items()]


def decoding(language: str) -> str:
    """A decoding step by dtype, batch and context."""
    rows = [
        [
            run["dtype"],
            str(run["batch"]),
            f"{run['context']:,}",
            f"{run['ours_ms']:,.1f} ms",
            f"{run['native_ms']:,.1f} ms",
            f"**{run['native_over_ours']:.1f}**",
            f"{run['max_abs_difference']:.0e}",
        ]
        for run in attention(**{"pass": "decode"})
    ]
    header = ["dtype", "Batch", "Context", "Ours", "Native", "Native over ours", "Largest difference"]
    return table(language, "attention", header, rows)


def prefill(language: str) -> str:
    """Time and memory of reading a prompt, by its length."""

    def amount(value: float | str | None, unit: str) -> str:
        return f"{value:,.0f} {unit}" if isinstance(value, float) else say("does not fit", language)

    rows = []
    for run in attention(**{"pass": "prefill"}):
        ours, native = run["ours_seconds"], run["native_seconds"]
        rows.append(
            [
                f"{run['tokens']:,}",
                f"{ours:.1f} s",
                f"{native:.1f} s" if native else say("does not fit", language),
                f"**{native / ours:.1f}**" if native else "",
                amount(run["ours_mib"], "MiB"),
                amount(run["native_mib"], "MiB"),
            ]
        )
    header = ["Prompt", "Ours", "Native", "Native over ours"]
    header += ["Ours, beyond weights and cache", "Native, beyond weights and cache"]
    return table(language, "attention", header, rows)


def experts(language: str) -> str:
    """One layer's routed experts over the roofline."""
    rows = [
        [
            f"{run['n_routed_experts']} x {run['hidden_size']} x {run['moe_intermediate_size']}",
            run["dtype"],
            str(run["tokens"]),
            f"**{run['ours_over_roofline']:.2f}**",
            f"{run['native_over_roofline']:.2f}",
            say(run["roofline_is"], language),
        ]
        for run in result("experts")["runs"]
    ]
    header = ["Experts", "dtype", "Tokens", "Ours over roofline", "Native over roofline", "Limit"]
    return table(language, "experts", header, rows)


def lora(language: str) -> str:
    """Adapted experts over the same ones without adapters."""
    rows = [
        [
            f"{run['n_routed_experts']} x {run['hidden_size']} x {run['moe_intermediate_size']}",
            say(run["pass"], language),
            str(run["tokens"]),
            f"**{run['ours_adapted_over_base']:.2f}**",
            f"{run['native_adapted_over_base']:.2f}",
        ]
        for run in result("lora")["runs"]
    ]
    header = ["Experts", "Pass", "Tokens", "Ours, adapted over base", "Native, adapted over base"]
    return table(language, "lora", header, rows)


def loading(language: str) -> str:
    """Memory and time to the first token."""
    rows = [
        [
            say(case["layout"], language),
            case["dtype"],
            f"**{case['ours']['peak_over_model']:.2f}**",
            f"{case['native']['peak_over_model']:.2f}",
            f"{case['ours']['seconds_to_first_token']:.1f} s",
            f"{case['native']['seconds_to_first_token']:.1f} s",
        ]
        for case in result("loading")["cases"]
    ]
    header = ["Layout", "dtype", "Ours, peak over model", "Native, peak over model"]
    return table(language, "loading", [*header, "Ours, first token", "Native, first token"], rows)


def training(language: str) -> str:
    """Tokens a second, forward and backward."""
    rows = [
        [
            f"{run['parameters']:,}",
            f"{run['batch'][0]} x {run['batch'][1]}",
            f"{run['ours_tokens_per_second']:,}",
            f"{run['native_tokens_per_second']:,}",
            f"**{run['ours_over_native_tokens_per_second']:.2f}**",
        ]
        for run in result("training")["runs"]
    ]
    header = ["Parameters", "Batch", "Ours, tokens/s", "Native, tokens/s"]
    return table(language, "training", [*header, "Ours over native"], rows)


TABLES: dict[str, Callable[[str], str]] = {
    function.__name__: function for function in (decoding, prefill, experts, lora, loading, training)
}


def attention_plot(language: str, theme: str) -> str:
    """Latency of a decoding step and memory of a prompt, against their lengths, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the drawer lacks Korean, the reader does not
    from matplotlib import pyplot

    ink, ours, native = THEMES[theme]
    pyplot.rcParams.update(
        {
            **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
            "svg.fonttype": "none",  # the reader's fonts, which have Korean
            "svg.hashsalt": "axk1",
            "font.family": "sans-serif",
            "axes.unicode_minus": False,
        }
    )
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for batch, style in ((1, "-"), (4, "--")):
        runs = attention(**{"pass": "decode", "dtype": "float32", "batch": batch})
        for kind, colour in (("ours", ours), ("native", native)):
            label = f"{say(kind, language)}, {say('batch', language)} {batch}"
            lengths = [run["context"] for run in runs]
            left.plot(lengths, [run[f"{kind}_ms"] for run in runs], style, color=colour, marker="o", ms=3, label=label)
    left.set(title=say("A decoding step, ms", language), xlabel=say("tokens of context", language))
    runs = attention(**{"pass": "prefill"})
    for kind, colour in (("ours", ours), ("native", native)):
        fitting = [run for run in runs if isinstance(run[f"{kind}_mib"], float)]
        lengths, mib = [run["tokens"] for run in fitting], [run[f"{kind}_mib"] for run in fitting]
        right.plot(lengths, mib, color=colour, marker="o", ms=3, label=say(kind, language))
        if fitting[-1] is not runs[-1]:
            where = (lengths[-1], mib[-1])
            right.annotate(say("does not fit", language), where, (6, -4), textcoords="offset points", color=colour)
    title = say("Reading a prompt, MiB beyond weights and cache", language)
    right.set(title=title, xlabel=say("tokens of the prompt", language))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.grid(color=ink, alpha=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    pyplot.close(figure)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def built() -> dict[Path, str]:
    """Every generated file and page, and what it must say."""
    files = {}
    for language in LANGUAGES:
        for page in sorted((DOCS / language).glob("*.md")):
            text = page.read_text("utf-8")
            files[page] = MARKED.sub(lambda found: found[1] + TABLES[found[2]](language) + found[3], text)  # noqa: B023
        for theme in THEMES:
            files[DOCS / language / "figures" / f"attention-{theme}.svg"] = attention_plot(language, theme)
    return files


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is not up to date")
    only_check = parser.parse_args().check
    stale = []
    for path, text in built().items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(str(path.relative_to(DOCS.parent)))
            if not only_check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if only_check and stale:
        sys.exit(f"not what release/results say: {', '.join(stale)}; run `python docs/build.py`")
    print("\n".join(stale) or "everything was up to date")


if __name__ == "__main__":
    main()
