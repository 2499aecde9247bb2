import json

import pytest

from modeling_axk1.data.read import read_jsonl, read_text_folder
from modeling_axk1.errors import DataError
from tests.data.recipes import document


def test_json_lines_become_documents(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(document("글")) + "\n\n" + json.dumps(document("two")) + "\n", encoding="utf-8")
    assert [one.text for one in read_jsonl(path)] == ["글", "two"]


def test_bytes_that_are_not_utf8_are_placed_by_their_offset_in_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    first = json.dumps(document("fine")).encode() + b"\n"
    path.write_bytes(first + b'{"text": "\xff"}\n')
    with pytest.raises(DataError, match=rf"a\.jsonl: not UTF-8 at byte {len(first) + 10}$"):
        list(read_jsonl(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "cut', "line 2: not JSON"),
        ("[1]", "line 2: must be a JSON object, got list"),
        (json.dumps({"text": "x"}), "line 2: missing field 'language'"),
        (json.dumps(document("x") | {"license": None}), "line 2: field 'license' must be a string, got None"),
        (json.dumps(document("x") | {"colour": "red"}), "line 2: unknown field 'colour'"),
        (json.dumps(document("\ud800")), "line 2: field 'text' holds half a surrogate pair"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(document("fine")) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read_jsonl(path))
    assert f"a.jsonl, {message}" in str(caught.value)


def test_a_folder_of_text_files_is_read_in_the_order_of_its_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_text("하나", encoding="utf-8")
    (tmp_path / "a.txt").write_text("둘", encoding="utf-8")
    (tmp_path / "b" / "more.jsonl").write_text('{"text": "셋"}\n\n{"text": "넷"}\n', encoding="utf-8")
    (tmp_path / "ignored.md").write_text("# no", encoding="utf-8")
    documents = list(read_text_folder(tmp_path, "ko", "Apache-2.0"))
    assert [(one.source_file, one.text) for one in documents] == [
        ("a.txt", "둘"), ("b/more.jsonl:1", "셋"), ("b/more.jsonl:3", "넷"), ("b/one.txt", "하나"),
    ]  # fmt: skip
    assert {(one.source, one.language, one.license) for one in documents} == {(tmp_path.name, "ko", "Apache-2.0")}


def test_a_folder_without_text_files_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.txt or \.jsonl files in"):
        list(read_text_folder(tmp_path, "ko", "Apache-2.0"))


def test_a_line_of_a_folder_says_its_text_alone(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "license": "MIT"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: unknown field 'license'"):
        list(read_text_folder(tmp_path, "ko", "Apache-2.0"))
