"""Whatever a header, an index or a config says: it is read as the stock library reads it, or refused in one line.

Without coverage guidance, which was tried (atheris): the JSON parser is C that it cannot see into, so that four
million inputs got no further than the parser's first refusals. Mutated tokens pass it and meet our rules.
"""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.checkpoint import scan_checkpoint
from modeling_axk1.weights.dtypes import DTYPE_BITS
from modeling_axk1.weights.names import expected_tensors, parameters
from modeling_axk1.weights.plan import INDEX_FILE
from modeling_axk1.weights.verify import verify
from tests.weights.checkpoints import TINY, write_tiny
from tests.weights.header_oracle import agree, file_of, one_line
from tests.weights.mutations import each_token_changed, mutated

DATA = bytes(i * 7 % 256 for i in range(22))
SOUND = json.dumps(
    {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
        "c": {"dtype": "U8", "shape": [0], "data_offsets": [22, 22]},
        "d": {"dtype": "F4", "shape": [], "data_offsets": [22, 22]},
    }
).replace('"F4", "shape": []', '"F4", "shape": [0]')


def test_the_sound_one_is_accepted():
    assert agree(file_of(SOUND.encode(), DATA))


def test_every_token_replaced_by_everything():
    accepted = [text for text in each_token_changed(SOUND) if agree(file_of(text.encode("utf-8", "replace"), DATA))]
    assert 0 < len(accepted) < 2000


@given(text=mutated(SOUND), data=st.just(DATA) | st.binary(max_size=40))
@settings(max_examples=1000, deadline=None)
def test_mutated_headers(text, data):
    agree(file_of(text.encode("utf-8", "surrogatepass"), data))


sizes = st.integers(0, 4) | st.sampled_from([2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64])


@given(
    entries=st.lists(
        st.tuples(
            st.text(max_size=3),
            st.sampled_from(list(DTYPE_BITS)),
            st.lists(sizes, max_size=4),
            st.integers(-1, 1) | sizes,
            st.integers(-1, 1) | sizes,
        ),
        max_size=4,
    ),
    data=st.binary(max_size=64),
)
@settings(max_examples=1000, deadline=None)
@example(entries=[("a", "U8", [2**62, 2**62, 0], 0, 0)], data=b"")
@example(entries=[("a", "U8", [0, 2**62, 2**62], 0, 0)], data=b"")
@example(entries=[("a", "U8", [2**63 - 1], 0, 0)], data=b"")
def test_headers_of_odd_shapes_and_offsets(entries, data):
    """Offsets are those that the shapes ask for, give or take one, or anything."""
    header, end = {}, 0
    for name, dtype, shape, start_by, end_by in entries:
        nbytes = DTYPE_BITS[dtype]
        for size in shape:
            nbytes *= size
        start = end + start_by if abs(start_by) < 2 else start_by
        end = start + nbytes // 8 + end_by if abs(end_by) < 2 else end_by
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    agree(file_of(json.dumps(header).encode(), data))


@given(raw=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes(raw):
    agree(raw)
    agree(file_of(raw))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("fuzz") / "checkpoint")


def all_said(folder) -> None:
    for problem in scan_checkpoint(folder).problems + verify(folder, values=False, checksums=False).problems:
        one_line(problem)


INDEX = json.dumps(
    {
        "metadata": {"total_size": 5644},
        "weight_map": {
            "model.embed_tokens.weight": "model-00001-of-00003.safetensors",
            "model.norm.weight": "model-00003-of-00003.safetensors",
        },
    }
)


@given(text=mutated(INDEX))
@settings(max_examples=200, deadline=None)
def test_mutated_indexes(folder, text):
    (folder / INDEX_FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    all_said(folder)


@given(text=mutated(json.dumps(TINY)))
@settings(max_examples=200, deadline=None)
def test_mutated_configs(folder, text):
    (folder / INDEX_FILE).write_text(INDEX)
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    all_said(folder)


@given(key=st.sampled_from(list(TINY)), value=st.integers() | st.floats() | st.none() | st.text() | st.lists(st.text()))
@settings(max_examples=200, deadline=None)
def test_configs_with_any_value(key, value):
    """The functions that anybody may call with a dict of their own."""
    for function in (expected_tensors, parameters):
        try:
            function(TINY | {key: value})
        except WeightsError as error:
            one_line(str(error))
