"""The tensors of a checkpoint as a page shows them. The oracle is `axk1 weights inspect` on the same files."""

import hashlib
import json
import re
from html import unescape
from pathlib import Path

import pytest

from modeling_axk1.hub.card import read_facts
from modeling_axk1.hub.release.manifest import read_manifest
from modeling_axk1.hub.release.plan import lay_out_shards, planned_config
from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.checkpoint import checkpoint
from modeling_axk1.weights.encodings import encoding_named, quantised_config, stored_tensors
from modeling_axk1.weights.header import make_header
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.names import parameters
from tests.weights.checkpoints import TINY, WIDE, write_tiny

PLANS = Path(__file__).parents[4] / "release" / "a.x-k1.toml"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def summed(folder: Path) -> tuple[dict, list[list[str]]]:
    """What the sandbox says of a folder's files."""
    files = {path.relative_to(folder).as_posix(): (str(path), path.stat().st_size) for path in folder.rglob("*.*")}
    first, *lines = checkpoint(files).decode().split("\n")
    return json.loads(first), [line.split("\t") for line in lines]


def write_file(folder: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], name: str = "model.safetensors") -> None:
    """Write a file of zeros."""
    header = make_header(tensors, {})
    end = json.loads(header[8:])
    size = max((entry["data_offsets"][1] for entry in end.values()), default=0)
    (folder / name).write_bytes(header + bytes(size))


def words_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


class TestSummary:
    def test_it_says_what_inspect_says(self, tmp_path):
        write_tiny(tmp_path / "tiny")
        oracle = inspect(tmp_path / "tiny")
        summary, lines = summed(tmp_path / "tiny")
        assert (summary["tensors"], summary["parameters"], summary["bytes"], summary["active"]) == (
            oracle.tensors,
            oracle.parameters,
            oracle.bytes,
            oracle.active_parameters,
        )
        assert {dtype: count for dtype, count, *_ in summary["dtypes"]} == oracle.dtypes
        assert len(lines) == oracle.tensors
        assert summary["problems"] == summary["missing"] == summary["extra"] == []

    @pytest.mark.parametrize("encoding", ["fp8", "int8", "int4"])
    def test_a_quantised_checkpoint_stands_for_the_parameters_that_it_encodes(self, tmp_path, encoding):
        config = quantised_config(WIDE, encoding_named(encoding, 32 if encoding != "fp8" else None))
        tensors = {name: (spec.dtype or "BF16", spec.shape) for name, spec in stored_tensors(config).items()}
        write_file(tmp_path, tensors)
        (tmp_path / "config.json").write_text(json.dumps(config))
        summary, lines = summed(tmp_path)
        assert summary["parameters"] == inspect(tmp_path).parameters == parameters(WIDE).total
        assert summary["encoding"] == encoding
        assert sum(int(line[3]) for line in lines) == summary["parameters"]

    def test_layers_add_up_and_active_ones_are_told_apart(self, tmp_path):
        write_tiny(tmp_path / "tiny")
        summary, _ = summed(tmp_path / "tiny")
        groups = {(group["prefix"], group["layer"]): group for group in summary["groups"]}
        assert list(groups) == [
            ("first", None),
            *(("model.layers", layer) for layer in range(TINY["num_hidden_layers"])),
            ("last", None),
        ]
        for key in ("tensors", "parameters", "routed", "bytes"):
            assert sum(group[key] for group in groups.values()) == summary[key]
        assert groups["model.layers", 0]["routed"] == 0
        assert groups["model.layers", 1]["routed"] == 4 * 3 * TINY["hidden_size"] * TINY["moe_intermediate_size"]
        skipped = summary["experts"] - summary["chosen"]
        assert summary["parameters"] - summary["routed"] * skipped // summary["experts"] == summary["active"]

    def test_tensors_come_as_a_model_runs(self, tmp_path):
        names = ["lm_head.weight", "model.layers.10.b", "model.layers.2.experts.10.w", "model.layers.2.experts.9.w",
                 "model.norm.weight", "model.embed_tokens.weight", "visual.layers.2.w"]  # fmt: skip
        write_file(tmp_path, dict.fromkeys(names, ("F32", (2,))))
        _, lines = summed(tmp_path)
        assert [name for name, *_ in lines] == [
            "model.embed_tokens.weight", "model.layers.2.experts.9.w", "model.layers.2.experts.10.w",
            "visual.layers.2.w", "model.layers.10.b", "lm_head.weight", "model.norm.weight",
        ]  # fmt: skip

    def test_files_that_no_index_names_are_shown_all_the_same(self, tmp_path):
        write_file(tmp_path, {"a.lora_A.weight": ("F32", (2, 3))}, "adapter_model.safetensors")
        summary, lines = summed(tmp_path)
        assert summary["shards"] == ["adapter_model.safetensors"]
        assert lines == [["a.lora_A.weight", "F32", "2x3", "6", "24", "0"]]


