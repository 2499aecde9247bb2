"""The results behind a card."""

import json
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.result_file import read_results

MADE = {
    "command": "axk1 train pretrain --seed 3",
    "settings": {"seed": 3},
    "machine": {"system": "Linux", "cpu": "A CPU", "cores": 2, "memory_gib": 23.5},
    "versions": {"torch": "2.13.0", "axk1": "0.1.0"},
    "commit": "8c36418e4f9e513c6a7762a24faee1ab17f1ebe1",
    "measured": {"bits_per_byte": 2.1903, "tokens": 901120},
    "losses": [3.0, 2.0, 1.0],
}
REPORTED = {
    "publisher": "SK Telecom",
    "sources": {"readme": "README of the published model"},
    "reported": {"models": ["A.X K1", "Other"], "thinking": {"KMMLU": [80.2, 76.5]}},
}
CARD = """---
model-index:
- name: nano
  results:
  - task: {type: text-generation}
    dataset: {type: local/corpus, name: corpus}
    metrics:
    - {type: bits_per_byte, value: 2.1903}
    - {type: made_up, value: 77.7}
---
# nano

[2.190](results/train.json "/measured/bits_per_byte") on [901,120](results/train.json "/measured/tokens") tokens,
[9.99](results/train.json "/measured/bits_per_byte"), [1](results/train.json "/measured/no"),
[61](config.json "/layers").
"""


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


