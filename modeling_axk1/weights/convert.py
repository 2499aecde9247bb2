"""The same weights stored otherwise: layout of the experts, dtype, quantisation, and what else engines differ in."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from modeling_axk1.errors import UsageError, WeightsError, did_you_mean
from modeling_axk1.weights.checkpoint import Checkpoint, open_checkpoint
from modeling_axk1.weights.coverage import layout_of
from modeling_axk1.weights.cut import Whole, layer_of
from modeling_axk1.weights.dtypes import nbytes_of
from modeling_axk1.weights.encodings import (
    Encoding,
    encoding_named,
    ignored_modules,
    is_quantised_weight,
)
from modeling_axk1.weights.execute import DEFAULT_MEMORY, Execution, execute
from modeling_axk1.weights.logical import Weight, fused_tensors, single_experts, weights_of
from modeling_axk1.weights.names import expected_tensors, is_axk1, layer_kinds
from modeling_axk1.weights.order import Sharding, in_order, together
from modeling_axk1.weights.plan import Plan, PlannedShard, lay_out, no_collection
from modeling_axk1.weights.reshard import DEFAULT_SHARDING, files_beside
from modeling_axk1.weights.runs import Run, split
from modeling_axk1.weights.shard_writer import read_run
from modeling_axk1.weights.steps import Bundle, Copy, Fill, Form, Recode, Step
from modeling_axk1.weights.store import Store

LayoutName = Literal["fused", "per-expert"]
RouterBias = Literal["keep", "zeros", "drop"]

DTYPES = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}
_CONFIG_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
_FLOATS = ("BF16", "F16", "F32", "F64")
_BIAS = "mlp.gate.e_score_correction_bias"
# DeepSeek-V3's layer for multi-token prediction brings these once more; here they are the model's own.
_SHARED_WITH_THE_MODEL = (".embed_tokens.weight", ".shared_head.head.weight")
_ENCODINGS = ("fp8", "int8", "int4")

Kind = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Conversion:
    """What shall be otherwise; None leaves it as it is.

    layout       routed experts "fused" (this release, transformers) or "per-expert" (January 2026, vLLM)
    weights      "fp8", "int8" or "int4" quantises (experts one by one then); "bf16", "fp16" or "fp32" casts, and
                 dequantises what is quantised
    group_size   inputs that share a scale of int8 and int4, 128 if not given
    model_type   "axk1", or "AXK1" as in January 2026 and for vLLM up to 0.25
    router_bias  "zeros" writes the biases that are absent, which vLLM 0.32 would otherwise take from uninitialised
                 memory; "drop" leaves out biases
    drop_mtp     leave out the layer for multi-token prediction
    mtp_from     take that layer from another checkpoint
    """

    layout: LayoutName | None = None
    weights: str | None = None
    group_size: int | None = None
    model_type: str | None = None
    router_bias: RouterBias = "keep"
    drop_mtp: bool = False
    mtp_from: Path | Store | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what is unknown or contradicts itself."""
        for what, value, known in (
            ("layout", self.layout, (None, *get_args(LayoutName))),
            ("weights", self.weights, (None, *_ENCODINGS, *DTYPES)),
            ("model_type", self.model_type, (None, "axk1", "AXK1")),
            ("router_bias", self.router_bias, get_args(RouterBias)),
        ):
            if value not in known:
                names = [name for name in known if name]
                near = did_you_mean(value, names)
                raise UsageError(f"{what} must be one of {', '.join(names)}, got {value!r:.60}{near}")
        if self.group_size is not None:
            if self.weights not in ("int8", "int4"):
                raise UsageError("a group size goes with int8 and int4 only")
            try:
                encoding_named(self.weights, self.group_size)
            except WeightsError as error:
                raise UsageError(str(error)) from None
        if self.weights in _ENCODINGS and self.layout == "fused":
            raise UsageError("quantised experts are stored one by one, as engines read them: layout must be per-expert")
        if self.drop_mtp and self.mtp_from is not None:
            raise UsageError("the layer for multi-token prediction is either dropped or taken from elsewhere")

    @property
    def encoding(self) -> Encoding | None:
        """The encoding asked for, if one is."""
        return encoding_named(self.weights, self.group_size) if self.weights in _ENCODINGS else None

    @property
    def dtype(self) -> str | None:
        """The dtype asked for, if one is."""
        return DTYPES.get(self.weights or "")


