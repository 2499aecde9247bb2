"""What a stranger's machine does with a release: load it from the hub, without this package, and say what came of it.

A program, started by `verify` by its path; it must not import modeling_axk1, and proves that it cannot. Reads its
task as JSON on stdin, writes its findings as JSON on stdout:

    task      {"repo_id", "revision", "golden", "dataset_id", "dataset_revision", "prompt", "max_new_tokens"}
    findings  {"logits_max_abs_diff", "dataset_rows", "prompt", "sample"}

Without a `repo_id` only the dataset is loaded, without a `dataset_id` only the model.

`golden` is a safetensors file with the tensors `input_ids` int64 [B, T] and `logits` float32 [B, T, V], and the
prompt of the sample in its metadata.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OWN_PACKAGE = "modeling_axk1"


class _Refuse(MetaPathFinder):
    """Stands before every other finder and has no package of ours."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == OWN_PACKAGE:
            raise ModuleNotFoundError(f"No module named {OWN_PACKAGE!r}", name=OWN_PACKAGE)
        return None


def _make_unimportable() -> None:
    sys.meta_path.insert(0, _Refuse())
    try:
        importlib.import_module(OWN_PACKAGE)
    except ModuleNotFoundError:
        return
    raise SystemExit(f"{OWN_PACKAGE} can still be imported: this would not prove that the release stands alone")


def _logits_difference(model: Any, golden: str) -> float:
    """Return max |logits - recorded logits|; infinite when their shapes differ or one is not a number."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(golden)
    with torch.no_grad():
        logits_BTV = model(input_ids=tensors["input_ids"]).logits.float()
    if logits_BTV.shape != tensors["logits"].shape:
        return float("inf")
    return float((logits_BTV - tensors["logits"]).abs().nan_to_num(nan=float("inf")).max())


def _sample(model: Any, tokenizer: Any, prompt: str, max_new_tokens: int) -> str:
    """Return `prompt` with its continuation, as the repository's own generation config asks; the seed is fixed."""
    import torch

    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    torch.manual_seed(0)
    output = model.generate(**inputs, max_new_tokens=max_new_tokens)
    return str(tokenizer.decode(output[0], skip_special_tokens=True))


def main() -> None:
    """Carry out the task on stdin."""
    task = json.load(sys.stdin)
    # Findings alone go to stdout, whatever the libraries print.
    stdout, sys.stdout = sys.stdout, sys.stderr
    _make_unimportable()

    findings: dict[str, Any] = {"logits_max_abs_diff": None, "dataset_rows": {}, "prompt": "", "sample": ""}
    if task["repo_id"]:
        findings |= _load_model(task)
    if task["dataset_id"]:
        from datasets import load_dataset

        splits = load_dataset(task["dataset_id"], revision=task["dataset_revision"])
        findings["dataset_rows"] = {name: split.num_rows for name, split in splits.items()}
    json.dump(findings, stdout)


def _load_model(task: dict[str, Any]) -> dict[str, Any]:
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"revision": task["revision"], "trust_remote_code": True}
    tokenizer = AutoTokenizer.from_pretrained(task["repo_id"], **where)
    model = AutoModelForCausalLM.from_pretrained(task["repo_id"], dtype=torch.float32, **where).eval()
    with safe_open(task["golden"], "pt") as golden:
        prompt = task["prompt"] or (golden.metadata() or {}).get("prompt", "")
    return {
        "logits_max_abs_diff": _logits_difference(model, task["golden"]),
        "prompt": prompt,
        "sample": _sample(model, tokenizer, prompt, task["max_new_tokens"]) if prompt else "",
    }


if __name__ == "__main__":
    main()
