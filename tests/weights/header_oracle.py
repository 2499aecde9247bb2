"""The stock library as the judge of our reader: what we accept, it accepts and understands in the same way."""

from safetensors import SafetensorError, deserialize

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.header import Header, header_length, parse_header


def file_of(header: bytes, data: bytes = b"") -> bytes:
    """The bytes of a file with this text as its header."""
    return len(header).to_bytes(8, "little") + header + data


def ours(raw: bytes) -> Header:
    """Read the header of a file of these bytes."""
    length = header_length(raw[:8], len(raw), "file")
    return parse_header(raw[8 : 8 + length], len(raw), "file")


def one_line(refusal: str) -> None:
    """A refusal that a person reads on one line of a terminal."""
    assert refusal.isprintable(), ascii(refusal)
    assert len(refusal) < 1000


def agree(raw: bytes) -> bool:
    """Whether our reader accepts a file; fails where the stock library then refuses it or reads something else."""
    try:
        header = ours(raw)
    except WeightsError as error:
        one_line(str(error))
        return False
    try:
        theirs = deserialize(raw)
    except SafetensorError as error:
        raise AssertionError(f"we accept what the stock library refuses: {error}: {raw!r:.2000}") from None
    expected = {name: (entry["dtype"], entry["shape"], bytes(entry["data"])) for name, entry in theirs}
    found = {
        name: (tensor.dtype, list(tensor.shape), raw[tensor.start : tensor.start + tensor.nbytes])
        for name, tensor in header.tensors.items()
    }
    assert found == expected
    return True
