"""Formats of pages that are no markup of elements."""

import io
import json
import zipfile

import pytest

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block, Text


def blocks(format: str, name: str, text: str) -> list[str]:
    (made,) = EXTRACTORS[format](name, text.encode())
    return [block.text for block in made.blocks]


def test_restructured_text_loses_its_markup_and_keeps_what_a_reader_sees():
    page = """.. SPDX-License-Identifier: GPL-2.0
.. _label:

=====
Title
=====

.. toctree::
   :maxdepth: 2

   other

.. note:: Mind ``this``.
   It goes on.

See :ref:`the other page <label>`, :c:func:`kmalloc()` and `a
link <https://example.com>`_ for example::

   code stays
     as it is

.. code-block:: c
   :linenos:

   int x;

.. comment that
   nobody reads
End."""
    (made,) = EXTRACTORS["restructured-text"]("a.rst", page.encode())
    assert [block.text for block in made.blocks] == [
        "Title",
        "Mind this.\n   It goes on.",
        "See the other page, kmalloc() and a\nlink for example:",
        "   code stays\n     as it is",
        "   int x;",
        "End.",
    ]
    assert made.license == "GPL-2.0-only"


def test_restructured_text_without_a_licence_has_its_package_s():
    assert EXTRACTORS["restructured-text"]("a.rst", b"Text.")[0].license is None


def test_pod_paragraphs_lose_their_formats_and_listings_stay():
    page = """=encoding utf-8

=head1 NAME

perlfoo - about B<C<< $x->y >>> and L<the other|perlbar>, E<lt>x E<gt> y X<index>

    my $x = "I<not italic>";

=over 4

=item * one

=back

=begin html

<p>hidden</p>

=end html

=for comment hidden

The end."""
    (made,) = EXTRACTORS["pod"]("perlfoo.pod", page.encode())
    assert made.blocks == [
        Block("NAME"),
        Block("perlfoo - about $x->y and the other, <x > y"),
        Block('    my $x = "I<not italic>";', verbatim=True),
        Block("* one"),
        Block("The end."),
    ]


def test_a_program_s_pod_is_taken_without_the_program():
    assert blocks("pod", "A.pm", "package A;\n\n=head1 TEXT\n\nShown.\n\n=cut\n\nsub x {}") == ["TEXT", "Shown."]


def test_crawl_descriptions_lose_their_keys_and_programs():
    text = "# comment\n%%%%\nkey\n\n첫째 설명\n두 줄\n%%%%\nother\n\n{{ return x }}\n%%%%\nlast\n\n<red>셋째</red>\n"
    assert blocks("crawl", "monsters.txt", text) == ["첫째 설명\n두 줄", "셋째"]


def test_markdown_loses_its_table_of_keys_and_keeps_its_rules():
    page = "---\nid: x\ntitle: y\n---\n# 제목\n\n본문입니다.\n\n---\n\n끝."
    assert blocks("markdown", "a.md", page) == ["# 제목", "본문입니다.", "---", "끝."]


def test_markdown_loses_lines_of_tags_but_none_of_words_or_listings():
    page = (
        '<!-- 둘째 판 -->\n<div data-title="두 낱말">\n\n본문 <b>둘</b>입니다.\n\n</div></div>\n\n<Indent level="1">\n'
        "```html\n<div>\n\n</div>\n```\n\n"
        '<Callout title="먼저 읽을 것" />\n\n<https://example.org>\n\n~~~\n<p>\n'
    )
    kept = ["본문 <b>둘</b>입니다.", "```html\n<div>", "</div>\n```", '<Callout title="먼저 읽을 것" />']
    assert blocks("markdown", "a.md", page) == [*kept, "<https://example.org>", "~~~\n<p>"]


