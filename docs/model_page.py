"""The tables of the page about the model, from its benchmarks."""

from collections.abc import Callable
from typing import Any

from results import Table, Word, result

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
}


def attention(**wanted: Any) -> list[dict[str, Any]]:
    """The runs of the attention benchmark that have these values."""
    return [run for run in result("attention")["runs"] if wanted.items() <= run.items()]


def decoding(word: Word) -> Table:
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
    return header, rows, 0, "attention"


def prefill(word: Word) -> Table:
    """Time and memory of reading a prompt, by its length."""

    def amount(value: float | str | None, unit: str) -> str:
        return f"{value:,.0f} {unit}" if isinstance(value, float) else word("does not fit")

    rows = []
    for run in attention(**{"pass": "prefill"}):
        ours, native = run["ours_seconds"], run["native_seconds"]
        rows.append(
            [
                f"{run['tokens']:,}",
                f"{ours:.1f} s",
                f"{native:.1f} s" if native else word("does not fit"),
                f"**{native / ours:.1f}**" if native else "",
                amount(run["ours_mib"], "MiB"),
                amount(run["native_mib"], "MiB"),
            ]
        )
    header = ["Prompt", "Ours", "Native", "Native over ours"]
    header += ["Ours, beyond weights and cache", "Native, beyond weights and cache"]
    return header, rows, 0, "attention"


def experts(word: Word) -> Table:
    """One layer's routed experts over the roofline."""
    rows = [
        [
            f"{run['n_routed_experts']} x {run['hidden_size']} x {run['moe_intermediate_size']}",
            run["dtype"],
            str(run["tokens"]),
            f"**{run['ours_over_roofline']:.2f}**",
            f"{run['native_over_roofline']:.2f}",
            word(run["roofline_is"]),
        ]
        for run in result("experts")["runs"]
    ]
    header = ["Experts", "dtype", "Tokens", "Ours over roofline", "Native over roofline", "Limit"]
    return header, rows, 0, "experts"


def lora(word: Word) -> Table:
    """Adapted experts over the same ones without adapters."""
    rows = [
        [
            f"{run['n_routed_experts']} x {run['hidden_size']} x {run['moe_intermediate_size']}",
            word(run["pass"]),
            str(run["tokens"]),
            f"**{run['ours_adapted_over_base']:.2f}**",
            f"{run['native_adapted_over_base']:.2f}",
        ]
        for run in result("lora")["runs"]
    ]
    header = ["Experts", "Pass", "Tokens", "Ours, adapted over base", "Native, adapted over base"]
    return header, rows, 0, "lora"


def loading(word: Word) -> Table:
    """Memory and time to the first token."""
    rows = [
        [
            word(case["layout"]),
            case["dtype"],
            f"**{case['ours']['peak_over_model']:.2f}**",
            f"{case['native']['peak_over_model']:.2f}",
            f"{case['ours']['seconds_to_first_token']:.1f} s",
            f"{case['native']['seconds_to_first_token']:.1f} s",
        ]
        for case in result("loading")["cases"]
    ]
    header = ["Layout", "dtype", "Ours, peak over model", "Native, peak over model"]
    return [*header, "Ours, first token", "Native, first token"], rows, 0, "loading"


def training(word: Word) -> Table:
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
    return [*header, "Ours over native"], rows, 0, "training"


TABLES: dict[str, Callable[[Word], Table]] = {
    function.__name__: function for function in (decoding, prefill, experts, lora, loading, training)
}
