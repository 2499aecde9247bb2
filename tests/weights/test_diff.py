"""Two checkpoints compared: every verdict, bit for bit, whatever shards, layout and dtype; in bounded memory."""

import json
import struct
import subprocess
import sys
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.diff import diff
from modeling_axk1.weights.header import read_header
from modeling_axk1.weights.logical import weights_of
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.reshard import reshard
from modeling_axk1.weights.write import RawTensor, write_checkpoint
from tests.weights.checkpoints import TINY, edit_header, write_tiny

# Widths that blocks of 128 tile, so that everything quantised by rule is quantised.
WIDE = TINY | {"hidden_size": 128, "moe_intermediate_size": 128, "intermediate_size": 128, "num_hidden_layers": 2}

LE = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "U8": "u1", "F4": "u1"}


def tensor(dtype, values):
    array = np.asarray(values)
    if dtype == "BF16":  # cut, not rounded: give values that it holds
        return RawTensor(dtype, array.shape, (array.astype("<f4").view("<u4") >> 16).astype("<u2"))
    return RawTensor(dtype, array.shape, array.astype(LE[dtype]))


def written(folder, tensors, config=None):
    folder.mkdir(parents=True)
    write_checkpoint(tensors, folder, 10**9)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def compared(tmp_path):
    """Write two checkpoints of these tensors and compare them."""

    def compare(a, b, **options):
        return diff(written(tmp_path / "a", a), written(tmp_path / "b", b), **options)

    return compare


@pytest.fixture
def one(compared):
    """The verdict on one tensor, stored in these two ways."""

    def compare(a, b):
        (found,) = compared({"w": a}, {"w": b}).weights
        return found

    return compare


ONE = {"w": tensor("F32", [1.0])}


def random_weights(config, seed, bits):
    """Bytes drawn from all there are: NaN, infinity and subnormal numbers among them."""
    draw = np.random.default_rng(seed)
    dtype = {16: "BF16", 32: "F32"}[bits]
    return {
        name: RawTensor(dtype, spec.shape, draw.integers(0, 2**bits, spec.shape, np.uint32).astype(f"<u{bits // 8}"))
        for name, spec in expected_tensors(config).items()
    }


def flip(folder, name, byte, bit=0):
    """Flip one bit of a tensor, counted from its first byte."""
    for path in folder.glob("*.safetensors"):
        if name in (tensors := read_header(path).tensors):
            with path.open("r+b") as file:
                file.seek(tensors[name].start + byte)
                value = file.read(1)[0]
                file.seek(-1, 1)
                file.write(bytes([value ^ 1 << bit]))


SHARDINGS = [
    Sharding(shard_bytes=1500),
    Sharding(by="layer"),
    Sharding(by="stage", parts=2, order="name"),
    Sharding(shard_bytes=10**6, order="stored"),
]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), bits=st.sampled_from([16, 32]), sharding=st.sampled_from(SHARDINGS))
def test_other_shards_and_layouts_are_no_difference(tmp_path_factory, seed, bits, sharding):
    folder = tmp_path_factory.mktemp("diff")
    a = written(folder / "a", random_weights(TINY, seed, bits), TINY)
    reshard(a, folder / "resharded", sharding)
    convert(a, folder / "single", Conversion(layout="per-expert"), sharding)
    for b in (folder / "resharded", folder / "single"):
        for report in (diff(a, b), diff(b, a), diff(folder / "single", b)):
            assert report.unequal() == []
            assert report.counts() == {"equal": len(expected_tensors(TINY, "per-expert"))}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data(), layout=st.sampled_from(["fused", "per-expert"]))
