"""Fill in what the documentation need not repeat by hand: tables between markers, and plots.

    python docs/build.py            write what the results and the code say
    python docs/build.py --check    exit 1 if a page or a plot says something else

What lies between `<!-- measured: NAME -->` and `<!-- /measured -->` comes from release/results; between
`<!-- generated: NAME -->` and `<!-- /generated -->`, from the code that reads and checks checkpoints. Plots are drawn
for both languages and for light and dark pages. Needs matplotlib, which the extra `test` brings.
"""

import argparse
import io
import json
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import data_page
import hub_page
import tokenizer_page
from data_korean import KOREAN as DATA_KOREAN
from results import result

from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.weights.cut import layer_of, written_numbers
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import encoding_named, quantised_config, stored_bytes, stored_tensors
from modeling_axk1.weights.names import TensorSpec, expected_tensors, parameters
from modeling_axk1.weights.sizes import human_bytes

DOCS = Path(__file__).resolve().parent
LANGUAGES = ("en", "ko")
MARKED = re.compile(r"(<!-- (measured|generated): (\w+) -->\n).*?(<!-- /\2 -->)", re.S)
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
    "Tensors": "텐서 수",
    "inspect": "inspect",
    "plan": "plan",
    "verify --headers-only": "verify --headers-only",
    "inspect over HTTP": "HTTP로 inspect",
    "fetched": "내려받은 양",
    "the safetensors library": "safetensors 라이브러리",
    "Command": "명령",
    "Peak memory": "최대 메모리",
    "cp": "cp",
    "cp and sync": "cp와 sync",
    "reshard by size": "reshard, 크기로",
    "reshard by layer": "reshard, 층으로",
    "reshard by expert rank": "reshard, 전문가 랭크로",
    "fused to per-expert": "convert, 융합 → 전문가별",
    "per-expert to fused": "convert, 전문가별 → 융합",
    "to fp8": "convert, fp8로",
    "to int8": "convert, int8로",
    "to int4": "convert, int4로",
    "transformers": "transformers",
    "transformers and sync": "transformers와 sync",
    "MB/s, warm / cold": "MB/s, 캐시에 있을 때 / 없을 때",
    "Over cp": "cp의 몇 배",
    "Over cp and sync": "cp와 sync의 몇 배",
    "Over transformers": "transformers의 몇 배",
    "Over transformers and sync": "transformers와 sync의 몇 배",
    "Form": "형식",
    "Noise below the weights": "가중치보다 낮은 잡음",
    "Relative RMS": "상대 RMS",
    "Encodes": "인코딩",
    "Decodes": "디코딩",
    "Encodes, over compressed-tensors": "인코딩, compressed-tensors의 몇 배",
    "Decodes, over compressed-tensors": "디코딩, compressed-tensors의 몇 배",
    "sha256sum": "sha256sum",
    "openssl": "openssl",
    "cat": "cat",
    "ours, manifest": "manifest",
    "ours, sha256": "verify, SHA-256만",
    "ours, sha256 and values": "verify, SHA-256과 값",
    "ours, values": "verify, 값만",
    "shards of 500 MB, warm": "500 MB 샤드, 캐시에 있을 때",
    "shards of 500 MB, cold": "500 MB 샤드, 캐시에 없을 때",
    "one shard, warm": "샤드 하나, 캐시에 있을 때",
    "one shard, cold": "샤드 하나, 캐시에 없을 때",
    "shards of 500 MB, warm, GB/s": "500 MB 샤드, GB/s",
    "one shard, warm, GB/s": "샤드 하나, GB/s",
    "Tensor": "텐서",
    "Meaning": "뜻",
    "Layers N": "층 N",
    "Shape": "모양",
    "token embeddings, one row per token id": "토큰 임베딩, 토큰 번호마다 한 행",
    "queries, down to their latent": "쿼리를 잠재 벡터로 줄임",
    "RMSNorm of the query latent": "쿼리 잠재 벡터의 RMSNorm",
    "queries, up to heads of [no-rope, rope]": "쿼리를 헤드로 펼침. 헤드마다 [회전 없음, 회전] 순서",
    "keys and values, down to the cached latent and the rope key all heads share": (
        "키와 값을 캐시에 남는 잠재 벡터와 모든 헤드가 함께 쓰는 회전 키로 줄임"
    ),
    "RMSNorm of the key-value latent": "키·값 잠재 벡터의 RMSNorm",
    "latent, up to heads of [no-rope key, value]": "잠재 벡터를 헤드로 펼침. 헤드마다 [회전 없는 키, 값] 순서",
    "heads, back to the hidden width": "헤드를 은닉 폭으로 되돌림",
    "RMSNorm before attention": "어텐션 앞의 RMSNorm",
    "RMSNorm before the MLP": "MLP 앞의 RMSNorm",
    "RMSNorm of the MLP's output": "MLP 출력의 RMSNorm",
    "unused: a dense layer's output is not normalised": "쓰이지 않음: 밀집 층의 출력은 정규화하지 않음",
    "dense MLP: gate, through SiLU": "밀집 MLP: 게이트, SiLU를 거침",
    "dense MLP: up, times the gate": "밀집 MLP: up, 게이트와 곱함",
    "dense MLP: down": "밀집 MLP: down",
    "router: one score per expert": "라우터: 전문가마다 점수 하나",
    "added to the scores for choosing only; zero where absent": "고를 때만 점수에 더함. 없으면 0",
    "routed experts: gate rows, then up rows": "라우팅 전문가: 게이트 행 다음에 up 행",
    "routed experts: down": "라우팅 전문가: down",
    "routed expert E: gate, through SiLU": "라우팅 전문가 E: 게이트, SiLU를 거침",
    "routed expert E: up, times the gate": "라우팅 전문가 E: up, 게이트와 곱함",
    "routed expert E: down": "라우팅 전문가 E: down",
    "shared expert: gate, through SiLU": "공유 전문가: 게이트, SiLU를 거침",
    "shared expert: up, times the gate": "공유 전문가: up, 게이트와 곱함",
    "shared expert: down": "공유 전문가: down",
    "RMSNorm after the last layer": "마지막 층 뒤의 RMSNorm",
    "output projection to the vocabulary": "어휘로 가는 출력 투영",
    "multi-token prediction: RMSNorm of the next token's embedding": "여러 토큰 예측: 다음 토큰 임베딩의 RMSNorm",
    "multi-token prediction: RMSNorm of the last hidden state": "여러 토큰 예측: 마지막 은닉 상태의 RMSNorm",
    "multi-token prediction: both joined, to the hidden width": "여러 토큰 예측: 둘을 이어 은닉 폭으로",
    "multi-token prediction: RMSNorm before the output head": "여러 토큰 예측: 출력 헤드 앞의 RMSNorm",
    "Checkpoint": "체크포인트",
    "Active per token": "토큰당 활성",
    "Bytes in BF16": "BF16 바이트",
    "published: experts fused": "공개본: 융합된 전문가",
    "experts one by one": "전문가별",
    "with router biases": "라우터 편향을 더하면",
    "with a layer for drafts": "여러 토큰 예측 층을 더하면",
    "Stored in": "저장 정밀도",
    "Bytes": "바이트",
    "GB, TB": "GB, TB",
    "GiB": "GiB",
    "Of BF16": "BF16 대비",
    "Bits a parameter": "파라미터당 비트",
    "Parameters quantised": "양자화된 파라미터",
    "GiB, weights alone; caches and activations come on top": "GiB, 가중치만. 캐시와 활성값은 따로 듭니다",
}
KOREAN |= DATA_KOREAN | tokenizer_page.KOREAN | hub_page.KOREAN


