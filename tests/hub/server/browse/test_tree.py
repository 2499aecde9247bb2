"""The page of a folder."""

import re


def test_a_folder_shows_sizes_digests_and_what_changed_each_name_last(pages):
    first = pages.add(
        "team/tree", {"a.txt": "one", "data/x.bin": b"\0" * 2000, "data/deep/y.txt": "y"}, message="first"
    )
    second = pages.add("team/tree", {"a.txt": "one and two"}, message="second\n\nwith a body")
    page = pages.page("/team/tree/tree/main")
    rows = dict(re.findall(r'<tr>\s*<th scope="row">.*?<bdi>([^<]+)</bdi>(.*?)</tr>', page, re.DOTALL))
    assert list(rows) == ["data", ".gitattributes", "a.txt"]  # folders first
    assert f"/commit/{second}" in rows["a.txt"] and "<bdi>second</bdi>" in rows["a.txt"]
    assert f"/commit/{first}" in rows["data"] and "2 files" in rows["data"] and "2 kB" in rows["data"]
    assert "11 B" in rows["a.txt"]
    assert "/team/tree/resolve/main/a.txt" in rows["a.txt"]
