"""datatrove's filters, given the same words and limits, are the oracle for what is kept and what is dropped."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.quality.limits import LIMITS, OTHERS, RULES, rules
from modeling_axk1.data.quality.repetition import duplicate_characters, longest, stable_order, top
from modeling_axk1.data.quality.rules import LINE_ENDS, Limits, _paragraphs, _pieces, broken
from modeling_axk1.data.units import units

SAMPLE = Path(__file__).parents[3] / "data_cards" / "sample"
WORDS = re.compile(r"[^\W_]+")
ENGLISH = "The manual of a program says what it does and how to have it do that with little work."
# What the rules exist for, to be mixed into right text.
JUNK = [
    "- item one\n- item two\n" * 12,
    "Read more...\nAnd then...\nSee also…\n" * 9,
    "home\nlogin\ncart\n" * 15,
    "Click here to subscribe to our newsletter today. " * 14,
    "### # ## #### # ##\n" * 12,
    "12 44 61 0 77 1999 - 3 42 1 1 1 0\n" * 10,
    "buy cheap buy cheap buy cheap buy cheap buy cheap buy " * 6,
    "All rights reserved by the company.\n\nAll rights reserved by the company.\n\n" * 5,
    "supercalifragilisticexpialidocious antidisestablishmentarianism " * 40,
    "\n".join(f"entry {number} of a list that goes on and on for ever" for number in range(40)),
    "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3,
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece. " * 4,
]


def words_of(text: str, language: str = "") -> list[str]:
    """The words that units.py hashes, as text."""
    return WORDS.findall(text.casefold())


def documents() -> list[str]:
    """Real pages of the sample, in English and Spanish, and pieces of them with junk in between."""
    pages = [
        document["text"]
        for file in sorted(SAMPLE.glob("*.jsonl"))
        for document in map(json.loads, file.read_text("utf-8").splitlines())
        if document["language"] in ("en", "es")
    ]
    rng = random.Random(11)
    for _ in range(250):
        lines = rng.choice(pages).split("\n")
        start = rng.randrange(len(lines))
        parts = ["\n".join(lines[start : start + rng.randrange(1, 30)]), *rng.sample(JUNK, rng.randrange(1, 3))]
        rng.shuffle(parts)
        pages.append("\n".join(parts))
    return [page for page in pages if words_of(page)]


def datatrove_filters(limits: Limits, monkeypatch) -> list:
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        fineweb_quality_filter,
        gopher_quality_filter,
        gopher_repetition_filter,
    )

    for module in (fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter):
        monkeypatch.setattr(module, "split_into_words", words_of)
    return [
        GopherQualityFilter(
            min_doc_words=limits.min_units,
            max_doc_words=limits.max_units,
            min_avg_word_length=limits.min_mean_length,
            max_avg_word_length=limits.max_mean_length,
            max_symbol_word_ratio=limits.max_symbols,
            max_bullet_lines_ratio=limits.max_bullets,
            max_ellipsis_lines_ratio=limits.max_ellipsis_ends,
            max_non_alpha_words_ratio=limits.min_letters,
            min_stop_words=2 if limits.stop_words else None,
            stop_words=list(limits.stop_words or ()),
        ),
        GopherRepetitionFilter(
            dup_line_frac=limits.max_repeated_lines,
            dup_para_frac=limits.max_repeated_paragraphs,
            dup_line_char_frac=limits.max_repeated_line_characters,
            dup_para_char_frac=limits.max_repeated_paragraph_characters,
            top_n_grams=limits.top,
            dup_n_grams=limits.duplicate,
        ),
        FineWebQualityFilter(
            line_punct_thr=limits.min_line_ends or 0,
            stop_chars=LINE_ENDS,
            short_line_thr=limits.max_short_lines,
            short_line_length=limits.short_line,
            # Gopher's limit on the same characters stands for it.
            char_duplicates_ratio=1,
            new_line_ratio=limits.max_line_breaks,
        ),
    ]


@pytest.mark.parametrize("limits", [Limits(), LIMITS["en"], LIMITS["es"], OTHERS], ids=["papers", "en", "es", "others"])
def test_datatrove_decides_the_same(limits, monkeypatch):
    from datatrove.data import Document

    filters = datatrove_filters(limits, monkeypatch)
    decisions = []
    for text in documents():
        verdicts = [one.filter(Document(text=text, id="")) for one in filters]
        theirs = [verdict[1] for verdict in verdicts if verdict is not True]
        ours = broken(text, limits)
        assert (ours is None) == (not theirs), (ours, theirs, text)
        decisions.append(ours)
    # The set tries both answers and most rules.
    assert 0.1 < sum(one is None for one in decisions) / len(decisions) < 0.9
    assert len(set(decisions)) >= 8


def slow_top(words: list[str], n: int) -> int:
    grams = [" ".join(words[place : place + n]) for place in range(len(words) - n + 1)]
    best = max(grams, key=lambda gram: (grams.count(gram), -grams.index(gram)), default="")
    return len(best) * grams.count(best)


def slow_duplicates(words: list[str], n: int) -> int:
    seen, characters, place = set(), 0, 0
    while place <= len(words) - n:
        gram = tuple(words[place : place + n])
        if gram in seen:
            characters += len("".join(gram))
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40), st.integers(1, 5))
def test_repetition_is_counted_as_the_definition_says(words, n):
    found = units(" ".join(words))
    assert top(found, n, separator=1, limit=0)[1] == slow_top(words, n)
    assert duplicate_characters(found, n, limit=0) == slow_duplicates(words, n)


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40), st.integers(1, 5), st.integers(0, 60))
def test_what_is_within_the_limit_may_be_nought_and_nothing_else(words, n, limit):
    found = units(" ".join(words))
    for count, expected in (
        (top(found, n, separator=1, limit=limit)[1], slow_top(words, n)),
        (duplicate_characters(found, n, limit=limit), slow_duplicates(words, n)),
    ):
        assert count == expected or (count == 0 and expected <= limit)


@given(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40), st.integers(1, 5), st.integers(0, 3))
def test_no_longer_run_stands_there_more_often(words, n, more):
    found = units(" ".join(words))
    assert top(found, n, separator=1, limit=0)[0] * longest(found, n + more, separator=1) >= slow_top(words, n + more)


HASHES = st.integers(0, 3) | st.integers(0, 2**64 - 1) | st.integers(2**63, 2**63 + 9)


@given(st.lists(HASHES, max_size=60), st.integers(1, 4))
def test_equal_hashes_stand_together_in_their_order(hashes, times):
    array = np.array(hashes * times, np.uint64)
    order = stable_order(array).tolist()
    assert sorted(order) == list(range(len(array)))
    groups = [(value, [place for place in order if array[place] == value]) for value in dict.fromkeys(array[order])]
    assert [place for _, places in groups for place in places] == order
    assert all(places == sorted(places) for _, places in groups)


@given(st.text("a\n", max_size=20).map(lambda text: f"x{text}y"), st.text("ab\n", max_size=20))
def test_pieces_are_those_of_the_patterns(inside, text):
    assert _paragraphs(inside) == re.split(r"\n{2,}", inside)
    assert _pieces(text) == re.split(r"\n+", text)


KOREAN = (
    "컴퓨터를 켜면 화면에 첫 화면이 나타나고, 이름과 비밀번"
    "호를 넣으면 일을 시작할 수 있습니다. 바탕 화면 아래쪽"
    "에는 자주 쓰는 프로그램을 모아 둔 막대가 있습니다."
)
JAPANESE = (
    "パソコンの電源を入れると最初の画面が表示され、名前とパスワー"
    "ドを入力すると作業を始めることができます。画面の下には、よく"
    "使うプログラムを集めたバーがあり、そこから起動できます。"
)
CHINESE = (
    "打开计算机以后，屏幕上会出现登录窗口，输入用户名和密码就可"
    "以开始工作。屏幕下方有一个任务栏，里面放着常用的程序，点击"
    "图标即可启动，也可以把自己喜欢的程序添加到任务栏中。"
)


@pytest.mark.parametrize(
    ("language", "text", "reason"),
    [
        ("ko", KOREAN, None),
        ("ja", JAPANESE, None),
        ("zh", CHINESE, None),
        ("ko", KOREAN[:60], "fewer than 60 words or characters"),
        ("zh", "。".join(["点击这里订阅我们的新闻邮件"] * 9), "one run of 4 again and again"),
        ("ja", JAPANESE + "\n" + JAPANESE.replace("。", "！"), "repeated runs of 12"),
        ("zh", CHINESE + "\n" + CHINESE + "\n" + CHINESE, "share of repeated lines"),
        ("ko", "\n".join(f"{chr(0xAC00 + 31 * n)}{chr(0xB098 + 57 * n)}" for n in range(60)), "too many short lines"),
        ("ja", "12-34 56/78 90:12 " * 9 + "あいうえお" * 3, "too few letters"),
        ("en", f"{ENGLISH} lorem ipsum dolor sit amet", "filler text (lorem ipsum)"),
        ("en", "", "empty"),
        ("en", ENGLISH, "fewer than 30 words or characters"),
    ],
)
def test_rules_of_each_language(language, text, reason):
    verdict = broken(text, LIMITS[language])
    if reason in ("one run of 4 again and again", "too few letters"):
        assert verdict is not None
    else:
        assert verdict == reason


def test_every_limit_is_in_the_table_and_explained():
    named = {rule.field for rule in RULES}
    assert set(Limits.__dataclass_fields__) - named == {"separator", "short_line"}
    for row in rules():
        assert set(row) == {"rule", "paper", "why", *LIMITS}
        assert all(row.values())


def test_a_large_document_is_judged(monkeypatch):
    rng = np.random.default_rng(1)
    text = "\n".join(" ".join(map(str, rng.integers(0, 10**9, 8))) for _ in range(3000))
    assert broken(text, LIMITS["en"]) == "too few words with a letter"
