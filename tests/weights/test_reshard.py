"""Other shards, the same tensors: whatever the sharding, and after ranks were made and joined again."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from modeling_axk1 import AXK1ForCausalLM
from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.files import file_digests
from modeling_axk1.weights import execute
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.cut import CUT_FILE, Cut
from modeling_axk1.weights.inspect import inspect
from modeling_axk1.weights.order import ORDERS, Sharding
from modeling_axk1.weights.reshard import plan_part, plan_reshard, reshard
from modeling_axk1.weights.verify import verify
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.conftest import tiny_config
from tests.weights.checkpoints import (
    QUANTISABLE,
    TINY,
    bf16,
    edit_json,
    names_in,
    random_tensors,
    read_all,
    tiny_configs,
    write_model,
)

SHARDINGS = [
    Sharding(),
    Sharding("size", shard_bytes=1),
    Sharding("size", shard_bytes=3000, order="name"),
    Sharding("size", shard_bytes=3000, order="stored"),
    Sharding("layer"),
    Sharding("layer", shard_bytes=500, order="name"),
    Sharding("stage", 2),
    Sharding("stage", 3, shard_bytes=1000),
]


@pytest.fixture
def source(tmp_path):
    return write_model(tmp_path / "source", TINY)


def ranks_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_the_tensors_are_the_same_and_the_checkpoint_is_sound(tmp_path, source, sharding):
    done = reshard(source, tmp_path / "out", sharding)
    assert read_all(tmp_path / "out") == read_all(source)
    report = verify(tmp_path / "out")
    assert report.problems == []
    assert (done.shards, done.tensors, done.bytes, done.resumed_bytes) == (report.shards, 48, report.bytes, 0)
    assert done.errors == {}


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_and_back_again_to_the_byte(tmp_path, source, sharding):
    reshard(source, tmp_path / "first", Sharding(shard_bytes=2000))
    reshard(tmp_path / "first", tmp_path / "out", sharding)
    reshard(tmp_path / "out", tmp_path / "back", Sharding(shard_bytes=2000))
    assert file_digests(tmp_path / "back") == file_digests(tmp_path / "first")


def test_in_small_pieces_the_bytes_are_the_same(tmp_path, source, monkeypatch):
    for sharding in (Sharding("layer"), Sharding("tensor-rank", 2)):
        whole, pieces = tmp_path / f"{sharding.by}-whole", tmp_path / f"{sharding.by}-pieces"
        reshard(source, whole, sharding)
        with monkeypatch.context() as patched:
            patched.setattr(execute, "_LARGEST_CHUNK", 10)
            reshard(source, pieces, sharding)
        for folder in [path.relative_to(whole) for path in whole.rglob("*") if path.is_dir()] or [Path()]:
            assert file_digests(pieces / folder) == file_digests(whole / folder)


@settings(max_examples=15, deadline=None)
@given(tiny_configs(even=2), st.sampled_from(["fused", "per-expert"]), st.sampled_from(["tensor-rank", "expert-rank"]))
def test_ranks_joined_again_are_what_was_divided_and_each_is_sound(config, layout, by):
    config |= {"n_routed_experts": 4, "first_k_dense_replace": 0}
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "source", config, layout)
        reshard(folder / "source", folder / "ranks", Sharding(by, 2))
        for rank in ranks_of(folder / "ranks"):
            assert verify(rank).problems == []
        reshard(folder / "ranks", folder / "joined", Sharding("layer"))
        assert read_all(folder / "joined") == read_all(folder / "source")
        assert verify(folder / "joined").problems == []
        assert not (folder / "joined" / CUT_FILE).exists()


def test_a_rank_is_a_checkpoint_in_itself_that_says_which_part_it_is(tmp_path, source):
    reshard(source, tmp_path / "ranks", Sharding("expert-rank", 4, shard_bytes=2000))
    assert names_in(tmp_path / "ranks") == [f"rank-0000{rank}-of-00004" for rank in range(4)]
    for number, rank in enumerate(ranks_of(tmp_path / "ranks")):
        found = inspect(rank)
        assert found.part == f"expert-rank {number} of 4, experts {number}"
        assert (found.missing, found.extra) == ([], [])
        assert open_checkpoint(rank).whole_shapes["model.layers.1.mlp.experts.down_proj"] == (4, 8, 4)
    assert inspect(source).part is None


@pytest.mark.parametrize("by", ["expert-rank", "tensor-rank"])
def test_a_rank_that_lacks_a_tensor_is_not_sound_and_not_joined(tmp_path, by):
    tensors = random_tensors(TINY)
    write_model(tmp_path / "source", TINY)
    reshard(tmp_path / "source", tmp_path / "ranks", Sharding(by, 2))
    rank = ranks_of(tmp_path / "ranks")[1]
    name = "model.layers.2.mlp.experts.down_proj"
    held = {key: value for key, value in load_file(rank / "model.safetensors").items() if key != name}
    assert held.keys() == tensors.keys() - {name}
    (rank / "model.safetensors").unlink()
    as_raw = {key: RawTensor("BF16", tuple(t.shape), t.view(torch.uint8).numpy()) for key, t in held.items()}
    write_checkpoint(as_raw, rank)
    assert verify(rank).problems == [f"{name} is missing"]
    with pytest.raises(WeightsError, match=f"the ranks must hold each byte of {name} once, and they do not"):
        plan_reshard(tmp_path / "ranks")


def without(rank: Path) -> None:
    shutil.rmtree(rank)


def as_rank_0(rank: Path) -> None:
    edit_json(rank / CUT_FILE, lambda cut: cut.update(rank=0))


def swapped(rank: Path) -> None:
    other = rank.with_name("rank-00000-of-00002")
    aside = rank.with_name("aside")
    rank.rename(aside), other.rename(rank), aside.rename(other)


def whole_checkpoint(rank: Path) -> None:
    (rank / CUT_FILE).unlink()


def other_experts(rank: Path) -> None:
    edit_json(rank / CUT_FILE, lambda cut: cut.update(experts=[0, 1]))


def of_other_shapes(rank: Path) -> None:
    edit_json(
        rank / CUT_FILE, lambda cut: cut["whole_shapes"].update({"model.layers.1.mlp.experts.down_proj": [9, 9, 9]})
    )


def of_another_division(rank: Path) -> None:
    edit_json(rank / CUT_FILE, lambda cut: cut.update(division="stage"))


def no_json(rank: Path) -> None:
    (rank / CUT_FILE).write_text("{")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without, "must hold a folder for each of 2 ranks, look at rank-00001-of-00002"),
        (as_rank_0, "must be of rank 1 of 2, got 0 of 2"),
        (swapped, "must be of rank 0 of 2, got 1 of 2"),
        (whole_checkpoint, "must have a cut.json that says which part it is"),
        (other_experts, "the ranks must hold each byte of"),
        (of_other_shapes, "is not what cut.json says"),
        (of_another_division, "all ranks must be of one division"),
        (no_json, "cut.json must be a JSON object"),
    ],
)
def test_a_set_of_ranks_that_is_not_whole_is_refused_in_one_line(tmp_path, source, damage, message):
    reshard(source, tmp_path / "ranks", Sharding("expert-rank", 2))
    damage(ranks_of(tmp_path / "ranks")[1])
    with pytest.raises(WeightsError, match=message) as caught:
        plan_reshard(tmp_path / "ranks")
    assert "\n" not in str(caught.value)


def test_ranks_of_two_divisions_in_one_folder_are_refused(tmp_path, source):
    reshard(source, tmp_path / "ranks", Sharding("expert-rank", 2))
    (tmp_path / "ranks" / "rank-00000-of-00003").mkdir()
    with pytest.raises(WeightsError, match="must hold a folder for each of"):
        plan_reshard(tmp_path / "ranks")


@pytest.mark.parametrize(
    "edit",
    [
        {"experts": [900]},
        {"experts": [3, 2]},
        {"division": "tensor-rank", "ranks": 7},
        {"division": "tensor-rank", "ranks": 10**300},
        {"layers": "all"},
        {"whole_shapes": {"lm_head.weight": [2**62] * 60}},
        {"layers": []},
    ],
)
def test_whatever_a_cut_file_says_verify_has_a_line_for_it(tmp_path, source, edit):
    reshard(source, tmp_path / "ranks", Sharding("expert-rank", 2))
    (rank, _) = ranks_of(tmp_path / "ranks")
    edit_json(rank / CUT_FILE, lambda cut: cut.update(edit))
    report = verify(rank)
    assert report.problems or edit.keys() == {"whole_shapes"}  # which only joining believes, and compares
    assert all("\n" not in problem for problem in report.problems)


def test_a_part_stays_that_part_in_other_shards_and_is_divided_no_further(tmp_path, source):
    reshard(source, tmp_path / "ranks", Sharding("tensor-rank", 2))
    rank = ranks_of(tmp_path / "ranks")[1]
    reshard(rank, tmp_path / "out", Sharding("layer"))
    assert read_all(tmp_path / "out") == read_all(rank)
    assert (tmp_path / "out" / CUT_FILE).read_bytes() == (rank / CUT_FILE).read_bytes()
    assert verify(tmp_path / "out").problems == []
    for by in ("stage", "expert-rank", "tensor-rank"):
        with pytest.raises(UsageError, match=f"by {by} divides a whole model, and this is a part of one"):
            plan_reshard(rank, Sharding(by, 2))
    with pytest.raises(UsageError, match="ranks are joined first"):
        plan_reshard(tmp_path / "ranks", Sharding("expert-rank", 2))


@pytest.mark.parametrize("cut", [Cut(layers=(0, 2)), Cut(experts=(1, 3)), Cut(layers=(1,), experts=(0,))])
def test_layers_and_experts_make_a_part_that_verifies(tmp_path, source, cut):
    checkpoint = open_checkpoint(source)
    execute.execute(plan_part(checkpoint, cut), [checkpoint.store], tmp_path / "part")
    assert verify(tmp_path / "part").problems == []
    held, whole = read_all(tmp_path / "part"), read_all(source)
    for name, (_, shape, data) in held.items():
        if shape != whole[name][1]:
            rows = np.frombuffer(whole[name][2], "<u2").reshape(whole[name][1])[list(cut.experts)]
            whole[name] = ("BF16", rows.shape, rows.tobytes())
        assert (shape, data) == whole[name][1:]


def test_a_part_without_any_tensor_is_wrong_use(source):
    with pytest.raises(UsageError, match="at least one tensor"):
        plan_part(open_checkpoint(source), Cut(layers=()))


def test_what_goes_along_and_what_does_not(tmp_path, source):
    goes_along = {"tokenizer.json", "LICENSE", "modeling_axk1.py", "chat_template.jinja", "문서.md"}
    stays = {"SHA256SUMS", "MANIFEST.json", "model.sig", ".gitattributes", ".cache"}
    for name in goes_along | stays:
        (source / name).write_text(name)
    (source / "folder").mkdir()
    for sharding in (Sharding("size", shard_bytes=10**6), Sharding("expert-rank", 2)):
        out = tmp_path / sharding.by
        reshard(source, out, sharding)
        for folder in ranks_of(out) if sharding.parts else [out]:
            made = {CUT_FILE, "model.safetensors"} if sharding.parts else {"model.safetensors"}
            assert set(names_in(folder)) == goes_along | {"config.json"} | made
            assert all((folder / name).read_text() == name for name in goes_along)


def test_no_tensors_and_no_checkpoint_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match="at least one tensor, got none"):
        plan_reshard(tmp_path)
    with pytest.raises(WeightsError, match="a checkpoint must be a folder"):
        plan_reshard(tmp_path / "nothing")


# Other models


def llama(layers: int = 3) -> dict[str, RawTensor]:
    tensors = {"model.embed_tokens.weight": bf16((8, 4)), "lm_head.weight": bf16((8, 4))}
    for layer in range(layers):
        tensors[f"model.layers.{layer}.self_attn.q_proj.weight"] = bf16((4, 4))
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = bf16((4,))
    return tensors


def write_other(folder: Path, tensors: dict[str, RawTensor], config: dict | None = None) -> Path:
    folder.mkdir()
    write_checkpoint(tensors, folder, 100)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("config", [None, {"model_type": "llama"}])
@pytest.mark.parametrize("sharding", [*SHARDINGS[:6], Sharding("stage", 2)])
def test_any_model_is_resharded(tmp_path, config, sharding):
    source = write_other(tmp_path / "source", llama(), config)
    reshard(source, tmp_path / "out", sharding)
    assert read_all(tmp_path / "out") == read_all(source)
    if sharding == Sharding("layer"):
        assert len(open_checkpoint(tmp_path / "out").shards) == 5


def test_of_another_model_experts_are_divided_by_name_and_tensor_ranks_are_not_known(tmp_path):
    experts = {f"model.layers.0.moe.experts.{e}.w1": bf16((2, 2)) for e in range(4)}
    source = write_other(tmp_path / "source", llama() | experts, {"model_type": "mixtral"})
    reshard(source, tmp_path / "ranks", Sharding("expert-rank", 2))
    first, second = map(read_all, ranks_of(tmp_path / "ranks"))
    assert experts.keys() & first.keys() == set(list(experts)[:2])
    assert experts.keys() & second.keys() == set(list(experts)[2:])
    reshard(tmp_path / "ranks", tmp_path / "joined")
    assert read_all(tmp_path / "joined") == read_all(source)
    with pytest.raises(UsageError, match=r"for A\.X K1's names only"):
        plan_reshard(source, Sharding("tensor-rank", 2))
    with pytest.raises(UsageError, match="at most as many stages as layers, 0, got 1"):
        plan_reshard(write_other(tmp_path / "flat", {"a": bf16((1,))}), Sharding("stage", 1))


def test_odd_tensors_travel_too(tmp_path):
    tensors = {
        "scalar": RawTensor("F32", (), bytes(4)),
        "empty": RawTensor("F32", (0, 3), b""),
        "halves": RawTensor("F4", (3, 2), b"abc"),
        "flags": RawTensor("BOOL", (2,), b"\0\1"),
    }
    source = write_other(tmp_path / "source", tensors)
    for sharding in (Sharding(), Sharding("size", shard_bytes=1), Sharding("layer")):
        out = tmp_path / f"{sharding.by}{sharding.shard_bytes}"
        reshard(source, out, sharding)
        held = {name: (i.dtype, i.shape) for _, name, i in open_checkpoint(out).tensors()}
        assert held == {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("form", ["fp8", "int4"])
def test_a_quantised_checkpoint_keeps_each_weight_in_one_shard(tmp_path, form, order):
    write_model(tmp_path / "source", QUANTISABLE)
    convert(tmp_path / "source", tmp_path / form, Conversion(weights=form))
    reshard(tmp_path / form, tmp_path / "out", Sharding(shard_bytes=30_000, order=order))
    assert read_all(tmp_path / "out") == read_all(tmp_path / form)
    assert verify(tmp_path / "out").problems == []
    homes: dict[str, set[str]] = {}
    for shard, name, _ in open_checkpoint(tmp_path / "out").tensors():
        homes.setdefault(name.split(".weight")[0], set()).add(shard)
    assert len(open_checkpoint(tmp_path / "out").shards) > 3
    assert all(len(shards) == 1 for shards in homes.values())
    reshard(tmp_path / form, tmp_path / "ranks", Sharding("expert-rank", 2))
    assert all(verify(rank).problems == [] for rank in ranks_of(tmp_path / "ranks"))
    reshard(tmp_path / "ranks", tmp_path / "joined", Sharding(shard_bytes=30_000, order=order))
    assert read_all(tmp_path / "joined") == read_all(tmp_path / form)


# What the parts are good for


def test_the_sum_of_what_tensor_ranks_compute_is_what_the_whole_computes(tmp_path):
    """Megatron's division: each rank's heads and MLP columns through its rows of o_proj and down_proj, then a sum."""
    ranks, config = 2, TINY
    write_model(tmp_path / "source", config)
    reshard(tmp_path / "source", tmp_path / "ranks", Sharding("tensor-rank", ranks))
    parts = [load_file(rank / "model.safetensors") for rank in ranks_of(tmp_path / "ranks")]
    whole = {
        name: torch.frombuffer(bytearray(data), dtype=torch.bfloat16).view(shape).double()
        for name, (_, shape, data) in read_all(tmp_path / "source").items()
    }
    torch.manual_seed(0)
    x = torch.randn(5, config["hidden_size"], dtype=torch.float64)

    def attention(held):
        """A head attends with its own queries, keys and values, all from the shared latents."""
        w = {name: held[f"model.layers.1.self_attn.{name}.weight"].double() for name in PROJECTIONS}
        q = (x @ w["q_a_proj"].T @ w["q_b_proj"].T).view(5, -1, 6)
        latent, rope = (x @ w["kv_a_proj_with_mqa"].T).split([4, 2], dim=-1)
        k, v = (latent @ w["kv_b_proj"].T).view(5, -1, 8).split([4, 4], dim=-1)
        k = torch.cat([k, rope[:, None].expand(-1, k.shape[1], -1)], dim=-1)
        scores = torch.einsum("thd,shd->hts", q, k).softmax(-1)
        return torch.einsum("hts,shd->thd", scores, v).flatten(1) @ w["o_proj"].T

    def experts(held):
        """Every expert for every token, and the shared one."""
        w = {name: held[f"model.layers.1.mlp.{name}"].double() for name in MLP}
        gate, up = torch.einsum("td,efd->etf", x, w["experts.gate_up_proj"]).chunk(2, dim=-1)
        routed = torch.einsum("etf,edf->td", torch.nn.functional.silu(gate) * up, w["experts.down_proj"])
        shared = torch.nn.functional.silu(x @ w["shared_experts.gate_proj.weight"].T)
        shared = shared * (x @ w["shared_experts.up_proj.weight"].T)
        return routed + shared @ w["shared_experts.down_proj.weight"].T

    for compute in (attention, experts):
        torch.testing.assert_close(sum(compute(part) for part in parts), compute(whole), rtol=1e-12, atol=1e-12)
    logits = torch.cat([x @ part["lm_head.weight"].double().T for part in parts], dim=-1)
    torch.testing.assert_close(logits, x @ whole["lm_head.weight"].T, rtol=0, atol=0)


PROJECTIONS = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
MLP = (
    "experts.gate_up_proj",
    "experts.down_proj",
    "shared_experts.gate_proj.weight",
    "shared_experts.up_proj.weight",
    "shared_experts.down_proj.weight",
)


def test_what_was_resharded_loads_with_the_same_logits_in_both_implementations(tmp_path):
    from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as Native

    torch.manual_seed(0)
    model = AXK1ForCausalLM(tiny_config(initializer_range=0.2)).eval()
    model.save_pretrained(tmp_path / "source")
    reshard(tmp_path / "source", tmp_path / "layers", Sharding("layer"))
    reshard(tmp_path / "source", tmp_path / "ranks", Sharding("tensor-rank", 4))
    reshard(tmp_path / "ranks", tmp_path / "joined", Sharding("stage", 2))
    input_ids = torch.arange(24).view(2, 12)
    for folder in ("layers", "joined"):
        assert torch.equal(
            AXK1ForCausalLM.from_pretrained(tmp_path / folder)(input_ids).logits, model(input_ids).logits
        )
    native = [Native.from_pretrained(tmp_path / folder).eval()(input_ids).logits for folder in ("source", "layers")]
    assert torch.equal(*native)
