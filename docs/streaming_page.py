"""The tables of the page about running the release on a small machine; none before their benchmarks have run."""

from collections.abc import Callable
from typing import Any

from results import RESULTS, Table, Word, result

from modeling_axk1.weights.sizes import human_bytes

KOREAN = {
    "Takes on the disk": "디스크에서 차지하는 크기",
    "Memory given": "허용한 메모리",
    "Peak, as the kernel counts": "커널이 잰 최대 메모리",
    "Ready after": "준비까지",
    "Prompt of 8 tokens": "8토큰 프롬프트",
    "A further token": "다음 토큰 하나",
    "Read for a token": "토큰당 읽는 양",
    "Waiting for reads": "읽기를 기다린 시간",
    "Computing": "계산한 시간",
    "Experts that were there": "메모리에 있던 전문가",
    "Guesses that were right": "맞은 예측",
    "Mapped": "메모리 맵",
    "Transformers' offload": "transformers 오프로드",
    "Ours over mapped": "이 모델/메모리 맵",
    "Ours over offload": "이 모델/오프로드",
    "Its second copy": "오프로드가 쓴 사본",
    "out of memory": "메모리 부족",
    "Reading": "읽는 방법",
    "1 in flight": "동시 1개",
    "2 in flight": "동시 2개",
    "4 in flight": "동시 4개",
    "8 in flight": "동시 8개",
    "Best, over the disk's own": "최고 속도/디스크 속도",
    "sequential": "디스크 자체: 차례로 읽기",
    "direct": "전문가, 직접 읽기",
    "direct, expected": "전문가, 직접 읽기, 다음 층을 미리",
    "buffered": "전문가, 페이지 캐시를 거쳐",
    "Trained model": "훈련한 모델",
    "Policy": "정책",
    "16 experts, 4 a token": "전문가 16개, 토큰당 4개",
    "64 experts, 8 a token": "전문가 64개, 토큰당 8개",
    "64 experts, 8 a token, balanced": "전문가 64개, 토큰당 8개, 부하 균형",
    "LRU": "LRU",
    "LFU": "LFU",
    "LFU, half-life 100 tokens": "LFU, 반감기 100토큰",
    "LFU, half-life 1,000 tokens": "LFU, 반감기 1,000토큰",
    "segmented LRU": "분할 LRU",
    "fixed from a profile": "프로파일로 고정",
    "optimum, knowing the future": "미래를 알 때의 최적",
    "even": "고른 라우팅",
    "Text": "글",
    "English text": "영어 글",
    "Korean text": "한국어 글",
    "Python code": "파이썬 코드",
    "all three in turns": "세 가지를 번갈아",
    "Next layer guessed right": "다음 층 예측 적중",
    "Two layers ahead": "두 층 앞 예측 적중",
    "Visits of the top 10%": "상위 10% 전문가의 방문 비율",
    "Visits of the top 25%": "상위 25% 전문가의 방문 비율",
    "Used as if evenly": "고르게 쓴다고 볼 때의 비율",
    "Experts held": "메모리에 둔 전문가",
    "Tokens/s, measured": "토큰/초, 측정",
    "Tokens/s, reading overlapped": "토큰/초, 읽기를 계산과 겹칠 때",
    "Tokens/s, one after another": "토큰/초, 겹치지 않을 때",
    "this machine": "이 기계",
    "laptop": "노트북",
    "workstation": "워크스테이션",
    "Computed for": "계산 대상",
    "A token, even routing": "토큰 하나, 고른 라우팅",
    "A token, routing of small models": "토큰 하나, 작은 모델의 라우팅",
}

MODELS = {
    "quickstart": "16 experts, 4 a token",
    "wide": "64 experts, 8 a token",
    "wide, balanced": "64 experts, 8 a token, balanced",
}
POLICIES = {
    "lru": "LRU",
    "lfu": "LFU",
    "segmented": "segmented LRU",
    "lfu, 100 tokens": "LFU, half-life 100 tokens",
    "lfu, 1000 tokens": "LFU, half-life 1,000 tokens",
    "fixed from a profile": "fixed from a profile",
    "optimum": "optimum, knowing the future",
}
_TEXTS = {"en": "English text", "ko": "Korean text", "code": "Python code", "in turns": "all three in turns"}


def has(name: str) -> bool:
    """Whether a benchmark of streaming has run."""
    return (RESULTS / f"streaming_{name}.json").exists()


def full(_: Word) -> Table | None:
    """The full-size network from holes: what it takes."""
    if not has("full_scale"):
        return None
    rows = [
        [
            run["stored"].upper(),
            human_bytes(run["checkpoint"]["bytes"]),
            human_bytes(run["checkpoint"]["bytes_on_disk"]),
            run["memory"],
            f"**{run['peak_bytes'] / 2**30:.2f} GiB**",
            f"{run['seconds_to_load']:,.0f} s",
            f"{run['prompt']['seconds']:,.0f} s",
            f"**{run['token']['seconds']:,.1f} s**",
        ]
        for run in result("streaming_full_scale")["runs"]
    ]
    header = ["Stored in", "Bytes", "Takes on the disk", "Memory given", "Peak, as the kernel counts", "Ready after"]
    return [*header, "Prompt of 8 tokens", "A further token"], rows, 1, "streaming_full_scale"


def split(_: Word) -> Table | None:
    """The same runs: what a further token is made of."""
    if not has("full_scale"):
        return None
    rows = []
    for run in result("streaming_full_scale")["runs"]:
        token = run["token"]
        visits = token["hits"] + token["misses"]
        rows.append(
            [
                run["stored"].upper(),
                human_bytes(round(token["bytes_read"])),
                f"{token['seconds_waited']:,.1f} s",
                f"{token['seconds'] - token['seconds_waited']:,.1f} s",
                f"{token['hits'] / visits:.0%}",
                f"{token['guessed_right'] / token['guessed']:.0%}" if token["guessed"] else "",
            ]
        )
    header = ["Stored in", "Read for a token", "Waiting for reads", "Computing", "Experts that were there"]
    return [*header, "Guesses that were right"], rows, 1, "streaming_full_scale"


