import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.document import Document, Drop
from modeling_axk1.data.steps.language import count_scripts, language, rules, verdict

SAMPLE = Path(__file__).parents[3] / "data_cards" / "sample"
TEXTS = {
    "ko": "컴퓨터를 켜면 화면에 첫 화면이 나타나고, 이름과 비밀번호를 넣으면 일을 시작할 수 있습니다.",
    "ja": "パソコンの電源を入れると最初の画面が表示され、名前とパスワードを入力すると作業を始めることができます。",
    "zh": "打开计算机以后，屏幕上会出现登录窗口，输入用户名和密码就可以开始工作。請繼續下一步的設定。",
    "es": (
        "Al encender el equipo aparece la primera pantalla; escriba su nombre y su contraseña para empezar a trabajar."
    ),
    "en": "When you turn the computer on, the first screen appears; type your name and your password to begin to work.",
    "fr": (
        "Quand vous allumez l’ordinateur, le pre"
        "mier écran apparaît ; tapez votre nom e"
        "t votre mot de passe pour commencer."
    ),
}


@pytest.mark.parametrize("claimed", ["ko", "ja", "zh", "es", "en"])
@pytest.mark.parametrize("written", TEXTS)
def test_a_text_stays_in_its_own_language_only(claimed, written):
    assert (verdict(TEXTS[written], claimed) is None) == (claimed == written)


@pytest.mark.parametrize("claimed", ["ko", "ja", "zh"])
def test_commands_and_names_in_latin_script_do_not_count_for_much(claimed):
    mixed = f"{TEXTS[claimed]}\n\n$ sudo apt-get install --no-install-recommends build-essential\n\n{TEXTS[claimed]}"
    assert verdict(mixed, claimed) is None


@pytest.mark.parametrize("claimed", ["ko", "ja", "zh"])
def test_a_page_that_nobody_translated_is_dropped(claimed):
    page = f"{TEXTS[claimed][:20]}\n\n" + TEXTS["en"] * 4
    assert verdict(page, claimed) == "less than 25% is written in the script of its language"


@pytest.mark.parametrize("text", ["", "OK", "ls -l /usr", "네", "確認"])
@pytest.mark.parametrize("claimed", ["ko", "ja", "zh", "es", "en"])
def test_a_text_too_short_to_tell_stays(text, claimed):
    assert verdict(text, claimed) is None


def test_programs_have_no_language_of_this_kind():
    document = Document(TEXTS["ko"], "code", "source", "1", "file", "MIT")
    assert language().decide(document) is document
    assert isinstance(language().decide(Document(TEXTS["ko"], "en", "source", "1", "file", "MIT")), Drop)


def test_real_manuals_are_rarely_taken_for_another_language():
    documents = [json.loads(line) for file in SAMPLE.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    documents = [one for one in documents if one["language"] != "code"]
    dropped = [one for one in documents if verdict(one["text"], one["language"])]
    assert len(documents) > 200
    # Pages of the handbook that are commands or English from end to end.
    assert len(dropped) <= 0.02 * len(documents)
    for claimed, written in (("en", "es"), ("es", "en"), ("zh", "ja"), ("ja", "zh"), ("ko", "ja"), ("zh", "ko")):
        texts = [one["text"] for one in documents if one["language"] == written]
        assert sum(verdict(text, claimed) is None for text in texts) <= 0.03 * len(texts)


def test_rules_name_their_limit_and_the_reason():
    assert all(row.keys() == {"rule", "limit", "why"} and all(row.values()) for row in rules())


@given(st.text() | st.text("aZ[zÀ×÷öøɏɐ가힣ぁヿ㐀一鿿䷀𠮷"))
def test_scripts_are_counted_as_the_patterns_say(text):
    patterns = {"hangul": "[가-힣]", "kana": "[ぁ-ヿ]", "han": "[㐀-䶿一-鿿]", "latin": "[A-Za-zÀ-ÖØ-öø-ɏ]"}
    assert count_scripts(text) == {name: len(re.findall(pattern, text)) for name, pattern in patterns.items()}