def section_of(page: str, path: str) -> str:
    """The part of the page about one file."""
    return text_of(re.search(rf"<h3[^>]*><bdi>{re.escape(path)}</bdi></h3>(.*?)</section>", page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def page(pages):
    pages.add(
        "team/nano",
        {
            "README.md": CARD,
            "config.json": '{"layers": 61}',
            "results/train.json": json.dumps(MADE),
            "results/reported.json": json.dumps(REPORTED),
            "results/plan.json": json.dumps(
                {"command": "axk1 hub export --plan", "counted": {"parameters": 518_983_059_456}}
            ),
            "results/notes.json": '{"other": 5}',
            ".eval_results/validation.yaml": "- dataset: {id: local/corpus, task_id: validation}\n  value: 2.1903\n",
        },
    )
    return pages.page("/team/nano/results/main")


def test_what_was_measured_says_how_and_where(page):
    said = section_of(page, "results/train.json")
    assert "Measured here" in said
    for fact in (
        "axk1 train pretrain --seed 3",
        "A CPU, Linux, 2 cores, 23.5 GiB",
        "torch 2.13.0",
        "Seed 3",
        MADE["commit"],
        "bits_per_byte 2.1903",
        "tokens 901,120",
    ):
        assert fact in said
    assert 'href="/team/nano/resolve/main/results/train.json"' in page


def test_what_others_report_is_kept_apart_and_called_theirs(page):
    said = section_of(page, "results/reported.json")
    assert said.startswith("Reported by SK Telecom, not measured here")
    assert "Measured here" not in said
    assert "README of the published model" in said
    assert "Name A.X K1 Other KMMLU 80.2 76.5" in said


def test_what_was_only_counted_is_not_called_measured(page):
    said = section_of(page, "results/plan.json")
    assert said.startswith("Counted, not measured")
    assert "parameters 518,983,059,456" in said


def test_a_file_that_does_not_say_where_it_comes_from_is_said_not_to(page):
    assert "does not say which command" in section_of(page, "results/notes.json")


def test_figures_of_the_card_are_compared_with_the_files_they_name(page):
    rows = [text_of(row) for row in re.findall(r"<tr><td class=\"number\">.*?</tr>", page, re.DOTALL)]
    told = set(rows)
    assert "2.190 2.1903 agrees results/train.json /measured/bits_per_byte" in told
    assert "901,120 901,120 agrees results/train.json /measured/tokens" in told
    assert "61 61 agrees config.json /layers" in told
    assert "9.99 2.1903 differs results/train.json /measured/bits_per_byte" in told
    assert "1 not in the file results/train.json /measured/no" in told
    said = text_of(page)
    assert "Agree with their file: 3 Differ from their file: 1 Not in the file they name: 1" in said


def test_what_is_stated_for_machines_is_looked_for_in_the_results(page):
    said = text_of(page.partition("Stated for machines</h3>")[2])
    assert "bits_per_byte 2.1903 README.md results/train.json /measured/bits_per_byte" in said
    assert "made_up 77.7 README.md in no results file here" in said
    assert "2.1903 .eval_results/validation.yaml results/train.json /measured/bits_per_byte" in said


def test_a_dataset_shows_its_statistics(pages):
    stats = {
        "kept": {"documents": 277},
        "by_language": {"ko": {"train": {"bytes": 5}}, "en": {"train": {"bytes": 1234}}},
    }
    pages.add("team/corpus", {"stats.json": json.dumps(stats)}, kind="datasets")
    said = section_of(pages.page("/datasets/team/corpus/results/main"), "stats.json")
    assert "documents 277" in said
    assert "Name train/bytes ko 5 en 1,234" in said


def test_a_repository_without_results_says_how_to_add_them(pages):
    pages.add("team/none", {"README.md": "# None\n"})
    page = pages.page("/team/none/results/main")
    assert "holds no results" in page
    assert "results/NAME.json" in page


HOSTILE = {
    "no json": "{",
    "a key twice": '{"a": 1, "a": 2}',
    "deep": '{"measured": ' + '{"a":' * 800 + "1" + "}" * 801,
    "lists in lists": '{"measured": ' + "[" * 900 + "]" * 900 + "}",
    "a long key": '{"measured": {"' + "k" * 100_000 + '": 1}}',
    "a long number": '{"seed": ' + "9" * 4000 + ', "measured": {"n": ' + "9" * 4000 + "}}",
    "infinite": '{"measured": {"n": 1e999}}',
    "many": json.dumps({"measured": {str(number): number for number in range(30_000)}}),
    "many parts": json.dumps({str(number): {"a": number} for number in range(10_000)}),
    "other types": '{"command": {"a": 1}, "machine": [1], "versions": 5, "commit": [], "seed": {}, "settings": 1, '
    '"measured": [[1]], "reported": {"models": 5}, "publisher": {"x": 1}, "sources": "x", "inputs": []}',
    "half a character": '{"command": "\\ud800", "measured": {"\\udfff": "\\ud800"}}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_of_results_makes_a_small_page(pages, content):
    pages.add("team/evil", {"results/x.json": content, "README.md": '[1](results/x.json "/measured/n")\n' * 1000})
    assert len(pages.page("/team/evil/results/main")) < 1_000_000


@pytest.mark.parametrize(
    "card",
    [
        "[" * 200_000,
        '[1](a.json "/' * 20_000,
        "---\nmodel-index: &a [*a]\n---\n",
        "---\nmodel-index: [{results: [{metrics: [{value: 0x" + "f" * 5000 + "}]}]}]\n---\n",
        "---\nmodel-index: 5\n---\n",
    ],
    ids=range(5),
)
def test_a_hostile_card_makes_a_small_page(pages, card):
    pages.add("team/wicked", {"README.md": card, ".eval_results/x.yaml": "- &a {value: *a, dataset: 5}\n- [*a]\n"})
    assert len(pages.page("/team/wicked/results/main")) < 200_000


PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
ANY = st.recursive(PLAIN, lambda it: st.lists(it, max_size=4) | st.dictionaries(st.text(max_size=3), it, max_size=4))
KEYS = st.sampled_from(["measured", "counted", "reported", "models", "settings", "machine", "seed", "publisher", "x"])


@given(st.dictionaries(KEYS, ANY | st.dictionaries(KEYS, ANY)))
def test_any_json_is_read(document):
    found = read_results("results/x.json", json.dumps(document).encode())
    assert found.problem is None
    for section in found.sections:
        assert all(len(row) == len(section.rows[0]) for row in section.rows)
        assert all(isinstance(cell, str) for row in section.rows for cell in row)
