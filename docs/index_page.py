"""The tables of the first page: the model beside its small sibling, and what was measured, in a line each."""

from collections.abc import Callable, Mapping
from typing import Any

from k1_page import FACTS
from model_page import attention
from results import Table, Word, result

from modeling_axk1.model.configuration_axk1 import AXK1Config
from modeling_axk1.model.presets import preset
from modeling_axk1.quickstart import Settings
from modeling_axk1.weights.names import layer_kinds, parameters
from modeling_axk1.weights.sizes import human_bytes

KOREAN = {
    "A.X K1": "A.X K1",
    "Its small sibling": "작은 형제 모델",
    "trained by": "학습한 곳",
    "SK Telecom": "SK텔레콤",
    "you, in {seconds} s on {cores} cores": "독자의 컴퓨터. 코어 {cores}개에서 {seconds}초",
    "layers: dense, sparse": "층: 밀집, 희소",
    "attention heads": "어텐션 헤드",
    "kept of a token in the cache of a layer": "층마다 토큰 하나를 캐시에 두는 크기",
    "{latent} + {rope} numbers": "수 {latent} + {rope}개",
    "experts of a layer": "층마다 전문가",
    "{chosen} of {routed}, and {shared} shared": "{routed}개 중 {chosen}개, 공유 {shared}개",
    "Measured": "측정한 것",
    "Result": "결과",
    "Command, file": "명령, 파일",
    "a decoding step over {context} tokens, native's time over ours": (
        "{context}토큰 문맥의 디코딩 한 단계, 네이티브/이 모델"
    ),
    "memory for reading {tokens} tokens, beyond weights and cache": "{tokens}토큰을 읽는 메모리, 가중치와 캐시 제외",
    "{ours} MiB; native {native} MiB": "{ours} MiB, 네이티브 {native} MiB",
    "peak memory of loading, over the model's size": "읽을 때의 최대 메모리/모델 크기",
    "LoRA on the experts, time over the base's": "전문가 LoRA를 붙인 시간/원본",
    "{low} to {high}": "{low}~{high}",
    "checking digests and values, over sha256sum": "다이제스트와 값 검사, sha256sum의 몇 배",
    "tokens of Korean text, over o200k_base": "한국어 텍스트의 토큰 수, o200k_base 대비",
    "building a dataset, times as fast as datatrove": "데이터셋 만들기, datatrove의 몇 배 속도",
    "downloads from the hub by 64 clients, over nginx's throughput": "클라이언트 64개가 허브에서 받는 처리량/nginx",
    "from raw text to a proven release": "원문에서 증명된 공개본까지",
    "{first} s; again {second} s": "{first}초, 다시 하면 {second}초",
    "the sibling's bits a byte on held-out text": "작은 형제 모델의 검증 텍스트 바이트당 비트",
}


def model(word: Word) -> Table:
    """The published model and the one that quickstart trains, side by side."""
    quick = result("quickstart")
    seconds, cores = f"{quick['first_run_seconds']:.0f}", quick["machine"]["cores"]
    small = AXK1Config(**preset(Settings().preset), vocab_size=Settings().vocab_size).to_dict()
    columns = [_described(config, word) for config in (AXK1Config().to_dict(), small)]
    rows = [[word(name), *(column[name] for column in columns)] for name in columns[0]]
    by = word("you, in {seconds} s on {cores} cores").format(seconds=seconds, cores=cores)
    rows += [
        [word("trained by"), word("SK Telecom"), by],
        [word("licence"), FACTS["licence"], FACTS["licence"]],
    ]
    return ["What", "A.X K1", "Its small sibling"], rows, 3, None


def _described(config: Mapping[str, Any], word: Word) -> dict[str, str]:
    count, kinds = parameters(config), layer_kinds(config)
    experts = {
        "chosen": config["num_experts_per_tok"],
        "routed": config["n_routed_experts"],
        "shared": config["n_shared_experts"],
    }
    kept = {"latent": config["kv_lora_rank"], "rope": config["qk_rope_head_dim"]}
    return {
        "parameters": f"{count.total:,}",
        "active per token": f"{count.active:,}",
        "layers: dense, sparse": f"{kinds.count('dense')}, {kinds.count('sparse')}",
        "attention heads": f"{config['num_attention_heads']}",
        "kept of a token in the cache of a layer": word("{latent} + {rope} numbers").format(**kept),
        "experts of a layer": word("{chosen} of {routed}, and {shared} shared").format(**experts),
        "vocabulary": f"{config['vocab_size']:,}",
        "context, tokens": f"{config['max_position_embeddings']:,}",
        "bytes of weights, BF16": human_bytes(2 * count.total),
    }


def measured(word: Word) -> Table:
    """One figure of each benchmark that says most, with its command and file; all others are on their pages."""
    step = attention(**{"pass": "decode", "dtype": "float32", "batch": 1})[-1]
    prompt = [run for run in attention(**{"pass": "prefill"}) if isinstance(run["native_mib"], float)][-1]
    loading = [case["ours"]["peak_over_model"] for case in result("loading")["cases"]]
    lora = [run["ours_adapted_over_base"] for run in result("lora")["runs"]]
    checking = [
        run["times_as_fast_as_sha256sum"]["ours, sha256 and values"] for run in result("weights_verify")["runs"]
    ]
    downloads = [run["hub_share_of_nginx"] for run in result("hub_load")["downloads"]]
    quick = result("quickstart")

    def between(values: list[float]) -> str:
        return word("{low} to {high}").format(low=f"{min(values):.2f}", high=f"{max(values):.2f}")

    rows = [
        (
            word("a decoding step over {context} tokens, native's time over ours").format(
                context=f"{step['context']:,}"
            ),
            f"{step['native_over_ours']:.0f}",
            "attention",
        ),
        (
            word("memory for reading {tokens} tokens, beyond weights and cache").format(tokens=f"{prompt['tokens']:,}"),
            word("{ours} MiB; native {native} MiB").format(
                ours=f"{prompt['ours_mib']:,.0f}", native=f"{prompt['native_mib']:,.0f}"
            ),
            "attention",
        ),
        (word("peak memory of loading, over the model's size"), between(loading), "loading"),
        (word("LoRA on the experts, time over the base's"), between(lora), "lora"),
        (word("checking digests and values, over sha256sum"), between(checking), "weights_verify"),
        (
            word("tokens of Korean text, over o200k_base"),
            f"{result('tokenizer_report')['languages']['ko']['over_o200k_base']:.2f}",
            "tokenizer_report",
        ),
        (
            word("building a dataset, times as fast as datatrove"),
            f"{result('data_build')['end_to_end']['times_as_fast']:.1f}",
            "data_build",
        ),
        (word("downloads from the hub by 64 clients, over nginx's throughput"), between(downloads), "hub_load"),
        (
            word("from raw text to a proven release"),
            word("{first} s; again {second} s").format(
                first=f"{quick['first_run_seconds']:.0f}", second=f"{quick['second_run_seconds']:.0f}"
            ),
            "quickstart",
        ),
        (
            word("the sibling's bits a byte on held-out text"),
            f"{quick['training']['bits_per_byte']:.2f}",
            "quickstart",
        ),
    ]
    shown = [
        [what, f"**{value}**", f"`{result(name)['command']}`, [{name}.json](../../release/results/{name}.json)"]
        for what, value, name in rows
    ]
    return ["Measured", "Result", "Command, file"], shown, 3, None


TABLES: dict[str, Callable[[Word], Table]] = {function.__name__: function for function in (model, measured)}
