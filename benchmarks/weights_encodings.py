"""What FP8, INT8 and INT4 cost in precision and time: Gaussian weights of an expert's shape, encoded and decoded again.

    python benchmarks/weights_encodings.py [--one-thread] [--out FOLDER]

The peer for whole numbers is compressed-tensors' own compressor, on the same weights in the same run; FP8 has none on a
CPU. Only ratios of medians are worth quoting; MB/s are of the weights as they lie in BF16.
"""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from measure import alternate, ratio, write_runs
from torch import Tensor

from modeling_axk1.weights.encodings import Encoding, encoding_named
from modeling_axk1.weights.quantize import decode_rows, encode_rows, error_of

SHAPE = (2048, 7168)  # gate_proj of one expert of the release
STANDARD_DEVIATION = 0.02
REPEATS = 7


def peer_of(encoding: Encoding, weight_FD: Tensor) -> dict[str, Callable[[], object]]:
    """Return compressed-tensors' way to encode and decode, by name; empty for FP8."""
    if encoding.name == "fp8":
        return {}
    arguments = QuantizationArgs(num_bits=encoding.bits, type="int", strategy="group", group_size=encoding.group_size)
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments, format="pack-quantized")

    def encode() -> dict[str, Tensor]:
        low, high = weight_FD.unflatten(-1, (-1, encoding.group_size)).aminmax(dim=-1)
        scale = calculate_qparams(low, high, arguments)[0]
        return PackedQuantizationCompressor.compress({"weight": weight_FD, "weight_scale": scale}, scheme)

    stored = encode()
    return {
        "peer encodes": encode,
        "peer decodes": lambda: PackedQuantizationCompressor.decompress(dict(stored), scheme),
    }


def runs(clock: Callable[[], float]) -> Iterator[dict[str, Any]]:
    """Yield one row per encoding: how far it is off, how fast it is, and how many times as fast as the peer."""
    weight_FD = (torch.randn(SHAPE) * STANDARD_DEVIATION).to(torch.bfloat16)
    for name in ("fp8", "int8", "int4"):
        encoding = encoding_named(name)
        stored = encode_rows(encoding, weight_FD.float())
        functions: dict[str, Callable[[], object]] = {
            "encodes": lambda encoding=encoding: encode_rows(encoding, weight_FD.float()),
            "decodes": lambda encoding=encoding, stored=stored: decode_rows(encoding, stored, torch.bfloat16),
            **peer_of(encoding, weight_FD),
        }
        seconds = alternate(functions, REPEATS, clock=clock)
        megabytes = 2 * weight_FD.numel() / 1e6
        yield {
            "encoding": name,
            "group_size": encoding.group_size,
            **error_of(weight_FD.float(), decode_rows(encoding, stored)).as_dict(),
            "mb_per_s": {name: round(megabytes / statistics.median(taken)) for name, taken in seconds.items()},
            "times_as_fast_as_peer": {
                name: round(ratio(seconds, f"peer {name}", name), 2)
                for name in ("encodes", "decodes")
                if f"peer {name}" in seconds
            },
        }


if __name__ == "__main__":
    settings = {"shape": SHAPE, "standard_deviation": STANDARD_DEVIATION, "repeats": REPEATS}
    write_runs("weights_encodings", __doc__, 0, runs, **settings)
