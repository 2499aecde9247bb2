import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.document import Document, Dropped, run_steps
from modeling_axk1.data.mojibake import _PAIR, _SEQUENCE, repair, unreadable
from modeling_axk1.data.steps.normalise import normalise, rules

RIGHT = {
    "ko": "컴퓨터를 켜면 화면에 “환영합니다”라는 말이 나옵니다.\n다음 단계로 넘어가세요… 50 ℃",
    "ja": "パソコンの電源を入れると、「ようこそ」と表示されます。\n次の手順に進んでください…",
    "zh": "打开计算机后，屏幕上会显示“欢迎”。\n請繼續下一步……《手冊》",
    "es": "¿Qué ocurrirá mañana? «El niño comió piñas»\n¡Adiós! Añada una cigüeña…",
    "en": "It’s a naïve café – “fine”… costs £5 or €6\nDéjà vu: 20 °C ± 1 × 2 ¼",
}


def read_wrongly(text: str, table: str) -> str:
    """What a program shows that takes UTF-8 for another table; undefined bytes become control characters."""
    return "".join(bytes([byte]).decode(table, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("table", ["cp1252", "latin-1"])
@pytest.mark.parametrize("language", RIGHT)
def test_utf8_read_by_the_wrong_table_is_turned_back(language, table):
    wrong = read_wrongly(RIGHT[language], table)
    assert repair(wrong) == RIGHT[language]
    assert repair(read_wrongly(wrong, table)) == RIGHT[language]


@pytest.mark.parametrize("language", RIGHT)
def test_right_text_stays_and_can_be_read(language):
    assert repair(RIGHT[language]) == RIGHT[language]
    assert unreadable(RIGHT[language], language) is None


@pytest.mark.parametrize(
    "text",
    [
        "dijo: “¿quieres un CAFÉ»?” y “LA NIÑA”",
        "CORAÇÃO” e “SÃO”",
        "The sign Ã© stands where é was misread.",
        "1 Âµ",
        "naïve",
        "ÃÂ",
        "plain",
        "",
    ],
)
def test_what_may_be_right_stays(text):
    assert repair(text) == text
    assert repair(f"{text}\nEl niño comió aquí, a café”…") == f"{text}\nEl niño comió aquí, a café”…"


@given(st.lists(st.sampled_from([line for text in RIGHT.values() for line in text.split("\n")])))
def test_right_lines_stay_in_any_company(lines):
    assert repair("\n".join(lines)) == "\n".join(lines)


@given(st.text(st.sampled_from("ÃÂâ€é©\x80\x93”… a\n")))
def test_repairing_ends(text):
    repaired = repair(text)
    assert len(repaired) <= len(text)


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("\ufffd\ufffd 안녕 \ufffd", "ko", "undecodable characters (U+FFFD)"),
        ("U+FFFD is shown as \ufffd. " + "right " * 10, "en", None),
        ("한글 문서입니다".encode("euc-kr").decode("latin-1"), "ko", "decoded by the wrong table"),
        ("日本語の文書です".encode("euc-jp").decode("latin-1"), "ja", "decoded by the wrong table"),
        ("简体中文文档".encode("gbk").decode("cp1252", "replace"), "zh", "decoded by the wrong table"),
        ("ÁÉÍÓÚ ñ ü ¿¡", "es", None),
    ],
)
def test_what_cannot_be_read_is_refused(text, language, reason):
    assert unreadable(text, language) == reason


def test_the_step_repairs_before_control_characters_go():
    outcome = run_steps([normalise()], Document(read_wrongly(RIGHT["ko"], "latin-1"), "ko", "s", "1", "f", "MIT"))
    assert isinstance(outcome, Document)
    assert outcome.text == RIGHT["ko"]
    assert outcome.steps == ("normalise",)


def test_the_step_drops_what_cannot_be_read():
    outcome = run_steps([normalise()], Document("\ufffd" * 9, "ko", "s", "1", "f", "MIT"))
    assert isinstance(outcome, Dropped)
    assert outcome.reason == "undecodable characters (U+FFFD)"


def test_every_rule_says_its_limit_and_why():
    assert all(row.keys() == {"rule", "limit", "why"} and all(row.values()) for row in rules())


@given(st.text("ÂÃÏàïðô†â€é©\x80\x93”…a\n"))
def test_no_sequence_stands_where_its_beginning_does_not(text):
    assert _PAIR.search(text) or not _SEQUENCE.search(text)
