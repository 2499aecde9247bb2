"""Measure a converted model with the code that is exported beside it, and record its golden logits.

A program, started by `measure` by its path: the room hub imports no model, and a stranger would not either. Reads its
task as JSON on stdin, writes its findings as JSON on stdout:

    task      {"folder", "golden", "texts", "window", "most_tokens"}
    findings  {"validation_loss", "bits_per_byte", "tokens", "bytes", "documents",
               "logits_max_abs_diff", "logits_mean_kl", "top1_agreement", "positions"}

`folder` holds the model with its code and tokenizer, and golden/logits.safetensors as the trained model recorded them
(`golden`); they are replaced by this model's own. `texts` are Parquet files of the validation split: their documents
are read in order until `most_tokens` are there. Losses are in nats a token, in windows that overlap by one token, as
`axk1 train pretrain` measures them. One thread: another number of threads adds up in another order.
"""

import json
import math
import sys
from typing import Any


def token_ids(texts: list[str], most_tokens: int, tokenizer: Any) -> tuple[list[int], int, int]:
    """Return the stream of the first documents, each followed by bos, their number and bytes."""
    import pyarrow.parquet

    ids: list[int] = []
    documents = size = 0
    for path in texts:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=16, columns=["text"]):
            for text in batch.column("text").to_pylist():
                found = tokenizer.encode(text, add_special_tokens=False)
                if len(ids) + len(found) + 1 > most_tokens and ids:
                    return ids, documents, size
                ids += [*found, tokenizer.bos_token_id]
                documents += 1
                size += len(text.encode())
    return ids, documents, size


def nats(model: Any, ids: list[int], window: int) -> float:
    """Return the summed negative log-likelihood of every token but the first."""
    import torch

    total = 0.0
    for start in range(0, len(ids) - 1, window - 1):
        part = torch.tensor(ids[start : start + window])[None]
        logits = model(input_ids=part).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, part[0, 1:], reduction="sum").item()
    return total


def main() -> None:
    """Carry out the task on stdin."""
    task = json.load(sys.stdin)
    # Findings alone go to stdout, whatever the libraries print.
    stdout, sys.stdout = sys.stdout, sys.stderr

    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    tokenizer = AutoTokenizer.from_pretrained(task["folder"])
    model = AutoModelForCausalLM.from_pretrained(task["folder"], dtype=torch.float32, trust_remote_code=True).eval()

    ids, documents, size = token_ids(task["texts"], task["most_tokens"], tokenizer)
    total = nats(model, ids, task["window"])
    golden = load_file(task["golden"])
    with safe_open(task["golden"], "pt") as file:
        metadata = file.metadata()
    logits = model(input_ids=golden["input_ids"]).logits.float().contiguous()
    trained, ours = golden["logits"].log_softmax(-1), logits.log_softmax(-1)
    findings = {
        "validation_loss": round(total / (len(ids) - 1), 4),
        "bits_per_byte": round(total / math.log(2) / size, 4),
        "tokens": len(ids),
        "bytes": size,
        "documents": documents,
        "logits_max_abs_diff": round((logits - golden["logits"]).abs().max().item(), 6),
        "logits_mean_kl": round((trained.exp() * (trained - ours)).sum(-1).mean().item(), 8),
        "top1_agreement": round((trained.argmax(-1) == ours.argmax(-1)).float().mean().item(), 4),
        "positions": golden["input_ids"].numel(),
    }
    save_file({"input_ids": golden["input_ids"], "logits": logits}, task["golden"], metadata=metadata)
    json.dump(findings, stdout)


if __name__ == "__main__":
    main()
