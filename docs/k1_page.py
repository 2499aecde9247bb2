"""The tables of the page about the 519B release, from release/facts.toml, the recorded facts with their sources."""

from collections.abc import Callable

from results import Table, Word

from modeling_axk1.hub.card import read_facts
from modeling_axk1.weights.sizes import human_bytes

FACTS = read_facts()
SOURCES = {"engines" if name == "code" else name: meaning for name, meaning in FACTS["sources"].items()} | {
    "repository": "the published model repository",
    "reading": "a third-party reading of the release",
}

KOREAN = {
    "What": "항목",
    "Value": "값",
    "Source": "출처",
    "press": "발표",
    "readme": "README",
    "report": "보고서",
    "shapes": "셈",
    "engines": "엔진",
    "repository": "저장소",
    "reading": "분석",
    "announced": "발표일",
    "licence": "라이선스",
    "parameters": "파라미터",
    "active per token": "토큰당 활성 파라미터",
    "tensors": "텐서 수",
    "bytes of weights, BF16": "가중치 바이트 (BF16)",
    "shards": "샤드",
    "layers, dense among them": "층, 그 가운데 밀집 층",
    "hidden size, heads": "은닉 크기, 헤드",
    "query latent, key-value latent": "쿼리 잠재 폭, 키·값 잠재 폭",
    "head widths: no-rope, rope, value": "헤드 폭: 회전 없음, 회전, 값",
    "width of the dense MLP, of an expert": "밀집 MLP의 폭, 전문가의 폭",
    "experts: routed, chosen, shared": "전문가: 라우팅, 선택, 공유",
    "groups of experts, chosen": "전문가 그룹, 선택하는 그룹",
    "vocabulary": "어휘",
    "context, tokens": "문맥 길이, 토큰",
    "context by YaRN: factor, from": "YaRN으로 늘린 문맥: 배수, 원래 길이",
    "recommended sampling: temperature, top_p": "권장 샘플링: temperature, top_p",
    SOURCES["repository"]: "공개된 모델 저장소",
    SOURCES["reading"]: "제3자의 공개본 분석",
    SOURCES["press"]: "2026년 1월 13일 SK텔레콤 발표",
    SOURCES["readme"]: "공개된 모델 저장소의 README",
    SOURCES["report"]: "A.X K1 기술 보고서(arXiv:2601.09200)를 제3자가 정리한 글",
    SOURCES["shapes"]: "공개된 텐서의 모양에서 센 값",
    SOURCES["engines"]: "transformers 5.15 이상의 models/axk1, vLLM의 A.X K1 코드",
    "tokens": "토큰",
    "floating-point operations": "부동소수점 연산",
    "accelerators": "가속기",
    "days": "일",
    "stage": "단계",
    "about 10T": "약 10조",
    "1,024 to 1,536 H200": "H200 1,024~1,536개",
    "about 75": "약 75",
    "7T tokens at 4K context": "7조 토큰, 문맥 4K",
    "1.66T tokens, decay": "1조 6,600억 토큰, 학습률 감쇠",
    "600B tokens, extending to 32K": "6,000억 토큰, 문맥을 32K로 확장",
    "Kind of text": "텍스트 종류",
    "web": "웹",
    "encyclopedia": "백과사전",
    "questions and answers": "질의응답",
    "books": "책",
    "academic": "학술",
    "STEM": "과학·공학",
    "reasoning": "추론",
    "Stage 1, %": "1단계, %",
    "Stage 2, %": "2단계, %",
    "Stage 3, %": "3단계, %",
    "Sample": "표본",
    "Korean, general": "한국어, 일반",
    "Korean, reasoning": "한국어, 추론",
    "Korean, mathematics": "한국어, 수학",
    "English": "영어",
    "A.X K1 over o200k": "A.X K1/o200k",
    "Benchmark": "벤치마크",
    **{f"{model}, thinking": f"{model}, 사고" for model in FACTS["reported"]["models"]},
    **{f"{model}, non-thinking": f"{model}, 비사고" for model in FACTS["reported"]["models"]},
    "Other sources, A.X K1": "다른 출처의 A.X K1",
    **{name: name for name in FACTS["tokens_needed"]["tokenizers"]},
    **dict(zip(FACTS["unknown"]["en"], FACTS["unknown"]["ko"], strict=True)),
}


