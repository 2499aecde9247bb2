"""The tables and the plot of the page about the tokenizer, from the report and from the rules' benchmark."""

from collections.abc import Callable
from typing import Any

from results import Table, Word, result

from modeling_axk1.tokenizer.plot import LABEL, figure_of

KOREAN = {
    "Register": "글의 갈래",
    "Ours, tokens per byte": "이 토크나이저, 바이트당 토큰",
    "o200k_base": "o200k_base",
    "Best of the others": "가장 나은 다른 토크나이저",
    "Ours over o200k_base": "이 토크나이저/o200k_base",
    "Ours over the best": "이 토크나이저/가장 나은 것",
    "mean": "평균",
    "chat": "대화",
    "code": "프로그램",
    "essays": "글",
    "interface strings": "화면 문구",
    "law": "법",
    "manuals": "설명서",
    "mathematics": "수학",
    "narrative": "이야기",
    "Tokenizer": "토크나이저",
    "Entries": "항목 수",
    "Encodes, over ours": "인코딩, 이 토크나이저의 몇 배",
    "Decodes, over ours": "디코딩, 이 토크나이저의 몇 배",
    "Changed": "바꾼 것",
    "words as chosen": "고른 대로, 낱말만",
    "line breaks without the indentation behind them": "줄바꿈 뒤 들여쓰기를 떼어 냄",
    "before Hangul a space alone": "한글 앞에는 공백만",
    "before Chinese and kana a space alone": "한자와 가나 앞에는 공백만",
    "Hangul with other letters": "한글과 다른 글자를 함께",
    "all scripts together": "모든 글자를 함께",
    "kana and Chinese characters apart": "가나와 한자를 따로",
    "a sign behind Chinese and kana": "한자와 가나 뒤 부호를 함께",
    "a sign behind Hangul": "한글 뒤 부호를 함께",
    "English endings by themselves": "영어 줄임꼴을 따로",
    "words cut at capitals": "대문자에서 자름",
    "digits one by one": "숫자를 하나씩",
    "digits in pairs": "숫자를 둘씩",
    "digits with the space before them": "숫자를 앞 공백과 함께",
    "With superwords": "여러 낱말까지",
    "Words alone": "낱말만",
    "With over without": "여러 낱말까지/낱말만",
    "Words alone over the best": "낱말만/가장 나은 다른 것",
    "superwords as chosen": "고른 대로, 여러 낱말까지",
    "a twentieth of superwords": "여러 낱말을 20분의 1로",
    "a fifth of superwords": "여러 낱말을 5분의 1로",
    "superwords over spaces alone": "여러 낱말을 공백으로만 이음",
    "superwords over hyphens and apostrophes too": "여러 낱말을 붙임표와 작은따옴표로도 이음",
    LABEL: ("학습하지 않은 텍스트의 바이트당 토큰: 이 토크나이저(점), 다른 토크나이저(막대). 적을수록 좋음"),
}


def report(word: Word) -> Table:
    """Tokens per byte of unseen sources, by language and register, and each language's mean."""
    measured = result("tokenizer_report")
    rows = []
    for language, mean in measured["languages"].items():
        for row in measured["rows"]:
            if row["language"] == language and row["unseen"]:
                rows.append([language, word(row["register"]), *_ratios(row)])
        rows.append([f"**{language}**", f"**{word('mean')}**", *_ratios(mean)])
    header = ["Language", "Register", "Ours, tokens per byte", "o200k_base", "Best of the others"]
    return [*header, "Ours over o200k_base", "Ours over the best"], rows, 2, "tokenizer_report"


def speed(word: Word) -> Table:
    """Encoding and decoding of every tokenizer as a multiple of ours, each with its library's own threads."""
    measured = result("tokenizer_report")
    ours = measured["speed"]["ours"]
    rows = [
        [
            name,
            f"{measured['entries'][name]:,}",
            *(f"{one[way] / ours[way]:.2f}" for way in ("encode_mb_per_s", "decode_mb_per_s")),
        ]
        for name, one in measured["speed"].items()
        if name != "ours"
    ]
    return ["Tokenizer", "Entries", "Encodes, over ours", "Decodes, over ours"], rows, 1, "tokenizer_report"


def rules(word: Word) -> Table:
    """Percent more tokens by language when one rule is another."""
    runs = result("tokenizer_pretokenizer")["runs"]
    languages = list(runs[0]["tokens_per_byte"])
    rows = [
        [word(run["variant"]), *(f"{run['percent_more_tokens'][language]:+.1f} %" for language in languages)]
        for run in runs[1:]
    ]
    return ["Changed", *languages], rows, 1, "tokenizer_pretokenizer"


def superwords(word: Word) -> Table:
    """Each language's mean with superwords and without, at the release's size, trained on the same text."""
    ours, alone = result("tokenizer_report"), result("tokenizer_report_words")
    rows = []
    for language in ours["languages"]:
        ratios = [one["languages"][language]["tokens_per_byte"]["ours"] for one in (ours, alone)]
        best = alone["languages"][language]["over_best_peer"]
        rows.append([language, *(f"{ratio:.4f}" for ratio in ratios), f"{ratios[0] / ratios[1]:.2f}", f"{best:.2f}"])
    header = ["Language", "With superwords", "Words alone", "With over without", "Words alone over the best"]
    return header, rows, 1, "tokenizer_report_words"


def plot(pyplot: Any, word: Word, ink: str, ours: str, other: str) -> Any:
    """Draw one line per language: ours among the others."""
    return figure_of(result("tokenizer_report"), pyplot, word(LABEL), ink, ours, other)


def _ratios(row: dict[str, Any]) -> list[str]:
    ratio, best = row["tokens_per_byte"], row["best_peer"]
    over = row["over_best_peer"]
    return [
        f"{ratio['ours']:.4f}",
        f"{ratio['o200k_base']:.4f}",
        f"{best} {ratio[best]:.4f}",
        f"{row['over_o200k_base']:.2f}",
        f"**{over:.2f}**" if over <= 1 else f"{over:.2f}",
    ]


TABLES: dict[str, Callable[[Word], Table]] = {
    "report": report,
    "speed": speed,
    "rules": rules,
    "superwords": superwords,
}
