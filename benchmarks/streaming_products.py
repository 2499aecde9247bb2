"""One expert of the release's size in 8 and 4 bits, multiplied as stored: against BF16, and against decoding.

    python benchmarks/streaming_products.py [--one-thread] [--out FOLDER]

For every form of weight and number of rows, three ways in turn: `ready`, as a streamed model in bfloat16 has its
experts; `decoded`, the same product by `EncodedWeight.decoded`, as every other dtype and shape has them; `bf16`, the
same weights in bfloat16, which take 2 to 4 times the memory. Two experts one after the other, and a flush before them,
so that none is left in a cache by the run before. `making_ready_ms` is paid once, when an expert is read, by the thread
that read it.
Writes release/results/streaming_products.json.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from measure import alternate, flush, ratio, write_runs
from torch import Tensor

from modeling_axk1.model.products_axk1 import made_ready
from modeling_axk1.model.quantised_axk1 import EncodedWeight, Quantisation
from modeling_axk1.model.streamed_axk1 import Weight, any_rows_times_transposed

SEED = 0
ROWS = (1, 2, 4, 8, 21, 64, 512)  # 21: of 512 tokens of a prompt, an expert's share
HIDDEN, WIDTH = 7168, 2048
# Gate, up, down; the release's expert, 44 million weights.
SHAPES = ((WIDTH, HIDDEN), (WIDTH, HIDDEN), (HIDDEN, WIDTH))
# A token's visits at full size: 8 experts in each of 60 layers.
VISITS = 480
FORMS = {
    "int4 by 32": Quantisation(4, 1, 32),
    "int4 by 128": Quantisation(4, 1, 128),
    "int8 by 32": Quantisation(8, 1, 32),
    "int8 by 128": Quantisation(8, 1, 128),
    "fp8": Quantisation(8, 128, 128),
}
REPEATS = 5


def stored(shape: tuple[int, int], form: Quantisation) -> EncodedWeight:
    """A weight of random numbers, its scales powers of two as those of our own conversion."""
    rows, columns = shape
    codes = torch.randint(0, 256, (rows, columns * form.bits // 8), dtype=torch.uint8)
    scales = torch.full((rows // form.rows, columns // form.columns), 2.0**-7)
    if form.is_float:
        codes[codes & 0x7F == 0x7F] = 0x7E
        return EncodedWeight(codes.view(torch.float8_e4m3fn), scales, form)
    return EncodedWeight(codes.view(torch.int32), scales.bfloat16(), form)


def copy(weight: EncodedWeight) -> EncodedWeight:
    """Another weight of the same numbers: making ready takes over the one that it is given."""
    return EncodedWeight(weight.numbers_NW.clone(), weight.scales_ng.clone(), weight.quantisation)


def products(rows: int, experts: list[list[Weight]]) -> Callable[[], object]:
    """Return a function that multiplies the three weights of each expert in turn, by as many rows."""
    x = {columns: torch.randn(rows, columns, dtype=torch.bfloat16) for _, columns in SHAPES}
    out = {columns: torch.empty(rows, count, dtype=torch.bfloat16) for count, columns in SHAPES}

    def run() -> None:
        for expert in experts:
            for weight, (_, columns) in zip(expert, SHAPES, strict=True):
                any_rows_times_transposed(x[columns], weight, 0, rows, out[columns])

    return run


def experts_in(form: Quantisation) -> dict[str, list[list[Weight]]]:
    """Two experts in each of the ways."""
    encoded = [[stored(shape, form) for shape in SHAPES] for _ in range(2)]
    bf16: list[list[Weight]] = [
        [weight.decoded(slice(0, weight.rows), torch.bfloat16) for weight in expert] for expert in encoded
    ]
    return {
        "ready": [[made_ready(copy(weight)) for weight in expert] for expert in encoded],
        "decoded": [list(expert) for expert in encoded],
        "bf16": bf16,
    }


def bytes_of(weight: Weight) -> int:
    """Memory of a weight."""
    return weight.nbytes if isinstance(weight, Tensor) else sum(part.nbytes for part in weight[:2])


def median_ms(seconds: list[float], experts: int = 2) -> float:
    """Milliseconds of one expert."""
    return round(1e3 * statistics.median(seconds) / experts, 2)


def making_ready(form: Quantisation, clock: Callable[[], float]) -> dict:
    """Milliseconds of making one expert ready, against copying its bytes."""
    encoded = [stored(shape, form) for shape in SHAPES]
    copies = [[copy(weight) for weight in encoded] for _ in range(REPEATS + 1)]
    seconds = alternate(
        {
            "ready": lambda: [made_ready(weight) for weight in copies.pop()],
            "copied": lambda: [weight.numbers_NW.clone() for weight in encoded],
        },
        REPEATS,
        before=flush(),
        clock=clock,
    )
    return {
        "making_ready_ms": median_ms(seconds["ready"], 1),
        "making_ready_over_a_copy": round(ratio(seconds, "ready", "copied"), 2),
    }


@torch.no_grad()
def runs(clock: Callable[[], float]) -> Iterator[dict]:
    """Yield every form, for all numbers of rows."""
    for name, form in FORMS.items():
        once = making_ready(form, clock)
        experts = experts_in(form)
        gigabytes = {way: sum(map(bytes_of, two[0])) / 1e9 for way, two in experts.items()}
        for rows in ROWS:
            ways = {way: products(rows, two) for way, two in experts.items()}
            seconds = alternate(ways, REPEATS, before=flush(), clock=clock)
            run = {
                "form": name,
                "rows": rows,
                "kind": type(experts["ready"][0][0]).__name__,
                "decoded_over_ready": round(ratio(seconds, "decoded", "ready"), 2),
                "ready_over_bf16": round(ratio(seconds, "ready", "bf16"), 2),
                "decoded_over_bf16": round(ratio(seconds, "decoded", "bf16"), 2),
                **{f"{way}_ms": median_ms(seconds[way]) for way in ways},
                "ready_gb": round(gigabytes["ready"], 4),
                "bf16_gb": round(gigabytes["bf16"], 4),
                **once,
            }
            if rows == 1:
                run["seconds_of_a_tokens_experts"] = round(VISITS * statistics.median(seconds["ready"]) / 2, 2)
            yield run


if __name__ == "__main__":
    write_runs("streaming_products", __doc__, SEED, runs)
