"""The reference of the Python functions: which are listed. Their signatures and docstrings are read by mkdocstrings."""

PUBLIC = {
    ("Model", "모델"): [
        "model.configuration_axk1.AXK1Config",
        "model.modeling_axk1.AXK1Model",
        "model.modeling_axk1.AXK1ForCausalLM",
        "model.modeling_axk1.AXK1ForSequenceClassification",
        "model.modeling_axk1.AXK1ForTokenClassification",
    ],
    ("Weights", "가중치"): [
        "weights.inspect.inspect",
        "weights.inspect.Inspection",
        "weights.verify.verify",
        "weights.reshard.reshard",
        "weights.convert.convert",
        "weights.convert.Conversion",
        "weights.fetch.fetch",
        "weights.fetch.Part",
        "weights.diff.diff",
        "weights.check.check",
        "weights.sign.sign",
        "weights.names.expected_tensors",
        "weights.names.parameters",
    ],
    ("Tokenizer", "토크나이저"): [
        "tokenizer.encoder.Encoder",
        "tokenizer.chat.render",
        "tokenizer.train.train",
        "tokenizer.check.check",
        "tokenizer.report.report",
    ],
    ("Data", "데이터"): [
        "data.build.build",
        "data.check.check",
        "data.stats.read_stats",
        "data.stats.count_tokens",
        "data.document.Document",
    ],
    ("Training", "학습"): [
        "train.pretrain.plan",
        "train.pretrain.pretrain",
        "train.loop.Settings",
        "train.lora.with_fused_experts",
    ],
    ("Release and hub", "공개와 허브"): [
        "hub.export.export",
        "hub.export.export_release",
        "hub.card.model_card",
        "hub.check.check",
        "hub.publish.publish",
        "hub.publish.publish_set",
        "hub.verify.verify",
        "hub.verify.verify_set",
        "hub.mirror.mirror",
        "hub.mirror.mirror_to_folder",
        "hub.bundle.bundle",
        "hub.server.process.serving",
    ],
    ("Errors", "오류"): ["errors"],
}
HEAD = {
    "en": (
        "# Python\n\n"
        "Every command is a function too: it takes paths and plain values, returns a report, and raises one of the\n"
        "[errors](#errors) with the line that the command prints. Import each from its module; importing the package\n"
        "itself registers the model with transformers and loads nothing heavy.\n"
    ),
    "ko": (
        "# Python\n\n"
        "모든 명령은 함수이기도 합니다. 경로와 평범한 값을 받아 보고서를 돌려주고, 명령이\n"
        "출력하는 것과 같은 한 줄을 담은 [오류](#오류)를 냅니다. 함수는 제 모듈에서 가져오세요. 패키지만 import하면\n"
        "transformers에 모델이 등록될 뿐, 무거운 것은 읽지 않습니다. 설명은 코드에 적힌 영어 그대로입니다.\n"
    ),
}


def page(language: str) -> str:
    """Return the page, for mkdocstrings to fill in."""
    parts = [HEAD[language]]
    for (english, korean), names in PUBLIC.items():
        directives = "\n".join(f"::: modeling_axk1.{name}\n" for name in names)
        parts.append(f"## {english if language == 'en' else korean}\n\n{directives}")
    return "\n".join(parts)