def published(word: Word) -> Table:
    """What was published: the model in numbers, each with its source."""
    config = FACTS["config"]
    rope = config["rope_parameters"]

    def of(*keys: str) -> str:
        return ", ".join(f"{config[key]:,}" for key in keys)

    rows = [
        ("announced", FACTS["announced"], "press"),
        ("licence", FACTS["licence"], "repository"),
        ("parameters", f"{FACTS['parameters']:,}", "shapes"),
        ("active per token", f"{FACTS['active_parameters']:,}", "shapes"),
        ("tensors", f"{FACTS['tensors']:,}", "shapes"),
        ("bytes of weights, BF16", f"{FACTS['bf16_bytes']:,} ({human_bytes(FACTS['bf16_bytes'])})", "shapes"),
        ("shards", f"{FACTS['published_shards']:,}", "repository"),
        ("layers, dense among them", of("num_hidden_layers", "first_k_dense_replace"), "engines"),
        ("hidden size, heads", of("hidden_size", "num_attention_heads"), "engines"),
        ("query latent, key-value latent", of("q_lora_rank", "kv_lora_rank"), "engines"),
        ("head widths: no-rope, rope, value", of("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), "engines"),
        ("width of the dense MLP, of an expert", of("intermediate_size", "moe_intermediate_size"), "engines"),
        (
            "experts: routed, chosen, shared",
            of("n_routed_experts", "num_experts_per_tok", "n_shared_experts"),
            "engines",
        ),
        ("groups of experts, chosen", of("n_group", "topk_group"), "engines"),
        ("vocabulary", of("vocab_size"), "engines"),
        ("context, tokens", of("max_position_embeddings"), "engines"),
        (
            "context by YaRN: factor, from",
            f"{rope['factor']:g}, {rope['original_max_position_embeddings']:,}",
            "reading",
        ),
        (
            "recommended sampling: temperature, top_p",
            f"{FACTS['generation']['temperature']}, {FACTS['generation']['top_p']}",
            "readme",
        ),
    ]
    return ["What", "Value", "Source"], [[word(what), value, word(source)] for what, value, source in rows], 3, None


def sources(word: Word) -> str:
    """What the names of sources stand for, as a list."""
    return "".join(f"- **{word(name)}**: {word(meaning)}\n" for name, meaning in SOURCES.items())


def training(word: Word) -> Table:
    """What is reported of the training, from one source."""
    said = FACTS["training"]
    rows = [
        [word("tokens"), word(said["tokens"])],
        [word("floating-point operations"), said["flops"]],
        [word("accelerators"), word(said["accelerators"])],
        [word("days"), word(said["days"])],
        *([f"{word('stage')} {number}", word(stage)] for number, stage in enumerate(said["stages"], 1)),
    ]
    return ["What", "Value"], rows, 2, None


def mix(word: Word) -> Table:
    """What kinds of text each stage had, in percent of its tokens."""
    rows = [[word(kind), *map(str, shares)] for kind, shares in FACTS["training"]["mix"].items()]
    return ["Kind of text", "Stage 1, %", "Stage 2, %", "Stage 3, %"], rows, 1, None


def tokens(word: Word) -> Table:
    """How many tokens sample texts take in three tokenizers."""
    said = FACTS["tokens_needed"]
    rows = [
        [word(sample), *(f"{count:,}" for count in counts), f"{counts[0] / counts[1]:.2f}"]
        for sample, counts in said["samples"].items()
    ]
    return ["Sample", *said["tokenizers"], "A.X K1 over o200k"], rows, 1, None


def reported(_: Word) -> Table:
    """SK Telecom's own results, beside what other sources say of the same model."""
    said = FACTS["reported"]
    rows = []
    for task, thinking in said["thinking"].items():
        plain = said["non_thinking"].get(task, [""] * len(thinking))
        rows.append([task, *map(str, thinking), *map(str, plain), str(said["contradicted"].get(task, ""))])
    header = [f"{model}, {mode}" for mode in ("thinking", "non-thinking") for model in said["models"]]
    return ["Benchmark", *header, "Other sources, A.X K1"], rows, 1, None


def unknown(word: Word) -> str:
    """What nobody has published, as a list."""
    return "".join(f"- {word(what)}\n" for what in FACTS["unknown"]["en"])


TABLES: dict[str, Callable[[Word], Table | str]] = {
    function.__name__: function for function in (published, sources, training, mix, tokens, reported, unknown)
}