def test_one_flipped_bit_is_found_and_named_with_its_expert(tmp_path_factory, seed, data, layout):
    folder = tmp_path_factory.mktemp("diff")
    a = written(folder / "a", random_weights(TINY, seed, 16), TINY)
    convert(a, folder / "b", Conversion(layout=layout))
    expert, row, column, bit = (data.draw(st.integers(0, most)) for most in (3, 3, 7, 15))
    value = row * 8 + column
    if layout == "fused":
        name, value = "model.layers.2.mlp.experts.gate_up_proj", (expert * 8 + 4) * 8 + value
    else:
        name = f"model.layers.2.mlp.experts.{expert}.up_proj.weight"
    flip(folder / "b", name, 2 * value + bit // 8, bit % 8)
    (found,) = diff(a, folder / "b").unequal()
    assert found.name == f"model.layers.2.mlp.experts.{expert}.up_proj.weight"
    assert (found.verdict, found.differing, found.shape_a, found.form_a) == ("differs", 1, (4, 8), "BF16")


def test_differing_values_are_counted_and_measured(one):
    a, b = np.array([3.0, -4.0, 0.0, 0.0]), np.array([3.0, -4.0, 0.5, -1.0])
    found = one(tensor("F32", a), tensor("F32", b))
    assert (found.verdict, found.differing) == ("differs", 2)
    assert found.error.max_abs == 1.0
    assert found.error.relative_rms == pytest.approx(np.sqrt(1.25) / 5)
    assert found.error.signal_to_noise_db == pytest.approx(20 * np.log10(5 / np.sqrt(1.25)))


def test_integers_are_measured_too(one):
    found = one(tensor("I64", [2**40, 5]), tensor("I64", [2**40, 2]))
    assert (found.verdict, found.differing, found.error.max_abs) == ("differs", 1, 3.0)


def test_equal_bytes_are_equal_if_they_are_nan(one):
    assert one(tensor("F32", [np.nan, np.inf]), tensor("F32", [np.nan, np.inf])).verdict == "equal"


def test_a_nan_is_infinitely_far_from_a_number(one):
    found = one(tensor("F32", [1.0, np.nan, np.nan]), tensor("F32", [1.0, 2.0, np.nan]))
    assert (found.verdict, found.differing) == ("differs", 1)
    assert (found.error.max_abs, found.error.relative_rms) == (inf, inf)


def test_other_bits_of_the_same_value_differ_without_an_error(one):
    found = one(tensor("F32", [1.0, 0.0]), tensor("F32", [1.0, -0.0]))
    assert (found.verdict, found.differing, found.error.relative_rms) == ("differs", 1, 0.0)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 0, 4)])
def test_scalars_and_empty_tensors_are_compared(one, shape):
    assert one(tensor("F32", np.ones(shape)), tensor("F32", np.ones(shape))).verdict == "equal"


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_scalars_and_empty_tensors_are_cast(one, shape):
    assert one(tensor("F32", np.ones(shape)), tensor("BF16", np.ones(shape))).verdict == "cast"


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("BF16", "F32"), ("F16", "F32"), ("F32", "F64"), ("BF16", "F64"), ("I32", "I64"), ("U8", "I32")],
)
def test_a_cast_to_a_wider_dtype_keeps_the_values(one, narrow, wide):
    values = [1, 3, 64, 255]
    found = one(tensor(narrow, values), tensor(wide, values))
    assert (found.verdict, found.differing, found.error.max_abs) == ("cast", 0, 0.0)
    assert (found.form_a, found.form_b) == (narrow, wide)


def test_a_cast_keeps_nan_and_infinity(one):
    values = [np.nan, np.inf, -np.inf, 1.0]
    assert one(tensor("F32", values), tensor("F16", values)).verdict == "cast"


@pytest.mark.parametrize("swap", [False, True])
def test_a_cast_to_a_narrower_dtype_rounds(one, swap):
    wide = np.array([1 / 3, 2 / 3, 1.0])
    pair = [tensor("F32", wide), tensor("F16", wide)]
    found = one(*(reversed(pair) if swap else pair))
    assert (found.verdict, found.differing) == ("rounded", 2)
    assert 0 < found.error.relative_rms < 2**-11


def test_rounding_in_a_wrong_way_is_no_cast(one):
    """0.3333 is rounded up where the nearest is below: one bit of float16 too many."""
    nearest = np.array([1 / 3], "<f2")
    found = one(tensor("F32", [1 / 3]), RawTensor("F16", (1,), nearest.view("<u2") + np.uint16(1)))
    assert (found.verdict, found.differing) == ("differs", 1)


def test_another_shape_is_told_and_not_compared(one):
    found = one(tensor("F32", np.ones((2, 3))), tensor("F32", np.ones((3, 2))))
    assert (found.verdict, found.shape_a, found.shape_b, found.error) == ("shape", (2, 3), (3, 2), None)


def test_values_of_dtypes_that_are_not_decoded_differ_by_nobody_knows_what(one):
    found = one(RawTensor("F4", (4,), b"\x12\x34"), RawTensor("F4", (4,), b"\x12\x35"))
    assert (found.verdict, found.differing, found.error) == ("differs", None, None)


def test_what_only_one_has_is_named(compared):
    same = {"w": tensor("F32", [1.0])}
    report = compared(same | {"x": tensor("F32", [2.0])}, same | {"y": tensor("BF16", [2.0])})
    assert [(weight.verdict, weight.name) for weight in report.unequal()] == [("only in A", "x"), ("only in B", "y")]