def convert(
    source: Path | Store,
    out: Path,
    conversion: Conversion,
    sharding: Sharding = DEFAULT_SHARDING,
    *,
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
) -> Execution:
    """Write the checkpoint `source` into the new folder `out`, stored otherwise; see `execute` about interruptions.

    The result's `errors` say how far each weight is off by what was rounded.

    Example: convert(Path("A.X-K1"), Path("A.X-K1-FP8"), Conversion(weights="fp8"))
    """
    plan, stores = plan_convert(source, conversion, sharding)
    return execute(plan, stores, out, memory=memory, workers=workers, description="converting")


@no_collection()
def plan_convert(
    source: Path | Store, conversion: Conversion, sharding: Sharding = DEFAULT_SHARDING
) -> tuple[Plan, list[Store]]:
    """Return what `convert` will do, from headers alone, and the stores it reads."""
    if sharding.by in ("expert-rank", "tensor-rank"):
        raise UsageError("convert writes shards by size, layer or stage; reshard its result by rank")
    checkpoints = [open_checkpoint(source)]
    if checkpoints[0].cut is not None:
        raise UsageError(
            f"convert takes a whole model, and {checkpoints[0].store.name} is a part of one: join it first"
        )
    config = dict(checkpoints[0].config or {})
    if not is_axk1(config):
        _refuse_what_only_axk1_has(conversion, checkpoints[0].config)
    weights = weights_of(checkpoints[0])
    if conversion.drop_mtp or conversion.mtp_from is not None:
        layers = len(layer_kinds(config))
        weights = {name: weight for name, weight in weights.items() if not _is_mtp(name, layers)}
        config["num_nextn_predict_layers"] = 0
    if conversion.mtp_from is not None:
        checkpoints.append(open_checkpoint(conversion.mtp_from))
        mtp = _mtp_of(checkpoints[1], config)
        if not _go_together(weights, mtp, conversion):
            raise UsageError(
                'the layer for multi-token prediction is stored otherwise: cast all, as weights "bf16" does'
            )
        weights |= mtp
        config["num_nextn_predict_layers"] = 1
    if conversion.router_bias == "drop":
        weights = _without_router_bias(weights, checkpoints)
        config["use_router_bias"] = False
    layout = conversion.layout or layout_of(name for _, name, _ in checkpoints[0].tensors())
    encoding = conversion.encoding
    ignored = ignored_modules(config, encoding) if encoding else []
    forms = _forms(weights, conversion, ignored)
    result = _Result.of(weights, forms, "per-expert" if encoding else layout)
    if conversion.router_bias == "zeros":
        result.add_zeros(weights)
        config["use_router_bias"] = True
    config = _stored_as(config, conversion)
    if encoding:
        config["quantization_config"] = encoding.quantization_config(ignored)
    shards, files = result.lay_out(Whole.of(config, result.kinds), sharding)
    copied = {name: name for name in files_beside(checkpoints[0].store) if name != "config.json"}
    if checkpoints[0].config is not None:
        files = {"config.json": (json.dumps(config, indent=2) + "\n").encode(), **files}
    return Plan(shards, copied, files), [checkpoint.store for checkpoint in checkpoints]


