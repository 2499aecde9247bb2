import pytest
from tokenizers import Regex, pre_tokenizers

from modeling_axk1.tokenizer.vocabulary import BOS, EOS, PAD, PATTERN, SPECIAL_BLOCK, WORDS, special_tokens


def pieces(text: str, pattern: str) -> list[str]:
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return [piece for piece, _ in split.pre_tokenize_str(text)]


def test_the_known_ids_of_the_release_come_out_at_its_vocabulary_size():
    tokens = special_tokens()
    first = 163_840 - SPECIAL_BLOCK
    assert {token: first + tokens.index(token) for token in (BOS, PAD, EOS)} == {
        "<|endoftext|>": 163_691,
        "<|pad|>": 163_692,
        "<|im_end|>": 163_704,
    }
    assert len(set(tokens)) == len(tokens) == SPECIAL_BLOCK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know", ["I", " don't", " know"]),
        ("Apache를 설치한다", ["Apache", "를", " 설치한다"]),
        ("東京で行う。", ["東京で行う", "。"]),
        ("サーバー3台", ["サーバー", "3", "台"]),
        ("año nuevo", ["año", " nuevo"]),
        ("1234567 원", ["123", "456", "7", " 원"]),
        ("if x:\n    return (y)\n\n\tz\n", ["if", " x", ":\n   ", " return", " (", "y", ")\n\n", "\tz", "\n"]),
        ("x\n        y", ["x", "\n       ", " y"]),
        ("'search' (한글) 你好，世界", ["'search", "'", " (", "한글", ")", " 你好", "，世界"]),
        ("a  b", ["a", " ", " b"]),
        ("हिन्दी", ["हिन्दी"]),
        ("_name", ["_name"]),
    ],
)
def test_words_are_learned_from_text_cut_where_the_rules_say(text, expected):
    assert pieces(text, WORDS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know", ["I don't know"]),
        ("할 수 있습니다.", ["할 수 있습니다", "."]),
        ("(of the, and", ["(of the, and"]),
        ("Apache를 설치한다", ["Apache", "를 설치한다"]),
        ("one  two,three. four\nfive", ["one", " ", " two", ",three", ".", " four", "\n", "five"]),
        ("chapter 12 of it", ["chapter", " ", "12", " of it"]),
        ("東京 で行う。", ["東京 で行う", "。"]),
        ("    return self._name(x)", ["   ", " return self", "._", "name", "(x", ")"]),
    ],
)
def test_words_with_one_space_or_a_comma_between_them_are_one_piece_when_text_is_encoded(text, expected):
    assert pieces(text, PATTERN) == expected