def test_the_same_bytes_under_another_name_are_renamed(compared):
    a = {f"model.{name}.weight": tensor("F32", [value]) for name, value in [("norm", 1.0), ("embed", 2.0)]}
    b = {name.removeprefix("model."): raw for name, raw in a.items()}
    report = compared(a, b)
    assert {weight.name: weight.name_b for weight in report.weights} == {name: name[6:] for name in a}
    assert report.unequal(allow_renamed=True) == []
    assert len(report.unequal()) == 2


def test_of_many_equal_tensors_the_one_of_the_same_layer_is_the_renamed_one(compared):
    """Norms are all ones after initialisation; of layer 0, B has none."""
    ones = tensor("F32", np.ones(4))
    a = {f"model.layers.{layer}.mlp.post_mlp_layernorm.weight": ones for layer in (0, 1, 2)}
    b = {f"model.layers.{layer}.post_mlp_layernorm.weight": ones for layer in (1, 2, 5)}
    found = {weight.name: weight.name_b for weight in compared(a, b).weights if weight.verdict == "renamed"}
    assert found["model.layers.1.mlp.post_mlp_layernorm.weight"] == "model.layers.1.post_mlp_layernorm.weight"
    assert found["model.layers.2.mlp.post_mlp_layernorm.weight"] == "model.layers.2.post_mlp_layernorm.weight"


