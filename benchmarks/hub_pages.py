"""How long a reader waits for each kind of page of the hub.

    python benchmarks/hub_pages.py

A hub of its own, served from one process, holds 1,000 models with cards, one model with a checkpoint of the release's
35,416 tensors (expert by expert, in narrow widths), and the sample corpus as a dataset. Of each page: the first answer
after the hub has started, and the median and the longest of those that follow, one after the other. Writes
release/results/hub_pages.json.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi
from measure import write_runs

from modeling_axk1 import AXK1Config
from modeling_axk1.data.build import build
from modeling_axk1.hub.server import serving
from modeling_axk1.hub.server.catalog import Catalog
from modeling_axk1.hub.server.commits import AddRegular, CommitRequest
from modeling_axk1.model.presets import PRESETS
from modeling_axk1.shipped import shipped
from modeling_axk1.weights.sparse import write_sparse_checkpoint

MODELS = 1000
REPEATS = 50
# Widths as small as they may be; layers and experts are the release's, so tensors have its names and number.
NARROW = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "moe_intermediate_size": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "num_attention_heads": 2,
    "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 4,
    "v_head_dim": 4,
    "vocab_size": 128,
}
CARD = """---
license: apache-2.0
pipeline_tag: text-generation
language: [ko, en]
library_name: transformers
---
# Model {number}

A model that is here to be found among {models} others, with a card of a few lines as most have one.

| what | value |
|---|---|
| number | {number} |
"""
PAGES = {
    "front page": "/",
    "list with a search": "/models?search=model+7",
    "card": "/bench/model-7",
    "files": "/bench/wide/tree/main",
    "revisions": "/bench/wide/revisions",
    "tensors": "/bench/wide/tensors/main",
    "card of a dataset": "/datasets/bench/sample",
    "rows": "/datasets/bench/sample/viewer/main",
    "columns": "/datasets/bench/sample/viewer/main/columns",
    "results": "/datasets/bench/sample/results/main",
}


def fill(root: Path, work: Path) -> None:
    """Make the hub's repositories."""
    catalog = Catalog(root)
    try:
        for number in range(MODELS):
            catalog.create("models", "bench", f"model-{number}")
            card = AddRegular("README.md", CARD.format(number=number, models=MODELS).encode())
            repository = catalog.get("models", "bench", f"model-{number}")
            repository.commit("main", CommitRequest("a card", None, [card]), catalog.blobs.refresh)
    finally:
        catalog.close()
    config = AXK1Config(**{**PRESETS["519b"], **NARROW}).to_dict()
    write_sparse_checkpoint(work / "wide", config, shards=8, layout="per-expert")
    build(shipped("data_cards/sample"), work / "sample")
    with serving(root) as endpoint:
        api = HfApi(endpoint=endpoint, token=False)
        for repo, kind in (("wide", "model"), ("sample", "dataset")):
            api.create_repo(f"bench/{repo}", repo_type=kind)
            api.upload_folder(folder_path=work / repo, repo_id=f"bench/{repo}", repo_type=kind)


def runs(clock: Callable[[], float]) -> Iterator[dict[str, Any]]:
    """Yield the times of each page, in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        fill(work / "hub", work)
        with (
            serving(work / "hub") as endpoint,
            httpx.Client(base_url=endpoint, headers={"Accept": "text/html"}) as reader,
        ):
            time.sleep(3)  # as a person who starts a hub and then opens its page
            for page, address in PAGES.items():
                milliseconds = []
                for _ in range(REPEATS + 1):
                    started = clock()
                    answer = reader.get(address, timeout=60)
                    milliseconds.append((clock() - started) * 1000)
                    assert answer.status_code == 200, f"{address}: {answer.status_code}"
                first, *others = milliseconds
                yield {
                    "page": page,
                    "bytes": len(answer.content),
                    "first_ms": round(first, 1),
                    "median_ms": round(statistics.median(others), 1),
                    "longest_ms": round(max(others), 1),
                }


if __name__ == "__main__":
    write_runs("hub_pages", str(__doc__), 0, runs, models=MODELS + 1, repeats=REPEATS)
