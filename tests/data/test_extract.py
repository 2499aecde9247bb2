import pytest

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block, Text
from modeling_axk1.data.extract.markup import html, html_charset, mallard
from modeling_axk1.errors import DataError


def texts(blocks: list[Block]) -> list[str]:
    return [block.text for block in blocks]


def test_html_paragraphs_headings_and_lists_become_blocks_without_the_page_around_them():
    page = b"""<!DOCTYPE html><html><head><title>not text</title></head><body>
      <div id="page-header"><p>menu</p></div>
      <h1>Stopping <em>and</em> restarting<a class="permalink">&para;</a></h1>
      <p>First line
         goes&nbsp;on<br>after a break.</p>
      <ul><li><p>one</p></li><li>two <img src="x"> parts</li></ul>
      <table><tr><th>Syntax:</th><td>Alias a b</td></tr></table>
      <script>var x = "<p>no</p>";</script>
      <div id="footer"><p>footer</p></div></body></html>"""
    assert texts(html("page.html", page)) == [
        "Stopping and restarting",
        "First line goes on\nafter a break.",
        "one\ntwo parts",
        "Syntax: | Alias a b",
    ]


def test_html_listings_keep_their_lines_and_their_indentation():
    page = b"<body><p>Run:</p><pre>if x:\n    <em>print</em>(1)\n\n\ny</pre><p>Then stop.</p></body>"
    assert html("page.html", page) == [
        Block("Run:"),
        Block("if x:\n    print(1)\n\n\ny", verbatim=True),
        Block("Then stop."),
    ]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("index.html.ko.euc-kr", "<p>아파치</p>".encode("euc-kr")),
        (
            "index.html",
            '<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR"><p>아파치</p>'.encode("euc-kr"),
        ),
        ("index.html", "<p>아파치</p>".encode()),
    ],
)
def test_html_is_read_in_the_character_set_of_its_suffix_its_meta_or_utf8(name, page):
    assert texts(html(name, page)) == ["아파치"]


def test_mallard_pages_lose_their_metadata_and_keep_key_combinations_readable():
    page = """<page xmlns="http://projectmallard.org/1.0/" id="x">
      <info><desc>not text</desc><credit><name>Nobody</name></credit></info>
      <title>인쇄하기</title>
      <p><keyseq><key>Ctrl</key><key>P</key></keyseq> 키를
         누릅니다 <media><span>미리 보기</span></media>.</p>
      <steps><item><p>첫째</p></item><item><p>둘째</p></item></steps>
      <screen>lp a.txt
  lpq</screen></page>""".encode()
    assert mallard("x.page", page) == [
        Block("인쇄하기"),
        Block("Ctrl+P 키를 누릅니다 ."),
        Block("첫째\n둘째"),
        Block("lp a.txt\n  lpq", verbatim=True),
    ]


@pytest.mark.parametrize(
    ("format", "page"),
    [
        (
            "docbook-html",
            '<div class="navheader">Prev Next</div><div class="toc">Contents</div><h1>Title</h1>'
            '<p>See <a id="x" class="indexterm"/>below.</p><div class="navfooter">Home</div>',
        ),
        (
            "sphinx-html",
            '<nav><p>Menu</p></nav><div class="sphinxsidebar">Search</div><h1>Title<a class="headerlink">¶</a></h1>'
            '<p>See below.</p><div class="footer">Copyright</div>',
        ),
        (
            "texinfo-html",
            '<table class="nav_table"><tr><td>Up</td></tr></table><h1>Title</h1><p>See below.</p>'
            '<table class="menu"><tr><td>Menu</td></tr></table>',
        ),
        (
            "mdbook-html",
            '<nav id="sidebar"><ol><li>Chapter</li></ol></nav><div id="menu-bar">Book</div><main><h1>Title</h1>'
            "<p>See below.</p></main>",
        ),
        (
            "libreoffice-html",
            "<header><p>Help</p></header><aside>Contents</aside><h1>Title</h1><p>See below.</p><footer>x</footer>",
        ),
    ],
)
def test_the_navigation_of_each_maker_of_pages_is_left_out(format, page):
    (text,) = EXTRACTORS[format]("page.html", page.encode())
    assert texts(text.blocks) == ["Title", "See below."]


