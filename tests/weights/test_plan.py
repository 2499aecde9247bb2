"""A plan covers every byte of every tensor once, in order, within the limit."""

import json
from collections import Counter
from itertools import pairwise
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import deserialize

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.checkpoint import open_checkpoint
from modeling_axk1.weights.convert import Conversion, plan_convert
from modeling_axk1.weights.cut import layer_of
from modeling_axk1.weights.encodings import encoding_named, stored_bytes, stored_tensors
from modeling_axk1.weights.execute import execute
from modeling_axk1.weights.names import expected_tensors
from modeling_axk1.weights.order import BYS, ORDERS, Sharding
from modeling_axk1.weights.plan import Plan, lay_out, parse_size, plan_shards
from modeling_axk1.weights.reshard import plan_reshard
from modeling_axk1.weights.runs import Run
from modeling_axk1.weights.sparse import write_sparse_checkpoint
from modeling_axk1.weights.steps import Bundle, Copy, Fill, Recode, Step
from tests.goldens import assert_golden
from tests.weights.checkpoints import QUANTISABLE, RELEASE, TINY, tiny_configs, write_model

sizes = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 100), max_size=40)


@given(sizes, st.integers(1, 120))
def test_every_tensor_once_in_order_and_no_shard_over_the_limit_but_a_single_tensor(sizes, limit):
    shards = plan_shards(sizes, limit)
    assert [name for shard in shards for name in shard.tensors] == list(sizes)
    for shard in shards:
        assert shard.nbytes == sum(sizes[name] for name in shard.tensors)
        assert shard.nbytes <= limit or len(shard.tensors) == 1


@given(sizes, st.integers(1, 120))
def test_no_shard_could_have_taken_the_next_tensor(sizes, limit):
    shards = plan_shards(sizes, limit)
    for shard, following in pairwise(shards):
        assert shard.nbytes + sizes[following.tensors[0]] > limit


def test_one_shard_is_one_file_and_several_are_numbered():
    assert [shard.file_name for shard in plan_shards({"a": 6, "b": 5, "c": 4}, 15)] == ["model.safetensors"]
    assert [(shard.file_name, shard.tensors) for shard in plan_shards({"a": 6, "b": 5, "c": 4}, 9)] == [
        ("model-00001-of-00002.safetensors", ("a",)),
        ("model-00002-of-00002.safetensors", ("b", "c")),
    ]


def test_a_tensor_larger_than_the_limit_gets_a_shard_of_its_own():
    assert [shard.tensors for shard in plan_shards({"a": 1, "b": 99, "c": 1}, 10)] == [("a",), ("b",), ("c",)]


def test_nothing_needs_no_shard():
    assert plan_shards({}, 10) == []


def test_a_limit_below_one_byte_is_refused():
    with pytest.raises(WeightsError, match="at least 1, got 0"):
        plan_shards({"a": 1}, 0)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("5GB", 5 * 10**9), ("1 GiB", 2**30), ("500mb", 5 * 10**8), ("123", 123), ("2TB", 2 * 10**12)]
)
def test_sizes_are_read_as_people_write_them(text, nbytes):
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "0", "-5GB", "5 gigs", "1.5GB", "GB", "9" * 400])
def test_other_sizes_are_wrong_use(text):
    with pytest.raises(UsageError, match="a size must look like"):
        parse_size(text)


def written_by(step: Step) -> list[tuple[str, Run]]:
    """Every tensor that a step writes to, and where in it."""
    if isinstance(step, Recode):
        return [(tensor, run) for _, tensor, run in step.target]
    return [(step.tensor, step.run if isinstance(step, Copy) else Run(0, len(step.data)))]