@dataclass
class _Result:
    """The tensors of the result, the steps that make them, by the tensor each begins with, and the weights in them."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Mapping[str, Weight], forms: Mapping[str, Form], layout: str) -> "_Result":
        """Place every weight; experts into fused tensors if the layout is that."""
        result = cls()
        fused = fused_tensors({name: weight.shape for name, weight in weights.items()}) if layout == "fused" else {}
        placed = {
            single: (name, first)
            for name, shape in fused.items()
            for single, (first, _) in single_experts(name, shape).items()
        }
        for name, weight in weights.items():
            if name in placed:
                result._add_expert(name, weight, forms[name], *placed[name], fused[placed[name][0]])
            else:
                result._add(name, weight, forms[name])
        return result

    def _add(self, name: str, weight: Weight, form: Form) -> None:
        if not isinstance(form, Encoding):
            self._add_steps(name, weight, form, {name: (form, weight.shape)}, {"weight": name})
            return
        constants = form.constant_parts(name, weight.shape)
        parts = form.parts(name, weight.shape)
        stem = len(name) - len("weight")
        self._add_steps(name, weight, form, parts, {part[stem:]: part for part in parts if part not in constants})
        for part, data in constants.items():
            self.steps[part] = [Fill(part, data)]

    def _add_steps(
        self, name: str, weight: Weight, form: Form, kinds: Mapping[str, Kind], written: Mapping[str, str]
    ) -> None:
        self.kinds |= kinds
        self.parameters[next(iter(kinds))] = prod(weight.shape)
        target = tuple((part, tensor, Run(0, nbytes_of(*kinds[tensor]))) for part, tensor in written.items())
        for step in _steps(name, weight, form, target):
            self.steps.setdefault(step.tensor, []).append(step)

    def _add_expert(
        self, name: str, weight: Weight, form: Form, tensor: str, first_row: int, shape: tuple[int, ...]
    ) -> None:
        if isinstance(form, Encoding):
            raise WeightsError(f"{name} is quantised, and quantised experts are stored one by one: dequantise to fuse")
        if self.kinds.setdefault(tensor, (form, shape)) != (form, shape):
            raise WeightsError(f"{tensor} must be of one dtype, and its experts are {self.kinds[tensor][0]} and {form}")
        self.parameters[tensor] = prod(shape)
        row_bytes = nbytes_of(form, shape[2:])
        target = (("weight", tensor, Run(first_row * row_bytes, weight.shape[0] * row_bytes)),)
        self.steps.setdefault(tensor, []).extend(_steps(name, weight, form, target))

    def add_zeros(self, weights: Mapping[str, Weight]) -> None:
        """Add a router bias of zeros wherever there is a router without one."""
        for name, weight in weights.items():
            bias = name.removesuffix("weight") + "e_score_correction_bias"
            if name.endswith(".mlp.gate.weight") and bias not in weights:
                experts = weight.shape[0]
                self.kinds[bias] = ("F32", (experts,))
                self.steps[bias] = [Fill(bias, bytes(4 * experts))]
                self.parameters[bias] = experts

    def lay_out(self, whole: Whole, sharding: Sharding) -> tuple[list[PlannedShard], dict[str, bytes]]:
        """Return the shards and the index."""
        bundles = []
        for names, group in together(in_order(self.kinds, sharding.order, whole), sharding, whole):
            kinds = {name: self.kinds[name] for name in names}
            steps = tuple(step for name in names for step in self.steps.get(name, ()))
            bundles.append(Bundle(kinds, steps, sum(self.parameters.get(name, 0) for name in names), group))
        return lay_out(bundles, sharding.most_bytes)


def _steps(name: str, weight: Weight, form: Form, target: tuple[tuple[str, str, Run], ...]) -> list[Step]:
    """Return the steps that write a weight in a form: copies of its parts where it is in that form already."""
    if weight.form == form:
        return [Copy(tensor, weight.parts[part], run) for part, tensor, run in target]
    is_matrix = isinstance(form, Encoding) or isinstance(weight.form, Encoding)
    rows, columns = weight.shape if is_matrix else (prod(weight.shape), 1)
    source = tuple((part, place) for part, place in weight.parts.items() if part != "weight_shape")
    return [Recode(name, rows, columns, source, weight.form, target, form)]


def _forms(weights: Mapping[str, Weight], conversion: Conversion, ignored_modules: Iterable[str]) -> dict[str, Form]:
    """Return the form that each weight shall have."""
    forms: dict[str, Form] = {name: weight.form for name, weight in weights.items()}
    if conversion.dtype:
        for name, weight in weights.items():
            is_float = isinstance(weight.form, Encoding) or weight.form in _FLOATS
            # Rounding a router's bias would change which experts are chosen.
            if is_float and not name.endswith(_BIAS):
                forms[name] = conversion.dtype
    elif encoding := conversion.encoding:
        ignored = set(ignored_modules)
        for name, weight in weights.items():
            if is_quantised_weight(name) and name.removesuffix(".weight") not in ignored:
                if len(weight.shape) != 2 or not encoding.fits(weight.shape) or 0 in weight.shape:
                    raise WeightsError(f"{name} has shape {list(weight.shape)}, and config.json says another")
                if not isinstance(weight.form, Encoding) and weight.form not in _FLOATS:
                    raise WeightsError(f"{name} must be one of {', '.join(_FLOATS)} to be quantised, got {weight.form}")
                forms[name] = encoding
            elif isinstance(weight.form, Encoding):
                raise WeightsError(f"{name} is quantised, and {encoding.name} would not quantise it: dequantise first")
    return forms


def _stored_as(config: Mapping[str, Any], conversion: Conversion) -> dict[str, Any]:
    """Return the config that says how the weights are stored now."""
    changed = dict(config)
    if conversion.model_type:
        changed["model_type"] = conversion.model_type
    if conversion.dtype:
        changed.pop("quantization_config", None)
        changed.pop("torch_dtype", None)
        changed["dtype"] = _CONFIG_DTYPES[conversion.dtype]
    return changed


def _refuse_what_only_axk1_has(conversion: Conversion, config: Mapping[str, Any] | None) -> None:
    """Raise UsageError for what needs A.X K1's names; without any config a layout is told by the names alone."""
    for asked, what in (
        (conversion.layout is not None and config is not None, "the layout of experts"),
        (conversion.encoding is not None, "which weights to quantise"),
        (conversion.model_type is not None, "another model_type"),
        (conversion.router_bias != "keep", "the router's bias"),
        (conversion.drop_mtp or conversion.mtp_from is not None, "the layer for multi-token prediction"),
    ):
        if asked:
            raise UsageError(f"{what} is known for A.X K1 only, and config.json is not of A.X K1")


