"""How fast `axk1 weights verify` and `manifest` are, against sha256sum on the same cores over the same files.

Each is a whole command, its start included, and they run in turn: ours, `sha256sum` and `openssl dgst` under
`xargs -P CORES`, and `cat` as the limit of what can be read at all. Warm, the files lie in the page cache; cold, they
are dropped from it before each run. Only ratios of medians are worth quoting.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import RESULTS, alternate, ratio

from modeling_axk1.environment import environment
from modeling_axk1.weights.plan import parse_size
from modeling_axk1.weights.record import record
from modeling_axk1.weights.survey import Reading
from modeling_axk1.weights.write import RawTensor, write_checkpoint

TENSOR_BYTES = 50_000_000
LAYOUTS = {"shards of 500 MB": 500_000_000, "one shard": 10**15}
REFERENCE = "sha256sum"

_PROGRAM = """
import sys
from pathlib import Path
from modeling_axk1.weights.verify import verify
report = verify(Path(sys.argv[1]), checksums={checksums}, values={values})
sys.exit(not report.ok)
"""


def write_data(folder: Path, nbytes: int, shard_bytes: int) -> None:
    """Write a checkpoint of bfloat16 values as weights have them, every tensor another, with its MANIFEST.json."""
    rng = np.random.default_rng(0)

    def values() -> np.ndarray:
        return (rng.standard_normal(TENSOR_BYTES // 2, "<f4").view("<u4") >> 16).astype("<u2")

    shape = (TENSOR_BYTES // 2,)
    tensors = {f"t{number:05d}": RawTensor("BF16", shape, values) for number in range(nbytes // TENSOR_BYTES)}
    folder.mkdir()
    write_checkpoint(tensors, folder, shard_bytes)
    (folder / "config.json").write_text('{"model_type": "benchmark"}')
    record(folder, reading=Reading())


def subjects(folder: Path, cores: int) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name: each a command that reads every shard of `folder` and must succeed."""
    python = shlex.quote(sys.executable)
    shards = f"ls *.safetensors | xargs -P {cores} -n 1"
    programs = {
        "ours, sha256": {"checksums": True, "values": False},
        "ours, sha256 and values": {"checksums": True, "values": True},
        "ours, values": {"checksums": False, "values": True},
    }
    commands = {
        REFERENCE: f"{shards} sha256sum",
        "openssl": f"{shards} openssl dgst -sha256",
        "cat": f"{shards} cat",
        "ours, manifest": f"{python} -m modeling_axk1 weights manifest --fresh .",
        **{name: f"{python} -c {shlex.quote(_PROGRAM.format(**how))} ." for name, how in programs.items()},
    }
    return {name: _runner(command, folder) for name, command in commands.items()}


def drop_from_cache(folder: Path) -> None:
    """Make the system forget the files' pages; needs no privilege, as they are written out."""
    for path in folder.iterdir():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def measure(folder: Path, layout: str, cold: bool, repeats: int, cores: int) -> dict[str, Any]:
    """Time every subject on one layout; how many times as fast as sha256sum each is, and its GB/s."""
    nbytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    seconds = alternate(
        subjects(folder, cores), repeats, before=(lambda: drop_from_cache(folder)) if cold else lambda: None
    )
    return {
        "layout": layout,
        "cache": "cold" if cold else "warm",
        "shards": len(list(folder.glob("*.safetensors"))),
        "bytes": nbytes,
        "times_as_fast_as_sha256sum": {name: round(ratio(seconds, REFERENCE, name), 3) for name in seconds},
        "gb_per_s": {name: round(nbytes / statistics.median(times) / 1e9, 3) for name, times in seconds.items()},
        "seconds": {name: [round(time, 3) for time in times] for name, times in seconds.items()},
    }


def _runner(command: str, folder: Path) -> Callable[[], object]:
    return lambda: subprocess.run(["sh", "-c", f"{command} > /dev/null"], cwd=folder, check=True)


def main() -> None:
    """Measure all layouts, warm and cold, and write release/results/weights_verify.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=8 * 10**9, help="bytes of each checkpoint (default: 8GB)")
    parser.add_argument("--repeats", type=int, default=5, help="measured runs of each (default: 5)")
    parser.add_argument("--folder", type=Path, help="where to write the checkpoints (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write the result")
    options = parser.parse_args()
    cores = Reading().threads()
    runs = []
    for layout, shard_bytes in LAYOUTS.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as home:
            folder = Path(home) / "checkpoint"
            write_data(folder, options.size, shard_bytes)
            for cold in (False, True):
                runs.append(measure(folder, layout, cold, options.repeats, cores))
                print(json.dumps(runs[-1], indent=2), file=sys.stderr, flush=True)
    result = {
        "command": "python benchmarks/weights_verify.py",
        "cores": cores,
        "repeats": options.repeats,
        "runs": runs,
    }
    text = json.dumps({**result, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (options.out / "weights_verify.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