def test_program_text_is_taken_as_it_stands():
    assert EXTRACTORS["source-code"]("a.py", b"x = 1\n\n") == [Text([Block("x = 1\n\n", verbatim=True)])]


def test_plain_text_is_taken_paragraph_by_paragraph():
    (text,) = EXTRACTORS["text"]("a.txt", "\ufeff첫째\n둘째\n\n\n  셋째\r\n".encode())
    assert text.blocks == [Block("첫째\n둘째", verbatim=True), Block("  셋째", verbatim=True)]


@pytest.mark.parametrize(
    ("extractor", "name", "data", "message"),
    [
        ("html", "a.html", b"<p>\xff</p>", "a.html: not utf-8 at byte 3"),
        ("html", "a.html.xx.klingon-1", b"<p>", "a.html.xx.klingon-1: unknown character set 'klingon-1'"),
        ("mallard", "a.page", b"<page><p></page>", "a.page: not well-formed XML: mismatched tag"),
        ("source-code", "a.py", b"\xe9", "a.py: not utf-8 at byte 0"),
        ("text", "a.txt", b"\xe9", "a.txt: not utf-8 at byte 0"),
        ("crawl", "a.txt", b"\xe9", "a.txt: not utf-8 at byte 0"),
        ("gettext", "a.mo", b"\xde\x12\x04\x95", "a.mo: not a compiled message catalogue"),
        ("qt", "a.qm", b"\x3c\xb8\x64\x18", "a.qm: not a catalogue of Qt"),
        ("json-strings", "a.json", b"{", "a.json: not JSON"),
        ("json-strings", "a.json", b"[" * 100_000, "a.json: not JSON"),
        ("javascript-strings", "a.js", b'["\\x41"]', "a.js: a string is not one of JSON"),
        ("man", "a.1", b".TH A 1\n\xff", "a.1: not utf-8 at byte 8"),
        ("man", "a.1", b".so man1/b.1\n", "a.1: not a manual page, it has no .TH"),
        ("man", "a.1", b".Dd May 1\n.Sh NAME\n", "a.1: a page with mdoc macros"),
        ("restructured-text", "a.rst", b"\xff", "a.rst: not utf-8 at byte 0"),
        ("pod", "a.pod", b"=encoding klingon\n\n=head1 A", "a.pod: unknown character set 'klingon'"),
        ("properties", "a.properties", b"a=\xff", "a.properties: not utf-8 at byte 2"),
        ("court-opinions", "opinions.zip", b"PK", "opinions.zip: not an archive of opinions"),
        ("court-opinions", "cases.json", b"{", "cases.json: not JSON"),
        ("human-eval", "a.jsonl", b"{}", "a.jsonl: not the problems of HumanEval"),
        ("few-shot", "a.yaml", b"a: 1", "a.yaml: no worked examples in it"),
        ("few-shot", "a.yaml", b"a: [", "a.yaml: no worked examples in it"),
        ("chatterbot", "a.yml", b"categories: [a]", "a.yml: no conversations in it"),
        ("chitchat", "a.json", b"[]", "a.json: no conversations in it"),
        ("json-texts", "a.json", b"[", "a.json: not JSON"),
        ("json-texts", "a.json", b"{}", "a.json: must be a list of strings"),
        ("renpy", "a.rpy", b"\xff", "a.rpy: not utf-8 at byte 0"),
        ("writing-bench", "a.jsonl", b"{}", "a.jsonl: not the requests of WritingBench"),
        ("gettext-source", "a.po", b'msgid ""', "a.po: a catalogue must name its character set"),
        ("gettext-source", "a.po", b'"charset=utf-8"', "a.po: not a line of a catalogue: '\"charset=utf-8\"'"),
        ("gettext-source", "a.po", b'msgid "charset=utf-8\\q"', "a.po: not a string of a catalogue"),
    ],
)
def test_a_broken_file_is_named(extractor, name, data, message):
    with pytest.raises(DataError) as caught:
        list(EXTRACTORS[extractor](name, data))
    assert str(caught.value).startswith(message)


def test_the_suffix_wins_over_the_meta():
    assert html_charset("a.html.ja.utf8", b'<meta charset="euc-jp">') == "utf8"
