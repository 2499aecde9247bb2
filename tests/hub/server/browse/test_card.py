"""The card page: both languages, revisions, facts, and a snippet to load it."""

import json
import re
from html import unescape

import pytest

CARD = """---
license: apache-2.0
language: [ko, en]
datasets: [team/text, else/where]
model-index:
- name: nano
  results: [{value: 3.2}]
---
# Nano

See [the run](results/train.json) and [Korean](README.ko.md).

## Load it

![A picture](figures/a.svg)

## Limits
## Licence
"""
CONFIG = {"model_type": "axk1", "architectures": ["AXK1ForCausalLM"]}


@pytest.fixture(scope="module")
def hub(pages):
    pages.add("team/nano", {"README.md": "# The first card\n"})
    pages.catalog.get("models", "team", "nano").add_tag("v0.1", "main", None)
    files = {
        "README.md": CARD,
        "README.ko.md": "# 나노\n\n작은 모델입니다.\n",
        "results/train.json": "{}",
        "results/variant.json": json.dumps({"counted": {"parameters": 8028160}}),
        "config.json": json.dumps(CONFIG),
        "tokenizer.json": "{}",
        "model.safetensors": b"1" * 5000,
    }
    pages.add("team/nano", files)
    pages.add("team/text", {"data/train.parquet": b"PAR1", "README.md": "# Text\n"}, kind="datasets")
    return pages


def snippet(page: str) -> str:
    return unescape(re.search(r'<pre id="python"[^>]*><code>(.*?)</code>', page, re.DOTALL)[1])


class TestCard:
    def test_it_is_rendered_below_the_repositorys_name(self, hub):
        page = hub.page("/team/nano")
        assert re.findall(r"<h1>", page) == ["<h1>"]
        assert '<h2 id="card-nano">Nano</h2>' in page
        assert 'href="/team/nano/blob/main/results/train.json"' in page
        assert re.search(r'src="/team/nano/image/[0-9a-f]{40}/figures/a.svg"', page)
        assert '<a href="#card-load-it">' in page

    def test_both_languages(self, hub):
        assert "작은 모델입니다" in hub.page("/team/nano", **{"Accept-Language": "ko"})
        assert "작은 모델입니다" in hub.page("/team/nano?card=ko")
        assert "작은 모델입니다" not in hub.page("/team/nano?card=en", **{"Accept-Language": "ko"})
        assert '<article class="card" id="card" lang="ko"' in hub.page("/team/nano?card=ko")
        assert 'href="/team/nano?card=ko"' in hub.page("/team/nano")

    def test_at_a_revision(self, hub):
        page = hub.page("/team/nano/card/v0.1")
        assert "The first card" in page
        assert 'href="/team/nano/tree/v0.1"' in page

    def test_front_matter_is_a_table(self, hub):
        page = hub.page("/team/nano")
        assert '<th scope="row"><bdi>model-index 1 results 1 value</bdi></th><td><bdi>3.2</bdi></td>' in page

    def test_at_a_glance(self, hub):
        page = hub.page("/team/nano")
        assert "apache-2.0" in page
        assert "kB, 8 files" in page
        assert '<a href="/team/nano/tensors/main">8.03M</a>' in page
        assert '<a href="/datasets/team/text">team/text</a>' in page
        assert "<bdi>else/where</bdi>" in page

    def test_front_matter_that_cannot_be_read_is_told(self, hub):
        hub.add("team/odd", {"README.md": "---\na: [\n---\n# Odd but here\n"})
        page = hub.page("/team/odd")
        assert "cannot be read" in page
        assert "Odd but here" in page

    def test_no_card_and_too_long_a_card(self, hub):
        hub.add("team/bare", {"data.txt": "x"})
        assert "has no card" in hub.page("/team/bare")
        hub.add("team/long", {"README.md": "a " * 300_000})
        assert "too long" in hub.page("/team/long")


class TestSnippet:
    def test_a_model_at_the_newest_tag(self, hub):
        assert snippet(hub.page("/team/text".replace("text", "nano"))).startswith("import os\n")
        hub.catalog.get("models", "team", "nano").add_tag("v0.2", "main", None)
        lines = snippet(hub.page("/team/nano"))
        assert 'os.environ["HF_ENDPOINT"] = "http://localhost"' in lines
        assert 'AutoModelForCausalLM.from_pretrained(\n    "team/nano",\n    revision="v0.2",\n)' in lines
        assert "AutoTokenizer.from_pretrained(" in lines
        assert "trust_remote_code" not in lines

    def test_the_revision_that_is_looked_at(self, hub):
        assert 'revision="v0.1"' in snippet(hub.page("/team/nano/card/v0.1"))

    def test_code_of_the_repository_is_said_to_run(self, hub):
        files = {"config.json": json.dumps({**CONFIG, "auto_map": {"AutoConfig": "x.Y"}}), "model.safetensors": b"1"}
        commit = hub.add("team/own-code", files)
        page = hub.page("/team/own-code")
        assert f'revision="{commit}",\n    trust_remote_code=True,' in snippet(page)
        assert "runs the Python files of this repository" in page

    def test_a_plan_has_no_weights_to_load(self, hub):
        hub.add("team/plan", {"config.json": json.dumps(CONFIG), "model.safetensors.index.json": "{}"})
        assert "AutoConfig.from_pretrained(" in snippet(hub.page("/team/plan"))
        assert "There are no weights" in hub.page("/team/plan")

    def test_a_dataset(self, hub):
        assert 'load_dataset(\n    "team/text",\n    revision=' in snippet(hub.page("/datasets/team/text"))
        card = "---\nconfigs:\n- {config_name: ko}\n- {config_name: en}\n---\n"
        hub.add("team/configs", {"README.md": card, "a.jsonl": "{}"}, kind="datasets")
        assert 'load_dataset(\n    "team/configs",\n    "ko",\n' in snippet(hub.page("/datasets/team/configs"))

    @pytest.mark.parametrize(
        "config", ["[", "[]", "{}", '{"model_type": 3}', '{"model_type": "x", "architectures": 5}', "[" * 100_000]
    )
    def test_anything_else_is_files(self, hub, config):
        hub.add("team/files", {"config.json": config, "a.bin": b"1"}, message=config[:40])
        compile(snippet(hub.page("/team/files")), "snippet", "exec")

    def test_it_is_python_whatever_the_host_calls_itself(self, hub):
        for path in ("/team/nano", "/datasets/team/text"):
            for host in ("localhost:1", "127.0.0.1"):
                compile(snippet(hub.page(path, Host=host)), "snippet", "exec")