def times_written(plan: Plan, limit: int | None = None) -> set[int]:
    """How often bytes of the target's tensors are written; with a limit, by the steps in pieces."""
    times: set[int] = set()
    for shard in plan.shards:
        count = np.zeros(shard.file_size, int)
        count[: len(shard.header)] = 1
        for whole in shard.steps:
            for step in [whole] if limit is None else whole.chunks(limit):
                assert step.nbytes == sum(run.nbytes for _, run in written_by(step))
                for tensor, run in written_by(step):
                    for start, length in run.shifted(shard.starts[tensor]).pieces():
                        count[start : start + length] += 1
        times |= set(count.tolist())
    return times


def times_read(plan: Plan, source: Path) -> Counter:
    """How often bytes of the source's tensors are read, by tensor."""
    headers = open_checkpoint(source).shards
    count = {file: np.zeros(header.file_size, int) for file, header in headers.items()}
    for shard in plan.shards:
        for step in shard.steps:
            for place in step.places:
                for start, length in place.run.pieces():
                    count[place.file][start : start + length] += 1
    return {
        name: set(count[file][tensor.start : tensor.start + tensor.nbytes].tolist())
        for file, header in headers.items()
        for name, tensor in header.tensors.items()
    }


def planned_tensors(plan: Plan, folder: str = "") -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors that headers announce, as the stock library reads them."""
    found = {}
    for shard in plan.shards:
        if shard.file_name.startswith(folder):
            data = bytes(shard.file_size - len(shard.header))
            assert len(shard.header) % 8 == 0
            for name, entry in deserialize(shard.header + data):
                found[name] = (entry["dtype"], tuple(entry["shape"]))
    return found


@st.composite
def shardings(draw, by=BYS):
    by = draw(st.sampled_from(by))
    limit = draw(st.none() | st.integers(1, 3000))
    return Sharding(by, 1 if by == "stage" else 2 if "rank" in by else None, limit, draw(st.sampled_from(ORDERS)))


@settings(max_examples=60, deadline=None)
@given(tiny_configs(even=2), st.sampled_from(["fused", "per-expert"]), shardings(), st.integers(1, 300))
def test_however_resharded_every_byte_is_written_once_and_read_as_often_as_it_is_held(config, layout, sharding, limit):
    config |= {"n_routed_experts": 4}  # so that two ranks have some
    with TemporaryDirectory() as folder:
        source = write_model(Path(folder) / "source", config, layout)
        try:
            plan, _ = plan_reshard(source, sharding)
        except UsageError:  # no routed experts in this config to divide
            assert sharding.by == "expert-rank"
            return
        assert plan_reshard(source, sharding)[0] == plan
        assert times_written(plan) == times_written(plan, limit) == {1}
        read = times_read(plan, source)
    ranks = sharding.parts if "rank" in sharding.by else 1
    folders = [f"rank-{rank:05d}-of-{ranks:05d}/" for rank in range(ranks)] if "rank" in sharding.by else [""]
    for name, spec in expected_tensors(config, layout).items():
        held = [planned[name][1] for planned in (planned_tensors(plan, at) for at in folders) if name in planned]
        copies = sum(map(prod, held)) // prod(spec.shape)
        assert copies in (1, ranks)
        assert read[name] == {copies}


@settings(max_examples=60, deadline=None)
@given(tiny_configs(), shardings(["size", "layer", "stage"]))
def test_shards_keep_their_limit_their_group_and_the_index_lists_every_tensor(config, sharding):
    with TemporaryDirectory() as folder:
        plan, _ = plan_reshard(write_model(Path(folder) / "source", config), sharding)
    for shard in plan.shards:
        assert sharding.shard_bytes is None or shard.nbytes <= sharding.shard_bytes or len(shard.starts) == 1
        if sharding.by == "layer":
            layers = {layer_of(name) for name in shard.starts}
            assert len(layers) == 1
    files = {name: shard.file_name for shard in plan.shards for name in shard.starts}
    assert files.keys() == expected_tensors(config).keys()
    if len(plan.shards) > 1:
        index = json.loads(plan.files["model.safetensors.index.json"])
        assert index["weight_map"] == files
        assert index["metadata"]["total_size"] == plan.nbytes
        assert index["metadata"]["total_parameters"] == sum(prod(s.shape) for s in expected_tensors(config).values())
    else:
        assert plan.files == {}


FORMS = [None, "bf16", "fp16", "fp32", "fp8", "int8", "int4"]


@pytest.fixture(scope="module")
def quantisable(tmp_path_factory) -> dict[str, Path]:
    """One model in both layouts and all encodings."""
    folder = tmp_path_factory.mktemp("quantisable")
    config = QUANTISABLE | {"num_nextn_predict_layers": 1, "use_router_bias": True}
    found = {layout: write_model(folder / layout, config, layout, 60_000) for layout in ("fused", "per-expert")}
    for form in ("fp8", "int8", "int4"):
        execute(*plan_convert(found["fused"], Conversion(weights=form), Sharding(shard_bytes=50_000)), folder / form)
        found[form] = folder / form
    return found


@pytest.mark.parametrize("source", ["fused", "per-expert", "fp8", "int8", "int4"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layout", [None, "fused", "per-expert"])
def test_however_converted_every_byte_is_written_once(quantisable, source, form, layout):
    if layout == "fused" and form in ("fp8", "int8", "int4"):
        return  # wrong use, see test_convert
    conversion = Conversion(layout=layout, weights=form)
    sharding = Sharding("layer" if form else "size", shard_bytes=40_000)
    if layout == "fused" and form is None and source in ("fp8", "int8", "int4"):
        with pytest.raises(WeightsError, match="quantised experts are stored one by one"):
            plan_convert(quantisable[source], conversion, sharding)
        return
    if form == "fp8" and source in ("int8", "int4"):  # whose blocks do not fit all that groups do
        with pytest.raises(WeightsError, match=r"q_a_proj\.weight is quantised, and fp8 would not quantise it"):
            plan_convert(quantisable[source], conversion, sharding)
        return
    plan, _ = plan_convert(quantisable[source], conversion, sharding)
    assert times_written(plan) == times_written(plan, 1000) == {1}
    read = times_read(plan, quantisable[source])
    assert all(times == {1} for name, times in read.items() if not name.endswith("weight_shape"))
    config = json.loads(plan.files["config.json"])
    if config.get("quantization_config"):
        expected = {name: spec.shape for name, spec in stored_tensors(config).items()}
    else:
        layout = layout or ("fused" if source == "fused" else "per-expert")
        expected = {name: spec.shape for name, spec in expected_tensors(config, layout).items()}
    assert {name: shape for name, (_, shape) in planned_tensors(plan).items()} == expected
    for name, (dtype, _) in planned_tensors(plan).items():
        if name.endswith("e_score_correction_bias"):
            assert dtype == "F32"


def test_parts_of_a_quantised_weight_lie_in_one_shard_whatever_the_limit(quantisable):
    for form in ("fp8", "int8", "int4"):
        for order in ORDERS:
            plan, _ = plan_reshard(quantisable[form], Sharding(shard_bytes=1, order=order))
            for shard in plan.shards:
                assert len({name.split(".weight")[0] for name in shard.starts}) == 1


def test_a_shard_is_written_from_its_beginning_to_its_end(quantisable):
    for source in ("fused", "per-expert"):
        for layout in ("fused", "per-expert"):
            plan, _ = plan_convert(quantisable[source], Conversion(layout=layout))
            for shard in plan.shards:
                starts = [shard.starts[step.tensor] + step.start for step in shard.steps]
                assert starts == sorted(starts)


def test_a_plan_of_no_tensors_or_of_one_twice_is_refused():
    twice = Bundle({"a": ("U8", (1,))}, (Fill("a", b"x"),), 1)
    for limit in (1, None):
        with pytest.raises(WeightsError, match="every tensor once, got one twice"):
            lay_out([twice, twice], limit)
    with pytest.raises(WeightsError, match="at least one tensor, got none"):
        lay_out([])


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    write_sparse_checkpoint(folder, RELEASE)
    return folder


@pytest.mark.parametrize(
    ("sharding", "shards", "copies"),
    [
        (Sharding(), 181, 976),
        (Sharding("layer"), 63, 976),
        (Sharding("stage", 8, 10**10), 128, 976),
        (Sharding("tensor-rank", 32), 256, 32 * 976),
        (Sharding("expert-rank", 8), 256, 8 * 976),
    ],
)
def test_the_release_is_resharded_from_its_headers_alone(release, sharding, shards, copies):
    plan, _ = plan_reshard(release, sharding)
    assert (len(plan.shards), plan.tensors) == (shards, copies)
    assert plan.nbytes >= 1_037_966_118_912
    assert (plan.nbytes == 1_037_966_118_912) == (copies == 976)


@pytest.mark.parametrize("weights", [None, "int4"])
def test_the_release_is_converted_from_its_headers_alone(release, weights):
    plan, _ = plan_convert(release, Conversion(layout="per-expert", weights=weights))
    encoding = encoding_named(weights) if weights else None
    assert plan.nbytes == stored_bytes(RELEASE, encoding)
    index = json.loads(plan.files["model.safetensors.index.json"])
    assert index["metadata"] == {"total_parameters": 518_983_059_456, "total_size": plan.nbytes}


SMALL = TINY | {"num_hidden_layers": 2, "n_routed_experts": 2, "num_experts_per_tok": 1}


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("reshard_by_layer", lambda source: plan_reshard(source, Sharding("layer"))),
        ("reshard_by_tensor_rank", lambda source: plan_reshard(source, Sharding("tensor-rank", 2))),
        ("convert_per_expert", lambda source: plan_convert(source, Conversion(layout="per-expert", model_type="AXK1"))),
    ],
)
def test_golden_plans(tmp_path, name, plan):
    """The exact plans for a tiny model of two layers; a change here changes what everybody's files look like."""
    assert_golden(f"weights/plans/{name}.json", described(plan(write_model(tmp_path / "source", SMALL))[0]))


