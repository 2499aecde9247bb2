"""A Korean page says which English text it follows, and falls behind when that changes."""

import korean

ENGLISH = """# Title

One.

<!-- measured: table -->
| 1 |
<!-- /measured -->

## Second

```sh
# no heading
```

Two.
"""


def test_every_korean_page_follows_its_english_one():
    assert korean.lagging() == {}, "read both, then: python docs/korean.py --follow PAGE"


def test_a_page_just_stamped_follows():
    assert korean.lag(ENGLISH, korean.following(ENGLISH, "# 제목\n")) == []


def test_the_parts_that_changed_are_named():
    page = korean.following(ENGLISH, "# 제목\n")
    assert korean.lag(ENGLISH.replace("Two.", "Three."), page) == ["Second"]
    assert korean.lag(ENGLISH + "\n## Third\n", page) == ["Second", "Third"]
    assert korean.lag(ENGLISH.partition("## Second")[0], page) != []


def test_what_the_builder_fills_in_does_not_count():
    assert korean.lag(ENGLISH.replace("| 1 |", "| 2 |"), korean.following(ENGLISH, "# 제목\n")) == []


def test_a_page_that_says_nothing_lags():
    assert korean.lag(ENGLISH, "# 제목\n") == ["its first line does not say which English text it follows"]


def test_stamping_again_replaces_the_stamp():
    page = korean.following(ENGLISH, "# 제목\n")
    assert korean.following(ENGLISH, page) == page