def _is_mtp(name: str, layers: int) -> bool:
    layer = layer_of(name)
    return layer is not None and layer >= layers


def _go_together(weights: Mapping[str, Weight], mtp: Mapping[str, Weight], conversion: Conversion) -> bool:
    """Whether one config.json can say how both are stored; router biases are in float32 anywhere."""
    ours, theirs = (
        {weight.form for name, weight in some.items() if not name.endswith(_BIAS)} for some in (weights, mtp)
    )
    quantised = any(isinstance(form, Encoding) for form in ours | theirs)
    alike = all(isinstance(form, Encoding) or form in ours for form in theirs)
    return conversion.dtype is not None or (alike and (conversion.encoding is not None or not quantised))


def _mtp_of(checkpoint: Checkpoint, config: Mapping[str, Any]) -> dict[str, Weight]:
    layers = len(layer_kinds(config))
    found = {name: weight for name, weight in weights_of(checkpoint, source=1).items() if _is_mtp(name, layers)}
    if not found:
        raise WeightsError(f"{checkpoint.store.name} has no layer for multi-token prediction")
    wanted = {
        name: spec.shape
        for name, spec in expected_tensors({**config, "num_nextn_predict_layers": 1}, "per-expert").items()
        if _is_mtp(name, layers) and not spec.optional
    }
    for name, shape in wanted.items():
        if name not in found or found[name].shape != shape:
            got = list(found[name].shape) if name in found else "none"
            raise WeightsError(f"{name} in {checkpoint.store.name} must have shape {list(shape)}, got {got}")
    return {name: weight for name, weight in found.items() if not name.endswith(_SHARED_WITH_THE_MODEL)}


def _without_router_bias(weights: Mapping[str, Weight], checkpoints: list[Checkpoint]) -> dict[str, Weight]:
    for name, weight in weights.items():
        if name.endswith(_BIAS):
            place = weight.parts["weight"]
            store = checkpoints[place.source].store
            if any(any(read_run(store, place.file, piece)) for piece in split(place.run, 2**20)):
                raise WeightsError(f"{name} is not zero: without it other experts would be chosen")
    return {name: weight for name, weight in weights.items() if not name.endswith(_BIAS)}
