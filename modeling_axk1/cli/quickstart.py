"""`axk1 quickstart`: parse, call one function, print."""

import json
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.completion import one_of, presets


def quickstart(
    out: Annotated[Path, typer.Option(help="Working folder; run again to reuse what is there.")] = Path(
        "axk1-quickstart"
    ),
    preset: Annotated[
        str,
        typer.Option(
            help="Size of the model: quickstart (5 M parameters), nano (8 M, fits FP8) or tiny.",
            autocompletion=one_of(presets),
        ),
    ] = "quickstart",
    steps: Annotated[int, typer.Option(help="Training steps.")] = 220,
    minutes: Annotated[float, typer.Option(help="Longest training, for slower machines.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Seed of initial weights and batches.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")] = False,
) -> None:
    """Go the whole way once: from raw text to a published model.

    Seven steps, each a command of its own too: dataset, tokenizer, training,
    weights, hub folder, publishing to a hub on loopback, and the proof by a
    process that does not know this package. A second run reuses what is built.

    Example: axk1 quickstart --out my-first-model
    """
    from modeling_axk1.environment import environment
    from modeling_axk1.quickstart import Settings
    from modeling_axk1.quickstart import quickstart as run

    settings = Settings(preset=preset, steps=steps, minutes=minutes, seed=seed)
    report = run(out, settings, say=lambda line: typer.echo(line, err=as_json))
    if as_json:
        print(json.dumps({**report.as_dict(), **environment()}, indent=2, ensure_ascii=False))
        return
    proof, model, dataset = report.verified, report.model, report.dataset
    print(f"""
A stranger's process loaded {model["repo_id"]} at {model["tag"]} and continued {proof["prompt"]!r}:

{proof["sample"]}

  logits      largest difference to the trained model {proof["logits_max_abs_diff"]:.1e}
  model       {out / "export"}  ({model["repo_id"]}, {proof["files_checked"]} files checked)
  dataset     {out / "data"}  ({dataset["repo_id"]}, {proof["dataset_rows"]} rows)
  checkpoint  {out / "checkpoint"}
  hub         {out / "hub"}

See it on the hub:   axk1 hub serve --root {out / "hub"} --port 8000
Load it yourself:    HF_ENDPOINT=http://127.0.0.1:8000 python -c "from transformers import AutoModelForCausalLM as M; \\
                     print(M.from_pretrained('{model["repo_id"]}', revision='{model["tag"]}', trust_remote_code=True))"
""")
