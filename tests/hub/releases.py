"""Small releases that tests publish, bundle, mirror and damage: a dataset and a model, signed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from modeling_axk1.checksums import write_sums
from modeling_axk1.weights.sign import generate_keys, sign


def flip(path: Path, at: int = -1) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def make_set(folder: Path, key: Path | None = None) -> Path:
    """Make a release set of a dataset and a model whose bytes mean nothing."""
    for place, files in (
        ("datasets/team/text", {"data/train.parquet": b"PAR1" + bytes(5_000), "stats.json": b"{}\n"}),
        ("models/team/nano", {"model.safetensors": bytes(range(256)) * 4_000, "config.json": b"{}\n", "말.txt": b"x"}),
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A release\n")
        for path, content in files.items():
            (folder / place / path).parent.mkdir(exist_ok=True)
            (folder / place / path).write_bytes(content)
        write_sums(folder / place)
    return finish_set(folder, [("dataset", "team/text"), ("model", "team/nano")], key)


def finish_set(folder: Path, repositories: Sequence[tuple[str, str]], key: Path | None = None) -> Path:
    """Sign the repositories in `folder` and write the release.json over them, as `axk1 hub export` does."""
    members = []
    for kind, name in repositories:
        place = f"{kind}s/{name}"
        if key:
            sign(folder / place, key)
        sums = hashlib.sha256((folder / place / "SHA256SUMS").read_bytes()).hexdigest()
        members.append({"type": kind, "id": name, "folder": place, "sums_sha256": sums})
    content = {"format": "axk1-release-1", "name": "nano", "tag": "v0.1", "repositories": members}
    (folder / "release.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return folder


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Return a new private key and its public one."""
    return generate_keys(folder / "release.pem")


WORDS = ["<unk>", "a", "model", "that", "speaks", "softly"]


def make_model(folder: Path) -> Path:
    """Make a model repository that loads, a native one of transformers, with recorded logits."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    input_ids = torch.tensor([[1, 2, 3], [4, 5, 1]])
    with torch.no_grad():
        logits = model(input_ids=input_ids).logits
    (folder / "golden").mkdir()
    golden = {"input_ids": input_ids, "logits": logits}
    save_file(golden, folder / "golden" / "logits.safetensors", metadata={"prompt": "a model"})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    write_sums(folder)
    return folder


def make_dataset(folder: Path) -> Path:
    """Make a dataset repository of five and two rows."""
    (folder / "data").mkdir(parents=True)
    for split, rows in (("train", 5), ("test", 2)):
        table = pa.table({"text": [f"{split} {row}" for row in range(rows)]})
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A dataset\n")
    write_sums(folder)
    return folder
