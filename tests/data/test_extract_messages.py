"""Catalogues and language packs: short strings that are put together to texts."""

import json
import re
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.joined import clean_string, join_strings
from modeling_axk1.errors import DataError

HEADER = "Content-Type: text/plain; charset=UTF-8\n"


def catalogue(messages: dict[str, str], header: str = HEADER, order: str = "<", charset: str = "utf-8") -> bytes:
    """A compiled catalogue, as msgfmt writes it."""
    pairs = [(b"", header.encode())] + [(key.encode(charset), value.encode(charset)) for key, value in messages.items()]
    start, tables, strings = 28 + 16 * len(pairs), [[], []], b""
    for side, table in enumerate(tables):
        for pair in pairs:
            table.append(struct.pack(f"{order}2I", len(pair[side]), start + len(strings)))
            strings += pair[side] + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(tables[0]) + b"".join(tables[1]) + strings


def texts(format, name, data):
    return ["\n\n".join(block.text for block in text.blocks) for text in EXTRACTORS[format](name, data)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_catalogue_gives_its_translations_in_file_order(order):
    messages = {"b": "둘째 문장입니다.", "a": "첫째 문장입니다."}
    assert texts("gettext", "ko.mo", catalogue(messages, order=order)) == ["둘째 문장입니다.\n첫째 문장입니다."]


def test_untranslated_messages_are_left_out_whatever_their_form():
    messages = {
        "Not translated at all, sorry": "Not translated at all, sorry",
        "Nothing here": "",
        "menu\x04Save the file now": "Save the file now",
        "%d file\0%d files": "파일 %d개를 지웠습니다.\0%d files",
        "Done": "모두 마쳤습니다.",
    }
    assert texts("gettext", "ko.mo", catalogue(messages)) == ["파일 %d개를 지웠습니다.\n모두 마쳤습니다."]


def test_a_catalogue_is_read_in_the_character_set_it_declares_or_not_at_all():
    header = HEADER.replace("UTF-8", "EUC-KR")
    data = catalogue({"a": "한국어 문장입니다."}, header, charset="euc-kr")
    assert texts("gettext", "ko.mo", data) == ["한국어 문장입니다."]
    with pytest.raises(DataError, match=r"ko\.mo: not UTF-8 at byte 0"):
        texts("gettext", "ko.mo", catalogue({"a": "한국어 문장입니다."}, charset="euc-kr"))
    with pytest.raises(DataError, match=r"ko\.mo: a catalogue must name its character set"):
        texts("gettext", "ko.mo", catalogue({"a": "한국어"}, header="Language: ko\n"))


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=200), st.binary(max_size=8))
def test_a_damaged_catalogue_is_refused_or_read_but_never_crashes(place, damage):
    whole = catalogue({"a": "한국어 문장입니다.", "b": "둘째 문장입니다."})
    for data in (whole[:place], whole[:place] + damage + whole[place + len(damage) :]):
        with suppress(DataError):
            list(EXTRACTORS["gettext"]("ko.mo", data))


def test_a_translators_catalogue_gives_what_is_translated_for_certain():
    catalogue = """msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\n"

# a note
#: tale.txt:1
msgctxt "hero"
msgid "Where is the key to the old tower?"
msgstr "오래된 탑의 열쇠는 "
"어디에 \\"숨겨져\\" 있습니까?"

#, fuzzy
msgid "The goblins took it away from me."
msgstr "고블린이 나에게 무엇인가 가져왔습니다."

msgid "%d dragon sleeps in the cave."
msgid_plural "%d dragons sleep in the cave."
msgstr[0] "동굴에서 용 %d마리가 잠을 자고 있습니다."

msgid "The name of the wind is Empyrean."
msgstr "The name of the wind is Empyrean."

#~ msgid "Nobody lives here any more."
#~ msgstr "이제 여기에는 아무도 살지 않습니다."
"""
    (made,) = EXTRACTORS["gettext-source"]("ko.po", catalogue.encode())
    assert made.blocks[0].text == (
        '오래된 탑의 열쇠는 어디에 "숨겨져" 있습니까?\n동굴에서 용 %d마리가 잠을 자고 있습니다.'
    )


def test_language_packs_in_json_give_the_messages_and_neither_keys_nor_notices():
    pack = {
        "": ["Copyright (c) Somebody, all rights reserved."],
        "@metadata": {"authors": "Somebody who translated it"},
        "contents": {"a/b": {"key": "파일을 열 수 없습니다."}, "c": {"key": "다시 시도하십시오.", "number": 3}},
    }
    data = json.dumps(pack, ensure_ascii=False).encode()
    assert texts("json-strings", "ko.json", data) == ["파일을 열 수 없습니다.\n다시 시도하십시오."]


def test_language_packs_in_javascript_give_their_strings():
    script = 'var content = [\n\tundefined,\n\t"파일 \\"{0}\\"을(를) 열 수 없습니다.",\n\t"확인"];'
    assert texts("javascript-strings", "main.js", script.encode()) == ['파일 "{0}"을(를) 열 수 없습니다.']


