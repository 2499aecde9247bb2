"""Which 8- and 4-bit forms a checkpoint may be stored in, how each stores a weight, and what config.json says of it.

    fp8    block FP8, as DeepSeek-V3 stores it: X.weight in E4M3, and X.weight_scale_inv, one F32 for 128 x 128 of them
    int8   groups of whole numbers, as compressed-tensors stores them ("pack-quantized"): X.weight_packed, eight-bit
    int4   or four-bit numbers in 32-bit words; X.weight_scale, one BF16 for `group_size` inputs; X.weight_shape

A weight is [out, in]. Routed experts are stored one by one (the "per-expert" layout), the only one in which vLLM and
transformers read quantised experts. Sources: the code that reads these forms in vLLM 0.32 (models/AXK1.py,
quantization/fp8.py, compressed_tensors/), transformers 5.23 (integrations/) and compressed-tensors 0.20.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Any, Literal, get_args

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.names import TensorSpec, expected_tensors

EncodingName = Literal["fp8", "int8", "int4"]

FP8_BLOCK = 128
DEFAULT_GROUP_SIZE = 128
_WORD_BITS = 32

# Attention's projections and all MLPs, which are all but 0.5 % of the release. As in DeepSeek-V3's own FP8 release,
# embeddings, output head, norms, the router (rounding it would choose other experts) and a multi-token prediction
# module's eh_proj stay as they are. kv_b_proj is quantised there too: whoever absorbs it into the queries, as vLLM
# and we do, decodes it once at loading.
_QUANTISED = re.compile(
    r"\.(self_attn\.(q_a_proj|q_b_proj|kv_a_proj_with_mqa|kv_b_proj|o_proj)"
    r"|mlp\.(shared_experts\.|experts\.[0-9]+\.)?(gate_proj|up_proj|down_proj))\.weight$"
)
# What engines join into one matrix must be quantised whole or not at all: vLLM joins q_a_proj and kv_a_proj_with_mqa,
# and holds a layer's experts in one kernel.
_JOINED = re.compile(r"(self_attn\.(?=q_a_proj|kv_a_proj)|mlp\.(?:experts\.)?).*$")


@dataclass(frozen=True)
class Encoding:
    """One way to store a weight [out, in]: `group_size` inputs, and in fp8 as many outputs, share a scale.

    Make one with `encoding_named` or `encoding_of`.
    """

    name: EncodingName
    group_size: int

    @property
    def bits(self) -> int:
        """Bits of a stored weight, without its share of a scale."""
        return 4 if self.name == "int4" else 8

    @property
    def row_multiple(self) -> int:
        """Rows of a weight that must be encoded together, as they share scales."""
        return self.group_size if self.name == "fp8" else 1

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether blocks or groups tile a weight exactly; one that they do not is left as it is.

        compressed-tensors refuses a group that is cut short. Block FP8 allows it, and DeepSeek-V3's
        kv_a_proj_with_mqa of 576 rows has such blocks, but transformers 5.23 cannot dequantise them: it takes 576 rows
        and 5 scales for blocks of 115.2.
        """
        return shape[1] % self.group_size == 0 and shape[0] % self.row_multiple == 0

    def parts(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {stored tensor: (dtype, shape)} of the weight `name`, which ends with ".weight".

        Example: int4 stores "a.weight" of shape (64, 256) as "a.weight_packed" I32 (64, 32), "a.weight_scale" BF16
        (64, 2) and "a.weight_shape" I64 (2,).
        """
        rows, columns = shape
        if self.name == "fp8":
            blocks = (ceil(rows / self.group_size), ceil(columns / self.group_size))
            return {name: ("F8_E4M3", (rows, columns)), f"{name}_scale_inv": ("F32", blocks)}
        return {
            f"{name}_packed": ("I32", (rows, ceil(columns * self.bits / _WORD_BITS))),
            f"{name}_scale": ("BF16", (rows, ceil(columns / self.group_size))),
            f"{name}_shape": ("I64", (2,)),
        }

    def constant_parts(self, name: str, shape: tuple[int, ...]) -> dict[str, bytes]:
        """Return {stored tensor: bytes} of those parts that a weight's shape alone decides."""
        return {} if self.name == "fp8" else {f"{name}_shape": struct.pack("<2q", *shape)}

    def quantization_config(self, ignored_modules: Iterable[str]) -> dict[str, Any]:
        """Return what config.json says under "quantization_config"; `ignored_modules` are linear, and not quantised.

        vLLM and transformers both read "modules_to_not_convert" (fp8) and "ignore" (int).
        """
        if self.name == "fp8":
            return {
                "quant_method": "fp8",
                "activation_scheme": "dynamic",
                "fmt": "e4m3",
                "weight_block_size": [self.group_size, self.group_size],
                "modules_to_not_convert": list(ignored_modules),
            }
        weights = {
            "num_bits": self.bits,
            "type": "int",
            "symmetric": True,
            "strategy": "group",
            "group_size": self.group_size,
            "dynamic": False,
        }
        group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
        return {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": list(ignored_modules),
        }


def encoding_named(name: str, group_size: int | None = None) -> Encoding:
    """Return the encoding called `name`; raises WeightsError for an unknown one or a group size it cannot have."""
    if name not in get_args(EncodingName):
        raise WeightsError(f"an encoding must be one of {', '.join(get_args(EncodingName))}, got {name!r:.60}")
    if name == "fp8":
        if group_size not in (None, FP8_BLOCK):
            raise WeightsError(f"fp8 has blocks of {FP8_BLOCK} x {FP8_BLOCK}, which engines count on, got {group_size}")
        return Encoding("fp8", FP8_BLOCK)
    size = DEFAULT_GROUP_SIZE if group_size is None else group_size
    if type(size) is not int or size < 1 or size % _WORD_BITS:
        raise WeightsError(f"group_size must be a positive multiple of {_WORD_BITS}, got {size!r:.60}")
    return Encoding("int4" if name == "int4" else "int8", size)


def encoding_of(config: Mapping[str, Any]) -> Encoding | None:
    """Return how the checkpoint of this config.json is stored, None where it is not quantised.

    Raises WeightsError for another quantisation than these, naming the key that says so.
    """
    quantization = config.get("quantization_config")
    if quantization is None:
        return None
    if not isinstance(quantization, dict):
        raise WeightsError(f"quantization_config must be an object, got {quantization!r:.60}")
    method = quantization.get("quant_method")
    if method == "fp8":
        encoding = encoding_named("fp8")
        found = {"activation_scheme": "dynamic", "fmt": "e4m3"} | quantization
    elif method == "compressed-tensors":
        groups = quantization.get("config_groups")
        group = next(iter(groups.values())) if isinstance(groups, dict) and len(groups) == 1 else None
        weights = group.get("weights") if isinstance(group, dict) else None
        if not isinstance(group, dict) or not isinstance(weights, dict):
            raise WeightsError(f"config_groups must hold one group with its weights, got {groups!r:.60}")
        if weights.get("num_bits") not in (4, 8):
            raise WeightsError(f"num_bits must be 4 or 8, got {weights.get('num_bits')!r:.60}")
        encoding = encoding_named(f"int{weights['num_bits']}", weights.get("group_size"))
        # A group's own format may be null: then the one above holds.
        found = quantization | {key: value for key, value in group.items() if value is not None} | weights
    else:
        raise WeightsError(f'quant_method must be "fp8" or "compressed-tensors", got {method!r:.60}')
    for key, value in _MUST_SAY[encoding.name].items():
        if found.get(key) != value:
            raise WeightsError(f"{key} of an {encoding.name} checkpoint must be {value!r}, got {found.get(key)!r:.60}")
    return encoding


_INTEGERS = {
    "format": "pack-quantized",
    "type": "int",
    "symmetric": True,
    "strategy": "group",
    "actorder": None,
    "input_activations": None,
}
_MUST_SAY: dict[EncodingName, dict[str, Any]] = {
    "fp8": {"activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [FP8_BLOCK, FP8_BLOCK]},
    "int8": _INTEGERS,
    "int4": _INTEGERS,
}


def is_quantised_weight(name: str) -> bool:
    """Whether a weight of the "per-expert" layout is one that a quantised checkpoint stores quantised, if it fits."""
    return _QUANTISED.search(name) is not None


def ignored_modules(config: Mapping[str, Any], encoding: Encoding) -> list[str]:
    """Return the linear modules that `encoding` leaves as they are, in model order: what config.json must list.

    These are the output head, the routers and eh_proj, and the modules whose weights the encoding does not fit, with
    those that engines join to them.
    """
    linear = {
        name: spec.shape
        for name, spec in expected_tensors(config, "per-expert").items()
        if len(spec.shape) == 2 and name != "model.embed_tokens.weight"
    }
    unfit = {_joined(name) for name, shape in linear.items() if is_quantised_weight(name) and not encoding.fits(shape)}
    return [name.removesuffix(".weight") for name in linear if not is_quantised_weight(name) or _joined(name) in unfit]


def stored_tensors(config: Mapping[str, Any]) -> dict[str, TensorSpec]:
    """Return every tensor of the quantised checkpoint with this config.json, in model order, with dtypes where fixed.

    Raises WeightsError when the config names no model, or no quantisation that `encoding_of` knows.
    """
    encoding = encoding_of(config)
    if encoding is None:
        raise WeightsError("the config must have a quantization_config, and it has not")
    quantization = config["quantization_config"]
    listed = quantization.get("modules_to_not_convert" if encoding.name == "fp8" else "ignore") or []
    if not isinstance(listed, list) or not all(isinstance(module, str) for module in listed):
        raise WeightsError(f"the modules that are not quantised must be a list of names, got {listed!r:.60}")
    ignored = set(listed)
    stored: dict[str, TensorSpec] = {}
    for name, spec in expected_tensors(config, "per-expert").items():
        if not is_quantised_weight(name) or name.removesuffix(".weight") in ignored:
            stored[name] = spec
            continue
        parameters = prod(spec.shape)
        for part, (dtype, shape) in encoding.parts(name, spec.shape).items():
            stored[part] = replace(spec, shape=shape, dtype=dtype, parameters=parameters)
            parameters = 0  # the first part holds the weights, the others what belongs to them
    return stored


def quantised_config(config: Mapping[str, Any], encoding: Encoding) -> dict[str, Any]:
    """Return config.json of the same model's checkpoint stored in `encoding`.

    Raises WeightsError when the encoding fits no weight of the model.
    """
    ignored = ignored_modules(config, encoding)
    weights = filter(is_quantised_weight, expected_tensors(config, "per-expert"))
    if {name.removesuffix(".weight") for name in weights} <= set(ignored):
        raise WeightsError(
            f"{encoding.name} must fit a weight's rows ({encoding.row_multiple} at a time) and columns "
            f"({encoding.group_size} at a time), and fits none of this model's"
        )
    return {**config, "quantization_config": encoding.quantization_config(ignored)}


def stored_bytes(config: Mapping[str, Any], encoding: Encoding | None = None) -> int:
    """Return how many bytes the tensors of a checkpoint take: those that are not quantised in BF16.

    Example: the release takes 1,037,966,118,912 bytes in BF16, and about half of that in fp8.
    """
    tensors = expected_tensors(config) if encoding is None else stored_tensors(quantised_config(config, encoding))
    return sum(nbytes_of(spec.dtype or "BF16", spec.shape) for spec in tensors.values())


def _joined(name: str) -> str:
    """Return a name for what engines join `name` into, the same for all that it joins."""
    return _JOINED.sub(r"\1", name)
