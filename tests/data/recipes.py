"""A small recipe of our own, so that tests say what they read."""

import json
from pathlib import Path

RECIPE = """
name = "small"
pretty_name = "Small"
description = "Two sources."
intended_use = "Tests."
known_gaps = ["Everything."]
validation_share = 0.2

[licenses]
"Apache-2.0" = "apache-2.0"
"CC-BY-SA-3.0" = "cc-by-sa-3.0"

[forbidden_licenses]
"CC-BY-NC-4.0" = "not for commercial use"

[[steps]]
name = "normalise"

[[steps]]
name = "length"
min_bytes = 10
max_line_bytes = 200

[[steps]]
name = "duplicates"

[[sources]]
name = "manual"
version = "1.0"
license = "Apache-2.0"
attribution = "The authors"
client = "apt"
package = "manual_1.0_all.deb"
sha256 = "00"
format = "html"
copyright = "copyright"
min_bytes = 1
max_bytes = 1000
[sources.languages]
ko = { files = "*.html", max_bytes = 1000 }
"""


def document(text: str, **changes: str) -> dict[str, str]:
    fields = {
        "text": text,
        "language": "ko",
        "source": "manual",
        "source_version": "1.0",
        "source_file": "page.html",
        "license": "Apache-2.0",
    }
    return fields | changes


def some_documents(count: int = 20) -> list[dict[str, str]]:
    """Documents in two languages under two licences, each different."""
    return [
        document(
            f"문서 {number}. 한국어로 된 글입니다." if number % 2 else f"Document {number}, a text in English.",
            language="ko" if number % 2 else "en",
            license="Apache-2.0" if number % 4 < 2 else "CC-BY-SA-3.0",
        )
        for number in range(count)
    ]


def write_recipe(folder: Path, documents: list[dict[str, str]], recipe: str = RECIPE) -> Path:
    """Write recipe.toml, its documents and a licence text; returns the folder."""
    (folder / "LICENSES").mkdir(parents=True)
    (folder / "LICENSES" / "manual.copyright").write_text("Copyright: the authors\n", encoding="utf-8")
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents)
    (folder / "manual.jsonl").write_text(lines, encoding="utf-8")
    return folder
