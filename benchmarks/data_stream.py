"""Publish a built dataset to a hub of its own, and read every config as a stranger does.

    python benchmarks/data_stream.py corpus

The hub is the release's own, on this machine; the reader is stock `datasets`, streaming, in a process of its own. Every
config and split must give as many rows and bytes of text as stats.json counts, or the command fails. Also measured:
seconds to the first row of a config, what the whole reading takes, and the row groups, of which the hub's viewer reads
one for a page. Writes release/results/data_stream.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from modeling_axk1.data.dataset import SPLITS, parquet_files
from modeling_axk1.data.stats import Amount, Stats, read_stats
from modeling_axk1.environment import environment
from modeling_axk1.hub.publish import publish
from modeling_axk1.hub.server import serving

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = "local/corpus"

# A process of its own: the hub's address is read when the libraries are imported.
READER = """
import json, sys, time
from datasets import get_dataset_config_names, load_dataset

for config in get_dataset_config_names(sys.argv[1], revision=sys.argv[2]):
    started = time.perf_counter()
    splits = load_dataset(sys.argv[1], config, revision=sys.argv[2], streaming=True)
    first, read = None, {}
    for split, rows in splits.items():
        documents = size = 0
        for row in rows:
            first = first or time.perf_counter() - started
            documents += 1
            size += len(row["text"].encode())
        read[split] = [documents, size]
    seconds = time.perf_counter() - started
    print(json.dumps({"config": config, "read": read, "first_row": first, "seconds": seconds}), flush=True)
"""


def expected(stats: Stats) -> dict[str, dict[str, Amount]]:
    """What every config and split must hold."""
    return {"default": stats.by_split, **stats.by_config, **stats.by_language}


def stream(dataset: Path, stats: Stats, folder: Path) -> dict[str, Any]:
    """Publish, read everything, and return the figures; exits with a line when a config holds something else."""
    with serving(folder / "hub") as endpoint:
        started = time.perf_counter()
        report = publish(dataset, REPOSITORY, endpoint=endpoint, repo_type="dataset", tag="v1")
        published = time.perf_counter() - started
        configs = {}
        home = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", READER, REPOSITORY, "v1"]
        with subprocess.Popen(command, env={**os.environ, **home}, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout
            for line in reader.stdout:
                print(line, end="", file=sys.stderr, flush=True)
                one = json.loads(line)
                configs[one.pop("config")] = one
        if reader.returncode:
            raise SystemExit("reading failed, as said above")
    for config, splits in expected(stats).items():
        wanted = {split: [amount.documents, amount.bytes] for split, amount in splits.items()}
        if (got := configs.get(config, {}).get("read")) != wanted:
            raise SystemExit(f"config {config} must hold {wanted}, got {got}")
    if more := sorted(set(configs) - set(expected(stats))):
        raise SystemExit(f"stats.json knows no config {more[0]}")
    whole = configs["default"]
    return {
        "files_published": len(report.uploaded),
        "publish_seconds": round(published, 1),
        "configs": len(configs),
        "documents": stats.kept.documents,
        "text_bytes": stats.kept.bytes,
        "default_seconds": round(whole["seconds"], 1),
        "default_megabytes_per_second": round(stats.kept.bytes / 1e6 / whole["seconds"], 1),
        "first_row_seconds_at_most": round(max(one["first_row"] for one in configs.values()), 2),
    }


def row_groups(dataset: Path) -> dict[str, Any]:
    """How many row groups there are, how large the largest is, and whether every one has a page index."""
    import pyarrow.parquet

    names = [name for split in SPLITS for name in parquet_files(dataset, split)]
    groups = []
    for name in names:
        file = pyarrow.parquet.ParquetFile(dataset / name).metadata
        groups += [file.row_group(number) for number in range(file.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    return {
        "parquet_files": len(names),
        "row_groups": len(groups),
        "largest_row_group_bytes": max(group.total_byte_size for group in groups),
        "largest_row_group_compressed_bytes": max(
            sum(group.column(number).total_compressed_size for number in range(group.num_columns)) for group in groups
        ),
        "largest_row_group_rows": max(group.num_rows for group in groups),
        # The least and the greatest of long texts would say nothing: Parquet's writer leaves their column index out.
        "page_index": all(
            column.has_offset_index and (column.has_column_index or column.path_in_schema == "text")
            for column in columns
        ),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="a dataset folder, as `axk1 data build` writes it")
    parser.add_argument("--out", type=Path, default=ROOT / "release" / "results", metavar="FOLDER")
    options = parser.parse_args()
    stats = read_stats(options.dataset)
    with tempfile.TemporaryDirectory(prefix="axk1-") as folder:
        figures = stream(options.dataset, stats, Path(folder))
    result = {
        "command": f"python benchmarks/data_stream.py {options.dataset.name}",
        "dataset": stats.name,
        **figures,
        **row_groups(options.dataset),
        **environment(),
    }
    (options.out / "data_stream.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