def say(text: str, language: str) -> str:
    """A word of a table or plot in the page's language."""
    return text if language == "en" else KOREAN[text]


def grid(language: str, header: list[str], rows: list[list[str]], words: int = 0) -> str:
    """A table; its first `words` columns are words, the others numbers."""
    lines = [[say(name, language) for name in header], [":---"] * words + ["---:"] * (len(header) - words), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(language: str, source: str, header: list[str], rows: list[list[str]], words: int = 0) -> str:
    """A table and the line that says where its figures come from."""
    text = grid(language, header, rows, words)
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


def metadata(language: str) -> str:
    """Seconds that a terabyte's headers take."""
    rows = []
    for run in result("weights_metadata")["runs"]:
        seconds = run["median_seconds"]
        rows.append(
            [
                say(run["layout"], language),
                f"{run['tensors']:,}",
                *(f"**{seconds[verb]:.1f} s**" for verb in ("inspect", "plan", "verify", "inspect over HTTP")),
                human_bytes(run["bytes_fetched_over_http"]),
                f"{seconds['safetensors reads every dtype and shape']:.1f} s",
            ]
        )
    header = ["Layout", "Tensors", "inspect", "plan", "verify --headers-only", "inspect over HTTP", "fetched"]
    return table(language, "weights_metadata", [*header, "the safetensors library"], rows, words=1)


def writing(language: str) -> str:
    """Throughput of reshard and convert, over cp's."""
    warm, cold = (next(run for run in result("weights_write")["runs"] if run["cache"] == c) for c in ("warm", "cold"))
    peers = ("cp", "cp and sync", "transformers", "transformers and sync")

    def both(figures: Callable[[dict[str, Any]], dict[str, Any]], name: str, form: str) -> str:
        return " / ".join(form.format(figures(run)[name]) for run in (warm, cold) if name in figures(run))

    rows = [
        [
            say(name, language),
            both(lambda run: run["mb_per_s"], name, "{:,}"),
            *(f"**{both(lambda run, peer=peer: run['times_as_fast_as'][peer], name, '{:.2f}')}**" for peer in peers),
            f"{peak:,} MiB" if (peak := warm["peak_mib"][name]) else "",
        ]
        for name in warm["mb_per_s"]
    ]
    header = ["Command", "MB/s, warm / cold", *(f"Over {peer}" for peer in peers), "Peak memory"]
    return table(language, "weights_write", header, rows, words=1)


def verifying(language: str) -> str:
    """Throughput of verify and manifest, over sha256sum's."""
    runs = result("weights_verify")["runs"]
    rows = [
        [say(name, language), *(f"**{run['times_as_fast_as_sha256sum'][name]:.2f}**" for run in runs)]
        + [f"{run['gb_per_s'][name]:.2f} GB/s" for run in runs if run["cache"] == "warm"]
        for name in runs[0]["gb_per_s"]
    ]
    header = ["Command", *(f"{run['layout']}, {run['cache']}" for run in runs)]
    header += [f"{run['layout']}, {run['cache']}, GB/s" for run in runs if run["cache"] == "warm"]
    return table(language, "weights_verify", header, rows, words=1)


def encodings(language: str) -> str:
    """How far each encoding is off on Gaussian weights, and how fast it is."""
    rows = []
    for run in result("weights_encodings")["runs"]:
        faster = run["times_as_fast_as_peer"]
        rows.append(
            [
                run["encoding"].upper(),
                f"**{run['signal_to_noise_db']:.1f} dB**",
                f"{run['relative_rms']:.2g}",
                *(f"{run['mb_per_s'][way]:,} MB/s" for way in ("encodes", "decodes")),
                *(f"{faster[way]:.1f}" if way in faster else "" for way in ("encodes", "decodes")),
            ]
        )
    header = ["Form", "Noise below the weights", "Relative RMS", "Encodes", "Decodes"]
    header += ["Encodes, over compressed-tensors", "Decodes, over compressed-tensors"]
    return table(language, "weights_encodings", header, rows, words=1)


@cache
def release(**changes: Any) -> dict[str, Any]:
    """The config of the published model, with `changes`."""
    return AXK1Config(**changes).to_dict()


def tensor_table(language: str, tensors: Mapping[str, TensorSpec]) -> str:
    """One row for all tensors whose names differ in numbers only."""
    alike: dict[tuple[str, str], dict[str, TensorSpec]] = defaultdict(dict)
    for name, spec in tensors.items():
        pattern = re.sub(r"\.experts\.[0-9]+\.", ".experts.E.", re.sub(r"\.layers\.[0-9]+\.", ".layers.N.", name))
        alike[pattern, re.sub(r"expert [0-9]+", "expert E", spec.meaning)][name] = spec
    rows = []
    for (pattern, meaning), members in alike.items():
        layers = {layer for layer in map(layer_of, members) if layer is not None}
        shapes = {spec.shape for spec in members.values()}
        rows.append(
            [
                f"`{pattern}`",
                say(meaning, language),
                written_numbers(tuple(sorted(layers))),
                ", ".join(str(list(shape)) for shape in shapes),
                f"{len(members):,}",
                f"{sum(prod(spec.shape) for spec in members.values()):,}",
            ]
        )
    return grid(language, ["Tensor", "Meaning", "Layers N", "Shape", "Tensors", "Parameters"], rows, words=2)


def tensors(language: str) -> str:
    """Every tensor of the release as it is published today."""
    return tensor_table(language, expected_tensors(release()))


def single_experts(language: str) -> str:
    """What stands in the place of the fused tensors where experts are stored one by one."""
    fused = expected_tensors(release())
    single = expected_tensors(release(), "per-expert")
    return tensor_table(language, {name: spec for name, spec in single.items() if name not in fused})


def absent(language: str) -> str:
    """What the architecture knows and the release has not; of the module for drafts, what no other layer has."""
    published = {re.sub("[0-9]+", "N", name) for name in expected_tensors(release())}
    known = expected_tensors(release(use_router_bias=True)) | expected_tensors(release(num_nextn_predict_layers=1))
    return tensor_table(
        language, {name: spec for name, spec in known.items() if re.sub("[0-9]+", "N", name) not in published}
    )


def totals(language: str) -> str:
    """Tensors, parameters and bytes of the release and of its variants."""
    variants: dict[str, tuple[dict[str, Any], Any]] = {
        "published: experts fused": (release(), "fused"),
        "experts one by one": (release(), "per-expert"),
        "with router biases": (release(use_router_bias=True), "fused"),
        "with a layer for drafts": (release(num_nextn_predict_layers=1), "fused"),
    }
    rows = []
    for name, (config, layout) in variants.items():
        count = parameters(config)
        rows.append(
            [
                say(name, language),
                f"{len(expected_tensors(config, layout)):,}",
                f"{count.total:,}",
                f"{count.active:,}",
                f"{stored_bytes(config):,}",
            ]
        )
    return grid(language, ["Checkpoint", "Tensors", "Parameters", "Active per token", "Bytes in BF16"], rows, words=1)


PRECISIONS = ("fp32", "bf16", "fp8", "int8", "int4")


@cache
def quantised_release(encoding: str) -> dict[str, Any]:
    """The config of the release stored in 8 or 4 bits."""
    return quantised_config(release(), encoding_named(encoding))


@cache
def stored_in(precision: str) -> dict[str, TensorSpec]:
    """The tensors of the release in a precision, each with its dtype."""
    if precision in ("fp32", "bf16"):
        dtype = {"fp32": "F32", "bf16": "BF16"}[precision]
        return {name: replace(spec, dtype=dtype) for name, spec in expected_tensors(release()).items()}
    return stored_tensors(quantised_release(precision))


def bytes_in(precision: str) -> int:
    """Bytes of these tensors; where no quantisation decides, they are in BF16."""
    return sum(nbytes_of(spec.dtype or "BF16", spec.shape) for spec in stored_in(precision).values())


def precisions(language: str) -> str:
    """What the release takes on a disk, by precision."""
    weights, bf16 = parameters(release()).total, bytes_in("bf16")
    rows = []
    for name in PRECISIONS:
        count, quantised = bytes_in(name), sum(spec.parameters or 0 for spec in stored_in(name).values())
        rows.append(
            [
                "BF16, FP16" if name == "bf16" else name.upper(),
                f"{len(stored_in(name)):,}",
                f"{count:,}",
                human_bytes(count),
                f"{count / 2**30:,.0f} GiB",
                f"{count / bf16:.1%}",
                f"{8 * count / weights:.2f}",
                f"{quantised / weights:.2%}" if quantised else "",
            ]
        )
    header = ["Stored in", "Tensors", "Bytes", "GB, TB", "GiB", "Of BF16", "Bits a parameter", "Parameters quantised"]
    return grid(language, header, rows, words=1)


def configs(language: str) -> str:
    """What config.json says of FP8 and of INT4, the list of what is not quantised cut short."""
    blocks = []
    for name, ignored in (("fp8", "modules_to_not_convert"), ("int4", "ignore")):
        said = quantised_release(name)["quantization_config"]
        said = said | {ignored: [said[ignored][0], "...", said[ignored][-1]]}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in said.items())
        blocks.append(f'```json\n"quantization_config": {{\n{lines}\n}}\n```\n')
    return "\n".join(blocks)


