import pytest

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block
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


def test_program_text_is_taken_as_it_stands():
    assert EXTRACTORS["source-code"]("a.py", b"x = 1\n\n") == [Block("x = 1\n\n", verbatim=True)]


@pytest.mark.parametrize(
    ("extractor", "name", "data", "message"),
    [
        ("html", "a.html", b"<p>\xff</p>", "a.html: not utf-8 at byte 3"),
        ("html", "a.html.xx.klingon-1", b"<p>", "a.html.xx.klingon-1: unknown character set 'klingon-1'"),
        ("mallard", "a.page", b"<page><p></page>", "a.page: not well-formed XML: mismatched tag"),
        ("source-code", "a.py", b"\xe9", "a.py: not utf-8 at byte 0"),
    ],
)
def test_a_broken_file_is_named(extractor, name, data, message):
    with pytest.raises(DataError) as caught:
        EXTRACTORS[extractor](name, data)
    assert str(caught.value).startswith(message)


def test_the_suffix_wins_over_the_meta():
    assert html_charset("a.html.ja.utf8", b'<meta charset="euc-jp">') == "utf8"