def peers(word: Word) -> Table | None:
    """Tokens a second at equal memory."""
    if not has("disk"):
        return None

    def speed(value: float | None) -> str:
        return word("out of memory") if value is None else f"{value:.2f}"

    rows = []
    for run in result("streaming_disk")["layouts"]:
        for cap in run["caps"]:
            speeds, over = cap["tokens_per_second"], cap["times_as_fast_as"]
            rows.append(
                [
                    word(run["layout"]),
                    cap["memory"],
                    f"**{speed(speeds['ours'])}**",
                    speed(speeds["mapped"]),
                    speed(speeds["offloaded"]),
                    *(f"{over[way]:.1f}" if over[way] else "" for way in ("mapped", "offloaded")),
                    human_bytes(cap["second_copy_bytes"]) if cap["second_copy_bytes"] else word("none"),
                ]
            )
    header = ["Layout", "Memory given", "Ours, tokens/s", "Mapped", "Transformers' offload"]
    return [*header, "Ours over mapped", "Ours over offload", "Its second copy"], rows, 1, "streaming_disk"


def reading(word: Word) -> Table | None:
    """How fast experts are read, and the disk's own speed."""
    if not has("disk"):
        return None
    found = result("streaming_disk")["reading"]
    rows = []
    for kind, speeds in found["bytes_per_second"].items():
        share = found["over_sequential"].get(kind, {}).values()
        rows.append([word(kind), *(f"{speed / 1e9:.2f} GB/s" for speed in speeds.values())])
        rows[-1].append(f"**{max(share):.0%}**" if share else "")
    threads = next(iter(found["bytes_per_second"].values()))
    header = ["Reading", *(f"{count} in flight" for count in threads), "Best, over the disk's own"]
    return header, rows, 1, "streaming_disk"


def policies(word: Word) -> Table | None:
    """Hit rates by policy and size of the cache, of text in turns; the model of 16 experts is too small for it."""
    if not has("policies"):
        return None
    rows = []
    models = [model for model in result("streaming_policies")["models"] if model["model"].startswith("wide")]
    for model in models:
        rates = model["texts"][-1]["hit_rates"]
        for policy, name in POLICIES.items():
            rows.append([word(MODELS[model["model"]]), word(name), *(f"{one[policy]:.0%}" for one in rates)])
    shares = [f"{one['share']:.0%}" for one in models[0]["texts"][-1]["hit_rates"]]
    return ["Trained model", "Policy", *shares], rows, 2, "streaming_policies"


def guesses(word: Word) -> Table | None:
    """How often the next layers' experts are guessed right, and how uneven visits are."""
    if not has("policies"):
        return None
    rows = [
        [
            word(MODELS[model["model"]]),
            word(_TEXTS[run["text"]]),
            *(f"{run['guessed_right'][ahead]:.0%}" for ahead in ("1", "2")),
            *(f"{run['concentration'][name]:.0%}" for name in ("top 10%", "top 25%", "evenly used")),
        ]
        for model in result("streaming_policies")["models"]
        for run in model["texts"]
    ]
    header = ["Trained model", "Text", "Next layer guessed right", "Two layers ahead"]
    header += ["Visits of the top 10%", "Visits of the top 25%", "Used as if evenly"]
    return header, rows, 2, "streaming_policies"


def curve(_: Word) -> Table | None:
    """Tokens a second against memory, measured and by the model."""
    if not has("curve"):
        return None
    rows = []
    for point in result("streaming_curve")["measured"]:
        by_model = point["the hit rate found"]
        rows.append(
            [
                point["memory"],
                f"{point['share_held']:.0%}",
                human_bytes(point["bytes_read_per_token"]),
                f"**{point['tokens_per_second']:.2f}**",
                f"{by_model['overlapped']:.2f}",
                f"{by_model['one after another']:.2f}",
                f"{point['peak_bytes'] / 2**30:.2f} GiB",
            ]
        )
    header = ["Memory given", "Experts held", "Read for a token", "Tokens/s, measured", "Tokens/s, reading overlapped"]
    return [*header, "Tokens/s, one after another", "Peak, as the kernel counts"], rows, 0, "streaming_curve"


def machines(word: Word) -> Table | None:
    """What a token of the release takes by machine and precision, computed, with all of the machine's memory.

    It has no line that says where it was measured, because it was not.
    """
    if not has("curve"):
        return None
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in result("streaming_curve")["computed"]:
        last[row["machine"], row["stored"]] = row  # the last has the most memory
    rows = []
    for (machine, stored), row in last.items():
        small = row.get("routing of small models")
        rows.append(
            [
                word(machine),
                stored.upper(),
                f"{row['memory_bytes'] / 1e9:,.0f} GB",
                f"{row['share_held']:.1%}",
                human_bytes(row["even routing"]["bytes_read_per_token"]),
                f"**{row['even routing']['seconds_per_token']:.1f} s**",
                f"{small['seconds_per_token']:.1f} s" if small else "",
            ]
        )
    header = ["Computed for", "Stored in", "Memory given", "Experts held", "Read for a token", "A token, even routing"]
    return [*header, "A token, routing of small models"], rows, 2, None


KOREAN |= {f"{share}%": f"{share}%" for share in range(101)}

TABLES: dict[str, Callable[[Word], Table | None]] = {
    function.__name__: function for function in (full, split, peers, reading, policies, guesses, curve, machines)
}