def test_other_bytes_dtypes_or_shapes_are_not_renamed(compared):
    a = {"a": tensor("F32", [0.0, 0.0]), "b": tensor("F32", [1.0])}
    b = {"c": tensor("I32", [0, 0]), "d": tensor("F32", [[0.0, 0.0]]), "e": tensor("F32", [2.0])}
    assert compared(a, b).counts() == {"only in A": 2, "only in B": 3}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A checkpoint of Gaussian weights that BF16 holds."""
    draw = np.random.default_rng(0)
    tensors = {
        name: tensor("BF16", 0.02 * draw.standard_normal(spec.shape)) for name, spec in expected_tensors(WIDE).items()
    }
    return written(tmp_path_factory.mktemp("wide") / "a", tensors, WIDE)


@pytest.mark.parametrize(("encoding", "expected"), [("fp8", 0.0266), ("int8", 0.0062), ("int4", 0.111)])
def test_quantised_weights_are_measured_as_convert_measures_them(wide, tmp_path, encoding, expected):
    convert(wide, tmp_path / "again", Conversion(weights="bf16"))
    errors = convert(wide, tmp_path / "b", Conversion(weights=encoding)).errors
    report = diff(wide, tmp_path / "b")
    found = {weight.name: weight.error for weight in report.weights if weight.verdict == "quantised"}
    assert found.keys() == errors.keys()
    for name, error in found.items():
        assert error.max_abs == errors[name].max_abs
        assert error.relative_rms == pytest.approx(errors[name].relative_rms, rel=1e-5)
        assert error.relative_rms == pytest.approx(expected, rel=0.15)
    assert len(report.unequal()) == len(found)
    assert report.unequal(1.2 * expected) == []
    assert len(report.unequal(0.8 * expected)) == len(found)


def test_dequantised_weights_are_the_same_values(wide, tmp_path):
    convert(wide, tmp_path / "fp8", Conversion(weights="fp8"))
    convert(tmp_path / "fp8", tmp_path / "bf16", Conversion(weights="bf16"))
    report = diff(tmp_path / "fp8", tmp_path / "bf16")
    assert report.counts().keys() == {"equal", "cast"}
    assert report.unequal(0) == []
    assert report.unequal() != []


def test_two_quantisations_are_held_against_each_other(wide, tmp_path):
    for encoding in ("fp8", "int8"):
        convert(wide, tmp_path / encoding, Conversion(weights=encoding))
    forms = {(w.form_a, w.form_b) for w in diff(tmp_path / "fp8", tmp_path / "int8").unequal()}
    assert ("fp8", "int8 in groups of 128") in forms


def test_a_flipped_bit_of_a_scale_is_a_difference_of_its_weight(wide, tmp_path):
    for name in ("a", "b"):
        convert(wide, tmp_path / name, Conversion(weights="int8"))
    flip(tmp_path / "b", "model.layers.1.mlp.experts.3.up_proj.weight_scale", 5, bit=2)
    (found,) = diff(tmp_path / "a", tmp_path / "b").unequal()
    assert (found.name, found.verdict) == ("model.layers.1.mlp.experts.3.up_proj.weight", "differs")
    assert 1 <= found.differing <= 128


def test_tolerance_is_for_other_forms_and_never_for_other_bytes_of_the_same(one, tmp_path):
    assert not one(tensor("F32", [1.0]), tensor("F32", [1.001])).passes(0.5, allow_renamed=True)
    report = diff(
        written(tmp_path / "c", {"w": tensor("F32", [1.001])}), written(tmp_path / "d", {"w": tensor("F16", [1.001])})
    )
    assert len(report.unequal()) == len(report.unequal(0)) == 1
    assert report.unequal(0.001) == []


@pytest.mark.parametrize("tolerance", [-1.0, float("nan")])
def test_a_tolerance_is_a_number_of_0_or_more(compared, tolerance):
    with pytest.raises(UsageError, match="tolerance must be a relative RMS of 0 or more, got"):
        compared(ONE, ONE).unequal(tolerance)


def test_headers_alone_say_names_shapes_and_dtypes(compared):
    a = {"same": tensor("F32", [1.0]), "cast": tensor("F32", [1.0]), "shape": tensor("F32", [1.0]), "a": bf16_one()}
    b = {"same": tensor("F32", [2.0]), "cast": bf16_one(), "shape": tensor("F32", [1.0, 1.0]), "b": bf16_one()}
    found = {weight.name: weight.verdict for weight in compared(a, b, headers_only=True).weights}
    assert found == {"same": "alike", "cast": "form", "shape": "shape", "a": "only in A", "b": "only in B"}


def bf16_one():
    return tensor("BF16", [1.0])


def test_differences_of_config_and_storage_are_told_and_do_not_count(tmp_path):
    weights = {"w": tensor("F32", [1.0])}
    a = written(tmp_path / "a", weights, {"x": 1, "y": {"z": [1, 2]}, "same": True})
    b = written(tmp_path / "b", weights, {"x": 1.5, "y": {"z": [1, 3]}, "same": True, "new": None})
    edit_header(b / "model.safetensors", lambda header: header.update(__metadata__={"format": "np"}))
    report = diff(a, b)
    assert report.unequal() == []
    assert report.config == {"x": ("1", "1.5"), "y.z": ("[1, 2]", "[1, 3]"), "new": (None, "null")}
    assert (report.a.metadata["format"], report.b.metadata["format"]) == ("pt", "np")


def test_a_quantisation_nobody_knows_is_compared_as_it_is_stored(tmp_path):
    weights = {"w.qweight": tensor("I32", [1]), "w.scales": tensor("F16", [1.0])}
    config = {"quantization_config": {"quant_method": "gptq"}}
    report = diff(written(tmp_path / "a", weights, config), written(tmp_path / "b", weights, config))
    assert report.counts() == {"equal": 2}
    assert 'quant_method must be "fp8" or "compressed-tensors", got \'gptq\'' in report.notes[0]


def test_a_missing_part_of_a_quantised_weight_is_one_line(wide, tmp_path):
    convert(wide, tmp_path / "b", Conversion(weights="fp8"))
    name = "model.layers.1.mlp.shared_experts.up_proj.weight_scale_inv"
    (tmp_path / "c").mkdir()
    kept = {
        other: RawTensor(info.dtype, info.shape, path.read_bytes()[info.start : info.start + info.nbytes])
        for path in (tmp_path / "b").glob("*.safetensors")
        for other, info in read_header(path).tensors.items()
        if other != name
    }
    write_checkpoint(kept, tmp_path / "c", 10**9)
    (tmp_path / "c" / "config.json").write_bytes((tmp_path / "b" / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=f"^{name} is missing"):
        diff(wide, tmp_path / "c")


@pytest.mark.parametrize("memory", [1, 2**20, 512 * 2**20])
def test_too_little_memory_is_refused_with_the_least(compared, memory):
    with pytest.raises(UsageError, match=r"memory must be at least [0-9,]+ bytes for [0-9]+ workers, got"):
        compared(ONE, ONE, memory=memory)


@pytest.mark.parametrize(("dtype", "verdict"), [("BF16", "equal"), ("F32", "cast")])
def test_a_tensor_larger_than_the_budget_is_compared_within_it(tmp_path, dtype, verdict):
    budget = 560 * 2**20
    for folder, kind, width in (("a", "BF16", 2), ("b", dtype, 4 if dtype == "F32" else 2)):
        (tmp_path / folder).mkdir()
        nbytes = 600 * 2**20 // 2 * width
        entry = {"dtype": kind, "shape": [300, 2**20], "data_offsets": [0, nbytes]}
        text = json.dumps({"w": entry}).encode()
        with (tmp_path / folder / "model.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + nbytes)  # a hole: zeros that take no disk
    code = (
        "import sys; from pathlib import Path; from modeling_axk1.weights.diff import diff\n"
        f"found = diff(Path(sys.argv[1]), Path(sys.argv[2]), memory={budget}, workers=2).weights[0].verdict\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(found, status.split('VmHWM:')[1].split()[0], 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, tmp_path / "a", tmp_path / "b"]
    found, peak, torch = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == verdict
    assert int(peak) * 1024 < budget
    assert torch == str(verdict != "equal")


def test_the_command_says_what_differs_and_exits_1(run_axk1, tmp_path):
    a, b = write_tiny(tmp_path / "a"), write_tiny(tmp_path / "b")
    same = run_axk1("weights", "diff", a, b)
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.splitlines()[-1] == "equal: 68 weights: 68 equal"
    flip(b, "model.layers.1.mlp.experts.down_proj", 2 * 32 * 2 + 4)
    other = run_axk1("weights", "diff", a, b)
    assert (other.returncode, other.stderr) == (1, "")
    assert other.stdout.splitlines()[-2].startswith("differs: model.layers.1.mlp.experts.2.down_proj.weight: BF16, 1 ")
    assert other.stdout.splitlines()[-1] == "not equal: 68 weights: 67 equal, 1 differs"
    machine = run_axk1("weights", "diff", a, b, "--json")
    found = json.loads(machine.stdout)
    assert (machine.returncode, found["equal"], found["counts"]) == (1, False, {"equal": 67, "differs": 1})
    assert found["weights"][0]["differing"] == 1


def test_layers_and_experts_are_one_line_and_with_tensors_a_line_each(run_axk1, tmp_path):
    a = write_tiny(tmp_path / "a")
    convert(a, tmp_path / "b", Conversion(weights="fp32"))
    groups = run_axk1("weights", "diff", a, tmp_path / "b", "--tolerance", "0")
    lines = run_axk1("weights", "diff", a, tmp_path / "b", "--tolerance", "0", "--tensors")
    line = "cast: 8 weights model.layers.[1-2].mlp.experts.[0-3].up_proj.weight: BF16 -> F32, the same values"
    assert line in groups.stdout.splitlines()
    assert (
        "cast: model.layers.2.mlp.experts.3.up_proj.weight: BF16 -> F32, the same values" in lines.stdout.splitlines()
    )
    assert groups.returncode == lines.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "no/such/folder"], "PLACE must be a folder with a checkpoint, an address"),
        (
            ["a", "a", "--headers-only", "--tolerance", "0"],
            "a tolerance is about values, and --headers-only reads none",
        ),
        (["a", "a", "--memory", "much"], 'a size must look like "5GB"'),
        (["a", "a", "--tolerance", "-1"], "tolerance must be a relative RMS of 0 or more, got -1.0"),
        (["a"], "missing argument 'B'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run_axk1, tmp_path, arguments, message):
    write_tiny(tmp_path / "a")
    result = run_axk1("weights", "diff", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def no_header(path):
    path.write_bytes(b"\xff" * 100)


@pytest.mark.parametrize("damage", [truncated, no_header])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_damaged_shard_is_one_line_and_exit_1(run_axk1, tmp_path, damage, side):
    for name in ("a", "b"):
        write_tiny(tmp_path / name)
    damage(tmp_path / side / "model-00002-of-00003.safetensors")
    result = run_axk1("weights", "diff", tmp_path / "a", tmp_path / "b")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert "model-00002-of-00003.safetensors" in result.stderr


def test_a_config_nested_too_deeply_is_one_line(tmp_path):
    a = written(tmp_path / "a", ONE)
    (a / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000)
    with pytest.raises(WeightsError, match=r"config\.json must .* nest"):
        diff(a, a)


def test_experts_by_the_billion_in_an_empty_tensor_are_refused(compared):
    tensors = {"model.layers.1.mlp.experts.down_proj": RawTensor("F32", (10**12, 0, 2), b"")}
    with pytest.raises(WeightsError, match="must hold at most 1,024 experts, got 1,000,000,000,000"):
        compared(tensors, tensors)


def test_a_shard_that_shrinks_after_its_header_was_read_is_an_error(tmp_path, monkeypatch):
    a, b = write_tiny(tmp_path / "a"), write_tiny(tmp_path / "b")

    def shrink(checkpoint):
        truncated(b / "model-00002-of-00003.safetensors")
        return weights_of(checkpoint)

    monkeypatch.setattr("modeling_axk1.weights.diff.weights_of", shrink)
    with pytest.raises(WeightsError, match=r"model-00002-of-00003\.safetensors became shorter while it was read"):
        diff(a, b)