class TestHostile:
    def made(self, folder: Path, header: bytes, size: int = 0) -> dict:
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
        return summed(folder)[0]

    @pytest.mark.parametrize(
        ("header", "size"),
        [
            (b"{}" * 10, 0),
            (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 8),
            (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}', 0),
            (b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', 4),
            (b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}', 5),
            (b'{"a\\u202eb":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
            (b"[" * 100_000, 0),
            (b'{"a":' + b"[0," * 1_000_001 + b"0", 0),
        ],
        ids=["no JSON", "truncated", "negative", "dtype", "hole", "hidden name", "deep", "a million values"],
    )  # fmt: skip
    def test_a_header_that_is_none_is_a_problem_of_the_checkpoint(self, tmp_path, header, size):
        summary = self.made(tmp_path, header, size)
        assert summary["tensors"] == 0
        assert summary["problem_count"] == 1
        assert summary["problems"][0].startswith("model.safetensors")

    def test_a_length_beyond_the_file_is_a_problem(self, tmp_path):
        (tmp_path / "model.safetensors").write_bytes((10**8).to_bytes(8, "little") + b"{}")
        assert "truncated" in summed(tmp_path)[0]["problems"][0]

    def test_an_index_that_leads_elsewhere_leads_nowhere(self, tmp_path):
        index = {"weight_map": {"a": "../../etc/passwd", "b": "/etc/passwd", "c": "d/e.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert summed(tmp_path)[0]["problem_count"] == 3

    def test_too_many_tensors_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("modeling_axk1.hub.server.browse.sandboxed.checkpoint.MOST_TENSORS", 2)
        write_file(tmp_path, dict.fromkeys("abc", ("U8", (1,))))
        with pytest.raises(UnfitError, match="at most 2 tensors, got 3"):
            summed(tmp_path)

    def test_headers_that_are_too_large_are_refused_on_a_page_that_says_so(self, pages):
        pages.add("team/large", {"a.safetensors": (64_000_001).to_bytes(8, "little") + b" " * 64_000_001})
        for _ in range(2):  # and it is remembered
            assert "at most 64,000,000 bytes together" in words_of(pages.page("/team/large/tensors/main", 422))


@pytest.fixture(scope="module")
def tiny(pages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    write_tiny(folder)
    pages.add("team/tiny", files_of(folder))
    return "/team/tiny/tensors/main"


class TestPage:
    def test_it_shows_every_tensor_with_its_file(self, pages, tiny):
        html = pages.page(tiny)
        text = words_of(html)
        assert "model.layers.1.mlp.experts.gate_up_proj" in text
        assert "4 × 8 × 8 BF16 256 512 B" in text
        assert re.search(r'href="/team/tiny/blob/main/model[^"]*\.safetensors"', html)

    def test_names_are_filtered_whatever_their_case(self, pages, tiny):
        text = words_of(pages.page(f"{tiny}?name=LAYERS.2.self_attn"))
        assert "model.layers.2.self_attn.o_proj.weight" in text
        assert "model.layers.1." not in text
        assert "No tensor has that" in pages.page(f"{tiny}?name=%3Cb%3E")
        assert "<b>" not in pages.page(f"{tiny}?name=%3Cb%3E")

    def test_it_is_read_in_korean(self, pages, tiny):
        assert "토큰당 활성 파라미터" in pages.page(tiny, **{"Accept-Language": "ko"})

    def test_a_repository_without_weights_says_so(self, pages):
        pages.add("team/none", {"README.md": "# A card\n", "config.json": "{}"})
        assert "no safetensors file" in pages.page("/team/none/tensors/main")

    def test_a_blob_that_is_gone_is_told(self, pages, tmp_path):
        write_file(tmp_path, {"a": ("F32", (1234,))})
        files = files_of(tmp_path)
        pages.add("team/gone", files)
        pages.catalog.blobs.path(hashlib.sha256(files["model.safetensors"]).hexdigest()).unlink()
        assert "model.safetensors is missing on this hub" in words_of(pages.page("/team/gone/tensors/main"))

    def test_page_numbers_are_numbers(self, pages, tiny):
        assert pages.browser.get(f"{tiny}?page=x").status_code == 400
        assert pages.browser.get(f"{tiny}?page=99").status_code == 200


@pytest.fixture(scope="module", params=[0, 2], ids=["BF16", "INT4"])
def planned(request, pages) -> tuple[str, dict[str, int]]:
    """A plan's repository, with what it counts itself."""
    manifest = read_manifest(PLANS)
    variant = manifest.variants[request.param]
    config, layout = planned_config(read_facts()["config"], variant)
    shards, index = lay_out_shards(config, layout, manifest.shard_bytes)
    pages.add(variant.repo_id, {"config.json": json.dumps(config), "results/plan.json": "{}", **index})
    tensors, nbytes = sum(len(shard.starts) for shard in shards), sum(shard.nbytes for shard in shards)
    return f"/{variant.repo_id}/tensors/main", {"tensors": tensors, "bytes": nbytes, "files": len(shards)}


class TestPlan:
    def test_it_shows_what_is_planned_and_says_so(self, pages, planned):
        address, counted = planned
        text = words_of(pages.page(address))
        assert "Planned, not present." in text
        assert "Parameters 519B 518,983,059,456 Active per token 32.8B 32,779,339,776" in text
        assert f"{counted['bytes']:,} Tensors {counted['tensors']:,} Files {counted['files']}" in text

    def test_a_hundred_thousand_tensors_are_pages(self, pages, planned):
        address, counted = planned
        last = -(-counted["tensors"] // 100)
        text = words_of(pages.page(f"{address}?page={last}"))
        assert f"Page {last:,} of {last:,}" in text
        assert "lm_head.weight" in text
