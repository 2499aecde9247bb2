"""A header is hostile until proven sound: whatever comes in, a Header or a WeightsError comes out."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.header import read_header

SOUND = {
    "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
    "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]},
    "c": {"dtype": "U8", "shape": [0], "data_offsets": [22, 22]},
}


def file_of(header: object, data: int = 22) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def changed(name: str, **fields: object) -> dict:
    return SOUND | {name: SOUND[name] | fields}


def read(tmp_path, raw: bytes):
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    return read_header(path)


def test_a_sound_header_says_where_each_tensor_lies(tmp_path):
    raw = file_of(SOUND | {"__metadata__": {"format": "pt"}})
    header = read(tmp_path, raw)
    assert list(header.tensors) == ["a", "b", "c"]
    assert header.tensors["b"].start == header.data_start + 16
    assert header.tensors["b"].shape == (3,)
    assert (header.tensors["a"].elements, header.tensors["a"].nbytes) == (4, 16)
    assert header.metadata == {"format": "pt"}
    assert header.file_size == len(raw)


def test_tensors_come_in_the_order_of_their_bytes_whatever_the_json_says(tmp_path):
    assert list(read(tmp_path, file_of(dict(reversed(SOUND.items())))).tensors) == ["a", "b", "c"]


def test_what_the_stock_library_writes_is_read(tmp_path):
    arrays = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array(7, np.int64), "z": np.zeros(0, np.int8)}
    header = read(tmp_path, save(arrays))
    assert {name: info.shape for name, info in header.tensors.items()} == {k: v.shape for k, v in arrays.items()}


BAD = {
    "no file at all": (b"", "is truncated: 0 bytes"),
    "length only": (b"\xff" * 8, "must be at most 100,000,000 bytes"),
    "header longer than the file": ((1000).to_bytes(8, "little") + b"{}", "its header alone takes 1,008"),
    "data cut off": (file_of(SOUND, 10), "its header promises"),
    "bytes left over": (file_of(SOUND, 30), "must end with its last tensor"),
    "not JSON": (file_of(b"hello"), "must be a JSON object"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "must be a JSON object"),
    "a list": (file_of(b"[]"), "got a list"),
    "deep nesting": (file_of(b"[" * 200_000), "nesting too deep"),
    "endless digits": (file_of(b'{"a": ' + b"9" * 5000 + b"}"), "must be a JSON object"),
    "NaN": (file_of(b'{"a": NaN}'), "NaN is not a JSON value"),
    "the same name twice": (file_of(b'{"a": 1, "a": 2}'), "'a' stands there twice"),
    "an entry that is no object": (file_of({"a": 5}), "must have dtype, shape and data_offsets"),
    "an unknown key": (file_of(changed("a", extra=1)), "and nothing else"),
    "an unknown dtype": (file_of(changed("a", dtype="F31")), "dtype must be one of"),
    "a dtype that is no string": (file_of(changed("a", dtype=[1])), "dtype must be a string"),
    "a negative dimension": (file_of(changed("a", shape=[-2, -2])), "integers in"),
    "a boolean dimension": (file_of(changed("a", shape=[True, 4])), "integers in"),
    "a dimension of 2^63": (file_of(changed("a", shape=[2**63])), "integers in"),
    "65 dimensions": (file_of(changed("a", shape=[1] * 65)), "at most 64"),
    "offsets of 2^63": (file_of(changed("b", data_offsets=[2**63, 2**63 + 6])), "data_offsets must be"),
    "offsets just below": (file_of(changed("b", data_offsets=[2**63 - 7, 2**63 - 1])), "leaves a hole"),
    "falling offsets": (file_of(changed("a", data_offsets=[16, 0])), "two rising integers"),
    "bytes that do not fit the shape": (file_of(changed("a", shape=[3, 2])), "takes 24 bytes, its offsets span 16"),
    "half a byte": (file_of(changed("a", dtype="F4", shape=[3])), "whole bytes"),
    "overlapping tensors": (file_of(changed("b", data_offsets=[10, 16])), "b overlaps the tensor before it"),
    "a hole": (file_of(changed("b", data_offsets=[17, 23]), 23), "leaves a hole before it"),
    "a name of two lines": (file_of({"a\nb": SOUND["a"]}, 16), "printable characters"),
    "a lone surrogate": (file_of(b'{"\\ud800": 1}'), "printable characters"),
    "metadata that is no text": (file_of(SOUND | {"__metadata__": {"a": 1}}), "must map names to strings"),
}


@pytest.mark.parametrize("case", BAD)
def test_damage_is_named_in_one_line_with_the_file(tmp_path, case):
    raw, message = BAD[case]
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, raw)
    text = str(caught.value)
    assert "model.safetensors" in text
    assert message in text
    assert text.isprintable()
    assert len(text) < 400


def test_a_folder_in_place_of_a_shard_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="must be a regular file"):
        read_header(tmp_path)


def survives(tmp_path, raw: bytes) -> None:
    try:
        read(tmp_path, raw)
    except WeightsError as error:
        refusal = str(error)
    else:
        deserialize(raw)  # what we accept, the stock library accepts
        return
    assert refusal.isprintable()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("headers")


@given(raw=st.binary(max_size=300))
@settings(max_examples=300)
def test_random_bytes_never_raise_anything_else(scratch, raw):
    survives(scratch, raw)
    survives(scratch, file_of(raw, 0))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(name=st.sampled_from("abc"), field=st.sampled_from(["dtype", "shape", "data_offsets"]), value=json_values)
@settings(max_examples=300)
def test_mutated_headers_never_raise_anything_else(scratch, name, field, value):
    survives(scratch, file_of(changed(name, **{field: value})))


@given(at=st.integers(0, 250), byte=st.integers(0, 255))
@settings(max_examples=500)
def test_one_flipped_byte_never_misleads(scratch, at, byte):
    raw = bytearray(file_of(SOUND))
    raw[at % len(raw)] = byte
    survives(scratch, bytes(raw))


@given(cut=st.integers(0, 400))
def test_every_truncation_is_noticed(scratch, cut):
    raw = file_of(SOUND)
    with pytest.raises(WeightsError):
        read(scratch, raw[: cut % len(raw)])


def test_the_stock_library_agrees_on_every_dtype_and_its_width():
    from modeling_axk1.weights.dtypes import DTYPE_BITS

    for dtype, bits in DTYPE_BITS.items():
        deserialize(file_of({"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, bits]}}, bits))
    with pytest.raises(SafetensorError) as caught:
        deserialize(file_of({"a": {"dtype": "?", "shape": [], "data_offsets": [0, 1]}}, 1))
    listed = str(caught.value).split("expected one of", 1)[1].replace("`", "").split(" at line")[0]
    assert [dtype.strip() for dtype in listed.split(",")] == list(DTYPE_BITS)
