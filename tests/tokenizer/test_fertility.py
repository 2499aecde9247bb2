from tokenizers import Tokenizer, models, pre_tokenizers

from modeling_axk1.data.document import Document
from modeling_axk1.tokenizer.fertility import Fertility, measure_fertility


def test_tokens_per_byte_counts_bytes_of_utf8_by_language():
    one_token_per_word = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    one_token_per_word.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    documents = [
        Document(text, language, "source", "1", "file", "MIT")
        for text, language in [("한글 글자", "ko"), ("two words", "en"), ("three", "en")]
    ]
    assert measure_fertility(one_token_per_word, documents) == {
        "all": Fertility(5, 27, 0.1852),
        "en": Fertility(3, 14, 0.2143),
        "ko": Fertility(2, 13, 0.1538),
    }