def test_properties_give_their_messages_with_escapes_resolved():
    text = (
        "# comment\n! comment\nkey.one=\\ud55c\\uad6d\\uc5b4 문장입니다.\n"
        "key\\:two = 긴 문장이 두 줄에 \\\n    걸쳐 있습니다.\\n새 줄입니다.\nempty=\n"
        "days={{plural:%n%|one=하루|other=%n%일}} 뒤에 다시 오십시오.\n"
    )
    assert texts("properties", "ko.properties", text.encode()) == [
        "한국어 문장입니다.\n\n긴 문장이 두 줄에 걸쳐 있습니다.\n새 줄입니다.\n\n%n%일 뒤에 다시 오십시오."
    ]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("파일(_F)", "파일"),
        ("다른 이름으로 저장(&A)...", "다른 이름으로 저장..."),
        ("_Open the file", "Open the file"),
        ("&Guardar como", "Guardar como"),
        ("Salt & pepper, snake_case, file_%d, &1", "Salt & pepper, snake_case, file_%d, &1"),
        ("Salt &amp; pepper &lt;%s&gt; &unknown;", "Salt & pepper <%s> &unknown;"),
        ("<b>굵은</b> 글씨<br/>", "굵은 글씨"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_interface_strings_lose_their_markup_and_access_keys(raw, clean):
    assert clean_string(raw) == clean


def test_labels_and_repeated_strings_are_left_out():
    strings = ["파일", "Open", "파일을 열 수 없습니다.", "파일을 열 수 없습니다."]
    (text,) = join_strings(strings)
    assert text.blocks[0].text == "파일을 열 수 없습니다."


def qt_catalogue(messages: dict[str, list[str]]) -> bytes:
    """A compiled catalogue of Qt, as lrelease writes it: a text to its translation, or to one for each plural form."""

    def field(tag: int, value: bytes) -> bytes:
        return struct.pack(">BI", tag, len(value)) + value

    section = b""
    for text, translations in messages.items():
        section += b"".join(field(3, one.encode("utf-16-be")) for one in translations)
        section += field(8, b"") + field(6, text.encode()) + field(7, b"Window") + b"\x01"
    magic = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
    return magic + field(0xA7, b"ko") + field(0x42, bytes(8)) + field(0x69, section)


def test_a_catalogue_of_qt_gives_its_translations_in_file_order():
    messages = {"b": ["둘째 문장입니다."], "%n files": ["파일 %n개를 지웠습니다.", "파일들을 모두 지웠습니다."]}
    messages["Nobody translated this"] = ["Nobody translated this"]
    assert texts("qt", "ko.qm", qt_catalogue(messages)) == [
        "둘째 문장입니다.\n파일 %n개를 지웠습니다.\n파일들을 모두 지웠습니다."
    ]


def test_a_text_that_is_not_there_has_no_length_in_a_catalogue_of_qt():
    data = qt_catalogue({"a": ["첫째 문장입니다."]})
    empty = struct.pack(">BI", 3, 0xFFFFFFFF) + b"\x01"
    at = data.index(struct.pack(">B", 0x69)) + 1
    (length,) = struct.unpack_from(">I", data, at)
    data = data[:at] + struct.pack(">I", length + len(empty)) + data[at + 4 :] + empty
    assert texts("qt", "ko.qm", data) == ["첫째 문장입니다."]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (b"\x03\x00\x00\x00\x02\xd8\x00\x01", "ko.qm: not utf-16-be at byte 0"),
        (b"\x2a\x00\x00\x00\x00\x01", "ko.qm: a message has an unknown field 42"),
        (b"\x03\x00\x00\x00\x09ab", "ko.qm: the catalogue is cut off"),
        (b"\x03\x00", "ko.qm: the catalogue is cut off"),
    ],
)
def test_a_broken_catalogue_of_qt_is_refused(section, problem):
    data = qt_catalogue({})[:-5] + struct.pack(">BI", 0x69, len(section)) + section
    with pytest.raises(DataError, match=re.escape(problem)):
        texts("qt", "ko.qm", data)


@given(st.integers(min_value=0, max_value=200), st.binary(max_size=8))
def test_a_damaged_catalogue_of_qt_is_refused_or_read_but_never_crashes(place, damage):
    whole = qt_catalogue({"a": ["한국어 문장입니다."], "b": ["둘째 문장입니다."]})
    with suppress(DataError):
        texts("qt", "ko.qm", whole[:place] + damage + whole[place + len(damage) :])


@settings(deadline=None)
@given(st.lists(st.text(alphabet="가나다라 ab", min_size=20, max_size=400), max_size=120))
def test_joined_texts_are_numbered_and_never_much_longer_than_they_should_be(strings):
    made = list(join_strings(strings))
    assert [text.part for text in made] == [str(number) for number in range(1, len(made) + 1)]
    assert all(len(text.blocks[0].text.encode()) <= 8_000 + 2 * len(strings) for text in made)
    lines = [line for text in made for line in text.blocks[0].text.split("\n")]
    assert len(lines) == len(set(lines))
