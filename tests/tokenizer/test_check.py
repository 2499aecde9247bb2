import json
import shutil

import pytest

from modeling_axk1.errors import TokenizerError
from modeling_axk1.tokenizer.check import check


@pytest.fixture
def copied(trained, tmp_path):
    """A sound tokenizer to spoil."""
    return shutil.copytree(trained[0], tmp_path / "tokenizer", ignore=shutil.ignore_patterns("siblings"))


def spoil(folder, change):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def test_what_was_trained_is_sound_and_its_siblings_are_prefixes(trained):
    found = check(trained[0], trained[0] / "siblings" / "1024")
    assert list(found) == ["vocabulary", "special tokens", "lossless", "escapes", "transformers", "sibling"]
    assert not any(found.values())


def test_everything_that_is_wrong_is_said(copied, trained):
    def change(content):
        content["normalizer"] = None
        merges = content["model"]["merges"]
        merges[5], merges[6] = merges[6], merges[5]
        by_name = {token["content"]: token for token in content["added_tokens"]}
        by_name["<|im_end|>"]["id"], by_name["<|pad|>"]["id"] = by_name["<|pad|>"]["id"], by_name["<|im_end|>"]["id"]
        by_name["<think>"]["special"] = True
        by_name["</think>"]["normalized"] = True
        content["added_tokens"].sort(key=lambda token: token["id"])

    spoil(copied, change)
    found = check(copied, trained[0] / "siblings" / "1024")
    first = 4096 - 149
    assert found["special tokens"] == [
        f"<|pad|> must be {first + 1}, got {first + 13}",
        "<think> must not be special",
        "</think> must be found as it stands: normalized, lstrip and rstrip false",
        f"<|im_end|> must be {first + 13}, got {first + 1}",
    ]
    assert found["escapes"][0] == "the normalizer must undo the template's escapes, and do nothing else"
    assert found["escapes"][1].startswith("escaped text must have the ids of the text: ")
    assert found["sibling"] == [
        "siblings must have the same normalizer",
        "the merges of the smaller must be the first 619 of the larger",
    ]
    assert found["transformers"][0].startswith("a rendered chat must have the ids of our encoder")


def test_a_template_that_lets_users_write_turns_is_found_and_a_size_that_is_no_multiple_of_128(copied):
    template = copied / "chat_template.jinja"
    template.write_text(template.read_text("utf-8").replace(r"\ufdd0", ""), "utf-8")

    def change(content):
        last = content["model"]["merges"].pop()
        del content["model"]["vocab"]["".join(last)]
        for token in content["added_tokens"]:
            token["id"] -= 1

    spoil(copied, change)
    found = check(copied)
    assert found["vocabulary"] == ["the number of entries must be a multiple of 128, got 4095"]
    assert len(found["transformers"]) == 4
    assert found["transformers"][0].startswith("the template must render what Python renders: ")


def test_a_folder_that_transformers_cannot_load_says_why(copied):
    (copied / "tokenizer_config.json").write_text("{")
    assert check(copied)["transformers"][0].startswith("transformers alone must load it: ")


def test_the_command_lists_what_is_wrong_and_exits_1(copied, run_axk1, tmp_path):
    spoil(copied, lambda content: content.update(normalizer=None))
    wrong = run_axk1("tokenizer", "check", copied)
    assert wrong.returncode == 1
    assert "vocabulary: ok" in wrong.stdout
    assert "  the normalizer must undo the template's escapes, and do nothing else" in wrong.stdout
    assert wrong.stderr.endswith("things are wrong with the tokenizer\n")
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        check(tmp_path / "nowhere")