TABLES: dict[str, Callable[[str], str]] = {
    function.__name__: function
    for function in (
        *(decoding, prefill, experts, lora, loading, training, metadata, writing, verifying, encodings),
        *(totals, tensors, single_experts, absent, precisions, configs),
    )
}


def of_page(page: Any, name: str) -> Callable[[str], str]:
    """A table of a page that has a file of its own for its tables; nothing where nobody has measured it yet."""

    def made(language: str) -> str:
        found = page.TABLES[name](lambda text: say(text, language))
        if found is None:
            return ""
        header, rows, words, source = found
        return table(language, source, header, rows, words) if source else grid(language, header, rows, words)

    return made


def data_corpus(language: str) -> str:
    """The released corpus, its table and its plot; nothing as long as nothing is released."""
    if data_page.corpus_stats() is None:
        return ""
    words = {"en": "Bytes of text by language and licence", "ko": "언어와 라이선스별 텍스트의 바이트"}[language]
    return f"{of_page(data_page, 'corpus')(language)}\n![{words}](../../data_cards/corpus/figures/composition.svg)\n"


TABLES |= {f"data_{name}": of_page(data_page, name) for name in data_page.TABLES} | {"data_corpus": data_corpus}
TABLES |= {f"tokenizer_{name}": of_page(tokenizer_page, name) for name in tokenizer_page.TABLES}
TABLES |= {f"hub_{name}": of_page(hub_page, name) for name in hub_page.TABLES}


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