def test_court_cases_and_opinions_become_one_text_each():
    cases = {"1": {"case_number": "釋字第1號", "main_text": "立法委員", "reasoning": "", "source_url": "x"}}
    (case,) = EXTRACTORS["court-opinions"]("cases.json", json.dumps(cases).encode())
    assert (case.part, [block.text for block in case.blocks]) == ("1", ["釋字第1號", "立法委員"])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        opinions = [{"title": "意見書", "text": f"第{n}段", "url": "x"} for n in "一二"]
        archive.writestr("new/1.json", json.dumps({"documents": opinions}))
    made = list(EXTRACTORS["court-opinions"]("opinions.zip", out.getvalue()))
    assert [(text.part, text.blocks[1].text) for text in made] == [
        ("new/1.json/1", "第一段"),
        ("new/1.json/2", "第二段"),
    ]


def test_human_eval_gives_whole_programs():
    line = json.dumps({"task_id": "HumanEval/0", "prompt": "def f():\n", "canonical_solution": "    return 1\n"})
    (made,) = EXTRACTORS["human-eval"]("a.jsonl", line.encode())
    assert made == ([Block("def f():\n    return 1\n", verbatim=True)], "HumanEval/0", None)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_worked_examples_hold_question_choices_and_answer(number):
    task = """
fewshot_config:
  samples:
  - {A: 하나, B: 둘, question: '몇?', target: '답은 A'}
  - {question: '왜?', target: '그래서'}
  - {input_question: '¿Qué?', input_choice_list: {A: uno, B: dos}, input_correct_responses: [B]}
process_docs: !function utils.process
"""
    made = list(EXTRACTORS["few-shot"]("law.yaml", task.encode()))
    said = ["몇?\nA. 하나\nB. 둘\n답은 A", "왜?\n그래서", "¿Qué?\nA. uno\nB. dos\nB"]
    assert made[number].blocks[0].text == said[number]


def test_dialogues_give_a_paragraph_for_each_conversation():
    made = list(EXTRACTORS["chatterbot"]("a.yml", "conversations:\n- - 안녕\n  - 1\n- []\n- - 네\n".encode()))
    assert made == [Text([Block("안녕\n1", verbatim=True), Block("네", verbatim=True)])]


def test_requests_to_write_are_texts_of_their_own():
    lines = [json.dumps({"index": number, "query": f"写{number}"}) for number in (1, 2)]
    made = list(EXTRACTORS["writing-bench"]("a.jsonl", "\n".join(lines).encode()))
    assert [(text.part, text.blocks[0].text) for text in made] == [("1", "写1"), ("2", "写2")]


def test_conversations_give_messages_by_turn_and_not_who_wrote_them():
    turn = [{"text": "Hello ", "sender": "7208", "timestamp": "2018"}, {"text": "How are you?"}]
    chats = {"c1": {"messages": [turn, [{"text": "Fine"}]], "ratings": {}}}
    made = list(EXTRACTORS["chitchat"]("dataset.json", json.dumps(chats).encode()))
    assert made == [Text([Block("Hello\nHow are you?", verbatim=True), Block("Fine", verbatim=True)], "c1")]


def test_a_list_of_chapters_gives_a_text_each():
    made = list(EXTRACTORS["json-texts"]("book.json", json.dumps(["第一回\n\n\t話說", "第二回"]).encode()))
    assert [(text.part, [block.text for block in text.blocks]) for text in made] == [
        ("1", ["第一回", "話說"]),
        ("2", ["第二回"]),
    ]


def test_a_translated_story_gives_what_is_told_and_not_its_originals():
    script = """
translate korean start_915cb944:

    # "The lecture is over."
    "강의가 {i}끝났다{/i}."
    # s "\\"Hi there!\\""
    s smile "\\"안녕!\\"" with dissolve
    s "그래."

translate korean strings:
    old "To ask her later."
    new "나중에 묻는다."
"""
    (made,) = EXTRACTORS["renpy"]("script.rpy", script.encode())
    assert made.blocks[0].text == '강의가 끝났다.\n"안녕!"\n그래.\n나중에 묻는다.'