def test_golden_plan_of_a_quantisation(tmp_path):
    source = write_model(tmp_path / "source", QUANTISABLE | {"first_k_dense_replace": 2, "num_hidden_layers": 1})
    plan, _ = plan_convert(source, Conversion(weights="int4", group_size=32))
    assert_golden("weights/plans/convert_int4.json", described(plan))


def described(plan: Plan) -> str:
    """A plan as JSON that a person can read."""
    shards = [
        {
            "file": shard.file_name,
            "bytes": shard.file_size,
            "header": {name: entry_described(entry) for name, entry in json.loads(shard.header[8:]).items()},
            "steps": [step_described(step) for step in shard.steps],
        }
        for shard in plan.shards
    ]
    files = {name: json.loads(content) for name, content in plan.files.items()}
    return json.dumps({"shards": shards, "copied": plan.copied, "files": files}, indent=1) + "\n"


def entry_described(entry: dict) -> str:
    if "dtype" not in entry:
        return json.dumps(entry)
    start, end = entry["data_offsets"]
    return f"{entry['dtype']} {entry['shape']} at [{start}:{end}]"


def step_described(step: Step) -> str:
    target = " + ".join(f"{tensor}{run_described(run)}" for tensor, run in written_by(step))
    if isinstance(step, Fill):
        return f"{target} = {step.data.hex()}"
    source = " + ".join(f"{place.file}{run_described(place.run)}" for place in step.places)
    if isinstance(step, Copy):
        return f"{target} <- {source}"
    form = step.target_form if isinstance(step.target_form, str) else step.target_form.name
    return f"{target} <- {source}: {step.rows} x {step.columns} from {step.source_form} to {form}"


def run_described(run: Run) -> str:
    often = f" x {run.count} every {run.stride}" if run.count > 1 else ""
    return f"[{run.start}:{run.start + run.length}{often}]"