# GiB of memory: what one has on a desk, in a node and in four.
MACHINES = {"24 GB": 24, "64 GB": 64, "192 GB": 192, "8 x 80 GB": 640, "32 x 80 GB": 2560}


def sizes_plot(language: str, theme: str) -> str:
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
    axes.set(xlim=(16, 3200), xlabel=say("GiB, weights alone; caches and activations come on top", language))
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    return as_svg(pyplot, figure)


def attention_plot(language: str, theme: str) -> str:
    """Latency of a decoding step and memory of a prompt, against their lengths, as SVG."""
    pyplot = drawing(theme)
    ink, ours, native = THEMES[theme]
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
    return as_svg(pyplot, figure)


def tokenizer_plot(language: str, theme: str) -> str:
    """Tokens per byte of ours among those of others, as SVG."""
    pyplot = drawing(theme)
    return as_svg(pyplot, tokenizer_page.plot(pyplot, lambda text: say(text, language), *THEMES[theme]))


PLOTS = {"attention": attention_plot, "sizes": sizes_plot, "tokenizer": tokenizer_plot}


def built() -> dict[Path, str]:
    """Every generated file and page, and what it must say."""
    files = {}
    for language in LANGUAGES:
        for page in sorted((DOCS / language).glob("*.md")):
            text = page.read_text("utf-8")
            files[page] = MARKED.sub(lambda found: found[1] + TABLES[found[3]](language) + found[4], text)  # noqa: B023
        for theme in THEMES:
            for name, plot in PLOTS.items():
                files[DOCS / language / "figures" / f"{name}-{theme}.svg"] = plot(language, theme)
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
        sys.exit(f"not what results and code say: {', '.join(stale)}; run `python docs/build.py`")
    print("\n".join(stale) or "everything was up to date")


if __name__ == "__main__":
    main()
