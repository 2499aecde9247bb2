"""A card as HTML: what a writer of cards expects, and what a hostile one gets."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.markdown import Links, render, slug_of

LINKS = Links(page="/team/model/blob/main/{}".format, image="/team/model/image/abc/{}".format)


def html(markdown: str) -> str:
    rendered = render(markdown, LINKS)
    assert rendered is not None
    return str(rendered.html)


class Elements(HTMLParser):
    """What a parser that believes everything finds in a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def is_harmless(text: str) -> bool:
    """Nothing that runs, loads from elsewhere, is styled, placed, or sends anything."""
    for tag, attributes in Elements(text).found:
        assert tag not in {
            "script",
            "style",
            "iframe",
            "object",
            "embed",
            "form",
            "input",
            "link",
            "meta",
            "base",
            "svg",
        }
        assert not {name for name in attributes if name.startswith("on") or name in {"style", "srcset", "name"}}
        assert set((attributes.get("class") or "").split()) <= {"scroll", "number", "middle"}
        assert (attributes.get("id") or "card-").startswith("card-")
        source = attributes.get("src")
        assert source is None or source.startswith("/team/model/image/abc/")
        assert re.match(r"(https?:|mailto:|#card-|/(?![/\\]))", attributes.get("href") or "/")
    return True


class TestMarkdown:
    def test_headings_are_one_level_lower_and_can_be_linked_to(self):
        rendered = render("# Title\n\n## Load it\n\n### In `Python`\n\n## Load it\n", LINKS)
        assert '<h2 id="card-title">' in rendered.html
        # For the table of contents: two levels below the title.
        assert [(one.level, one.id, one.text) for one in rendered.headings] == [
            (3, "card-load-it", "Load it"),
            (3, "card-load-it-1", "Load it"),
        ]
        assert '<h4 id="card-in-python">' in rendered.html
        assert '<a href="#card-load-it"' in html("[there](#load-it)")

    def test_a_table_scrolls_in_its_box_and_numbers_stand_right(self):
        made = html("| a | b |\n|---|--:|\n| x | 1 |\n")
        assert made.startswith('<div class="scroll" tabindex="0"><table>')
        assert '<td class="number">1</td>' in made

    def test_code_is_shown_as_it_is(self):
        made = html('```python\nprint("<b>&amp;</b>")\n```\n')
        assert made == '<pre tabindex="0"><code>print("&lt;b&gt;&amp;amp;&lt;/b&gt;")\n</code></pre>\n'

    @pytest.mark.parametrize(
        ("written", "leads_to"),
        [
            ("results/train.json", "/team/model/blob/main/results/train.json"),
            ("./a/../b%20c.md", "/team/model/blob/main/b c.md"),
            ("https://example.org/x", "https://example.org/x"),
            ("mailto:a@example.org", "mailto:a@example.org"),
            ("/datasets/team/data", "/datasets/team/data"),
            ("#안녕", "#card-안녕"),
            ("../../-/sign-out", None),
            ("//evil.example/x", None),
            ("/\\evil.example", None),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("vbscript:x", None),
            ("file:///etc/passwd", None),
        ],
    )
    def test_where_a_link_leads(self, written, leads_to):
        for made in (html(f"[x](<{written}>)"), html(f'<a href="{written}">x</a>')):
            addresses = [attributes.get("href") for tag, attributes in Elements(made).found if tag == "a"]
            if leads_to is None:
                assert addresses in ([None], [])
            else:
                assert [unquote(address) for address in addresses] == [leads_to]

    @pytest.mark.parametrize(
        ("written", "loaded"),
        [
            ("figures/a.svg", "/team/model/image/abc/figures/a.svg"),
            ("https://tracker.example/p.gif", None),
            ("//tracker.example/p.gif", None),
            ("http:/tracker.example/p.gif", None),
            ("\\\\tracker.example\\p.gif", None),
            ("/team/model/resolve/main/a.png", None),
            ("../../../-/settings", None),
            ("data:image/svg+xml,<svg/>", None),
        ],
    )
    def test_only_the_repositorys_own_pictures_are_loaded(self, written, loaded):
        for made in (html(f"![words](<{written}>)"), html(f'<img src="{written}" alt="words">')):
            images = [attributes.get("src") for tag, attributes in Elements(made).found if tag == "img"]
            assert images == [loaded] or (loaded is None and not images)

    def test_the_id_of_a_heading_is_githubs(self):
        assert slug_of("Measured here (as stored), v1.0") == "measured-here-as-stored-v10"
        assert slug_of("여기서 센 값") == "여기서-센-값"
        assert slug_of("!?") == "section"


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<a href="java&#10;script:alert(1)">x</a>',
    '<div style="position:fixed;inset:0" class="top" id="main">all of the page</div>',
    '<iframe src="https://evil.example"></iframe>',
    '<form action="/-/sign-in"><input name="token"><button>Sign in</button></form>',
    '<link rel="stylesheet" href="https://evil.example/x.css"><style>@import url(//evil.example)</style>',
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    '<base href="https://evil.example/">',
    '<img srcset="https://evil.example/a 2x"><picture><source srcset="//evil.example"></picture>',
    '<video poster="//evil.example"><audio src="//evil.example"><object data="//evil.example">',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<table background="//evil.example"><td background="//evil.example">',
    "</article></main></body><h1>Elsewhere</h1>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "[x](javascript:alert(1)) ![x](javascript:alert(1)) <javascript:alert(1)>",
    '[x](x "\\"><script>alert(1)</script>")',
    "<div><p title='<table'>\n\n| a |\n|---|\n| b |\n",
]


class TestHostile:
    @pytest.mark.parametrize("card", HOSTILE)
    def test_nothing_runs_loads_or_covers_the_page(self, card):
        assert is_harmless(html(card))
        assert is_harmless(html(f"words {card} words\n\n- {card}\n"))

    @settings(max_examples=200)
    @given(st.lists(st.sampled_from([*HOSTILE, '"', "'", "<", ">", "\n\n", "`", "|", "&quot;", "<table ", "[", "]("])))
    def test_nor_does_any_mixture(self, parts):
        rendered = render("".join(parts), LINKS)
        assert rendered is None or is_harmless(str(rendered.html))

    @settings(max_examples=100)
    @given(st.text())
    def test_any_text_is_rendered(self, text):
        assert is_harmless(html(text))

    def test_text_cannot_turn_round_hide_or_pile_up(self):
        assert html("pay\u202eelbatsyap\u200b\u2066 now") == "<p>payelbatsyap now</p>\n"
        assert html("Z" + "\u0301" * 50) == "<p>Z" + "\u0301" * 3 + "</p>\n"
        assert html("ก" + "\u0e47" * 50) == "<p>ก" + "\u0e47" * 3 + "</p>\n"
        assert html("ที่นี้ שָׁלוֹם مُحَمَّدٌ が") == "<p>ที่นี้ שָׁלוֹם مُحَمَّدٌ が</p>\n"
        assert html("नमस्ते 👩‍🔬 각") == "<p>नमस्ते 👩‍🔬 각</p>\n"

    def test_what_is_nested_too_deeply_or_too_long_is_not_a_page(self):
        assert render("<div>" * 100_000, LINKS) is None
        assert render("<div></span>" * 20_000, LINKS) is None
        assert render("a" * 1_000_000, LINKS) is None
        assert html(">" * 100_000)  # Markdown itself stops nesting
        assert html("<p>one\n<li>two\n" * 2000)
