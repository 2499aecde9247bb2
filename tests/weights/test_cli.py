"""`axk1 weights` as a person meets it: one clear line per problem, exit 1 for damage, exit 2 for wrong use."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_axk1.weights.header import read_header
from modeling_axk1.weights.names import parameters
from modeling_axk1.weights.plan import INDEX_FILE
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from tests.weights.checkpoints import RELEASE, TINY, bf16, edit_header, edit_json, names_in, tiny_tensors, write_tiny
from tests.weights.range_server import range_server

SHARD = "model-00002-of-00003.safetensors"


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "checkpoint")


def truncate(folder: Path) -> str:
    size = (folder / SHARD).stat().st_size
    with (folder / SHARD).open("r+b") as file:
        file.truncate(size - 10)
    return f"{SHARD} is truncated: {size - 10:,} bytes, its header promises {size:,}"


def remove_shard(folder: Path) -> str:
    (folder / SHARD).unlink()
    return f"{SHARD} is missing; the index places"


def put_nan(folder: Path) -> str:
    name, tensor = list(read_header(folder / SHARD).tensors.items())[1]
    with (folder / SHARD).open("r+b") as file:
        file.seek(tensor.start + 2 * 3)
        file.write(b"\xc0\x7f")
    return f"{name} in {SHARD}: 1 values are NaN or infinite, the first at 3"


def rebuild(folder: Path, tensors: dict) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    write_tiny(folder, tensors)


def add_tensor(folder: Path) -> str:
    rebuild(folder, tiny_tensors() | {"model.layers.3.norm.weight": bf16((8,))})
    return "model.layers.3.norm.weight in model-00003-of-00003.safetensors is not a tensor of this config"


def drop_tensor(folder: Path) -> str:
    rebuild(folder, {name: tensor for name, tensor in tiny_tensors().items() if name != "model.norm.weight"})
    return "model.norm.weight is missing"


def change_config(folder: Path) -> str:
    edit_json(folder / "config.json", lambda config: config.update(q_lora_rank=5))
    return "must have shape [5, 8] by the config, got [6, 8]"


def point_outside(folder: Path) -> str:
    edit_json(folder / INDEX_FILE, lambda index: index["weight_map"].update(evil="../evil.safetensors"))
    (folder.parent / "evil.safetensors").write_bytes((folder / SHARD).read_bytes())
    return "a file name must stay inside the folder, got ../evil.safetensors"


def link_outside(folder: Path) -> str:
    (folder / SHARD).rename(folder.parent / SHARD)
    (folder / SHARD).symlink_to(folder.parent / SHARD)
    return f"{SHARD} must stay inside the folder, and is a link that leads out of it"


def overlap(folder: Path) -> str:
    def edit(header: dict) -> None:
        second = [name for name in header if name != "__metadata__"][1]
        start, end = header[second]["data_offsets"]
        header[second]["data_offsets"] = [start - 2, end - 2]

    edit_header(folder / SHARD, edit)
    return "overlaps the tensor before it"


def huge_offset(folder: Path) -> str:
    entry = {"dtype": "U8", "shape": [2**63 - 1], "data_offsets": [2**63, 2**64 - 1]}
    edit_header(folder / SHARD, lambda header: header.update(evil=entry))
    return "data_offsets must be two rising integers in [0, 2^63)"


def same_name_twice(folder: Path) -> str:
    raw = (folder / SHARD).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    name = next(iter(read_header(folder / SHARD).tensors))
    text = raw[8 : 8 + length].rstrip().removesuffix(b"}") + f',"{name}":{{}}}}'.encode()
    (folder / SHARD).write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    return f"the key '{name}' stands there twice"


def index_elsewhere(folder: Path) -> str:
    name = next(iter(read_header(folder / SHARD).tensors))
    other = "model-00001-of-00003.safetensors"
    edit_json(folder / INDEX_FILE, lambda index: index["weight_map"].update({name: other}))
    return f"{name} in {SHARD} does not belong there: the index places it in {other}"


def forget_in_index(folder: Path) -> str:
    name = next(iter(read_header(folder / SHARD).tensors))
    edit_json(folder / INDEX_FILE, lambda index: index["weight_map"].pop(name))
    return f"{name} in {SHARD} is not in the index"


def leave_old_shard(folder: Path) -> str:
    (folder / "model-00004-of-00004.safetensors").write_bytes((folder / SHARD).read_bytes())
    return "model-00004-of-00004.safetensors lies in the folder and is no part of the checkpoint"


def index_no_json(folder: Path) -> str:
    (folder / INDEX_FILE).write_bytes(b"\xff\xfe")
    return f"{INDEX_FILE} must be a JSON object in UTF-8"


DAMAGE = [
    truncate,
    remove_shard,
    put_nan,
    add_tensor,
    drop_tensor,
    change_config,
    point_outside,
    link_outside,
    overlap,
    huge_offset,
    same_name_twice,
    index_elsewhere,
    forget_in_index,
    leave_old_shard,
    index_no_json,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named_with_exit_1(run_axk1, folder, damage):
    message = damage(folder)
    result = run_axk1("weights", "verify", folder)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert all(line.isprintable() for line in result.stderr.splitlines())
    assert re.match(r"1 problem: |[0-9]+ problems: ", result.stdout)


def test_a_million_problems_are_a_thousand_lines_and_a_number(run_axk1, folder):
    edit_json(folder / INDEX_FILE, lambda index: index["weight_map"].update({f"evil.{n}": SHARD for n in range(1500)}))
    lines = run_axk1("weights", "verify", folder, "--headers-only").stderr.splitlines()
    assert len(lines) == 1001
    assert lines[-1] == "... and 500 more: --json lists them"


def test_inspect_describes_a_checkpoint_beside_another_tools_file(run_axk1, folder):
    """Some repositories hold a second format; engines that load every file would mix them, so verify refuses."""
    message = leave_old_shard(folder)
    result = run_axk1("weights", "inspect", folder)
    assert result.returncode == 0
    assert f"note: {message}" in result.stdout
    assert json.loads(run_axk1("weights", "inspect", folder, "--json").stdout)["strangers"] == [message]
    assert run_axk1("weights", "reshard", folder, folder.parent / "out").returncode == 1


def test_a_sound_checkpoint_is_called_sound(run_axk1, folder):
    result = run_axk1("weights", "verify", folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"sound: 48 tensors in 3 shards, {parameters(TINY).total:,} parameters")


def test_verify_speaks_json_and_still_exits_1(run_axk1, folder):
    truncate(folder)
    result = run_axk1("weights", "verify", folder, "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 1
    assert report["ok"] is False
    assert report["problems"] == result.stderr.splitlines()
    assert report["shards"] == 2


def test_headers_only_leaves_values_alone(run_axk1, folder):
    put_nan(folder)
    assert run_axk1("weights", "verify", folder, "--headers-only").returncode == 0


def test_inspect_in_words_and_in_json(run_axk1, folder):
    words = run_axk1("weights", "inspect", folder).stdout
    assert "48 tensors in 3 shards" in words
    assert f"active per token ({parameters(TINY).active:,})" in words
    found = json.loads(run_axk1("weights", "inspect", folder, "--json").stdout)
    assert found["parameters"] == parameters(TINY).total
    assert (found["tensors"], found["shards"], found["layout"], found["missing"], found["extra"]) == (
        48,
        3,
        "fused",
        [],
        [],
    )


def test_inspect_lists_shards_and_tensors(run_axk1, folder):
    words = run_axk1("weights", "inspect", folder, "--shards", "--tensors").stdout
    assert f"{SHARD}      18 tensors  " in words
    assert "model.embed_tokens.weight  BF16  32x8  model-00001-of-00003.safetensors\n" in words
    found = json.loads(run_axk1("weights", "inspect", folder, "--shards", "--tensors", "--json").stdout)
    assert [shard["file"] for shard in found["shard_list"]] == [name for name in names_in(folder) if "-of-" in name]
    assert {tensor["name"] for tensor in found["tensor_list"]} == tiny_tensors().keys()


def test_inspect_reads_a_web_server_and_says_what_it_fetched(run_axk1, folder):
    with range_server(folder) as server:
        words = run_axk1("weights", "inspect", server.address).stdout
        found = json.loads(run_axk1("weights", "inspect", server.address, "--json").stdout)
    assert words.startswith(f"{server.address}\n")
    assert "48 tensors in 3 shards" in words
    assert f"({found['bytes_read']:,} bytes)" in words
    assert found["missing"] == found["extra"] == []


def test_a_hub_that_is_not_there_is_one_line(run_axk1, folder):
    result = run_axk1("weights", "inspect", "owner/name", env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "owner/name is no folder here, and as a repository: " in result.stderr


def test_many_missing_tensors_are_a_screen_in_words_and_all_in_json(run_axk1, folder):
    rebuild(folder, {"model.norm.weight": bf16((8,))})
    assert "... and 26 more: --json lists them" in run_axk1("weights", "inspect", folder).stdout
    assert len(json.loads(run_axk1("weights", "inspect", folder, "--json").stdout)["missing"]) == 46


@pytest.mark.parametrize("source", ["config.json", "."])
def test_rehearse_writes_holes_for_a_config_or_a_place(run_axk1, folder, tmp_path, source):
    out = tmp_path / "rehearsal"
    said = run_axk1("weights", "rehearse", folder / source, out, "--shards", 7, "--per-expert").stdout
    assert said.startswith("68 tensors in 7 shards, ")
    assert run_axk1("weights", "verify", out).returncode == 0
    assert run_axk1("weights", "rehearse", folder / source, out).stderr.count("\n") == 1


def test_a_dry_rehearsal_says_how_much_it_would_be_and_writes_nothing(run_axk1, folder, tmp_path):
    out = tmp_path / "rehearsal"
    report = json.loads(run_axk1("weights", "rehearse", folder, out, "--shards", 7, "--dry-run", "--json").stdout)
    assert report == {
        "out": None,
        "tensors": 48,
        "parameters": parameters(TINY).total,
        "bytes": 2 * parameters(TINY).total,
        "shards": 7,
    }
    assert not out.exists()


def test_plan_shows_another_size_and_writes_nothing(run_axk1, folder):
    before = names_in(folder)
    *words, total = run_axk1("weights", "plan", folder, "--shard-size", "1KB").stdout.splitlines()
    plan = json.loads(run_axk1("weights", "plan", folder, "--shard-size", "1KB", "--json").stdout)["shards"]
    assert len(words) == len(plan)
    assert total.endswith("nothing was written")
    assert words[0].startswith(plan[0]["file_name"])
    assert {name for shard in plan for name in shard["tensors"]} == tiny_tensors().keys()
    assert names_in(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "no/such/folder"),
        ("inspect", "no/such/folder"),
        ("plan", ".", "--shard-size", "5 gigs"),
        ("manifest", "no/such/folder"),
        ("sign", "."),
        ("check", "no/such/folder"),
        ("verify", ".", "--workers", "0"),
        ("verify", ".", "--memory", "1KB"),
        ("verify", ".", "--state", "./state.json"),
        ("verify", ".", "--headers-only", "--manifest", "MANIFEST.json"),
        ("verify",),
        ("verify", ".", "--no-such-option"),
        ("no-such-verb",),
    ],
)
def test_wrong_use_exits_2(run_axk1, arguments):
    result = run_axk1("weights", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr


@pytest.mark.parametrize("verb", ["inspect", "plan"])
def test_an_unsound_checkpoint_is_one_line_and_exit_1(run_axk1, folder, verb):
    message = truncate(folder)
    result = run_axk1("weights", verb, folder)
    assert (result.returncode, result.stderr) == (1, f"axk1: error: {message}\n")


@pytest.mark.parametrize(
    "verb",
    [
        "inspect",
        "verify",
        "plan",
        "reshard",
        "convert",
        "fetch",
        "diff",
        "rehearse",
        "manifest",
        "keygen",
        "sign",
        "check",
    ],
)
def test_help_teaches_with_an_example(run_axk1, verb):
    assert f"Example: axk1 weights {verb} " in run_axk1("weights", verb, "--help").stdout


def test_torch_and_transformers_are_never_imported(folder):
    code = (
        "import sys; from modeling_axk1.cli import main; from modeling_axk1.weights import inspect, write\n"
        "for verb in ('inspect', 'verify', 'plan', 'manifest', 'check'):\n"
        "    sys.argv = ['axk1', 'weights', verb, sys.argv[-1]]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()"
    )
    result = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_release_at_full_size_is_inspected_and_its_headers_verified(run_axk1, tmp_path):
    """The true 976 tensors in files of holes: 1.04 TB by their sizes, next to nothing on the disk."""
    write_sparse_checkpoint(tmp_path, RELEASE)
    found = json.loads(run_axk1("weights", "inspect", tmp_path, "--json").stdout)
    result = run_axk1("weights", "verify", tmp_path, "--headers-only")
    assert (found["tensors"], found["parameters"], found["bytes"]) == (976, 518_983_059_456, 1_037_966_118_912)
    assert (found["active_parameters"], found["layout"], found["missing"]) == (32_779_339_776, "fused", [])
    assert (result.returncode, result.stderr) == (0, "")
