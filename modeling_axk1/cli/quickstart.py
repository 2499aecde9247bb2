"""`axk1 quickstart`: parse, call one function, print."""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.completion import one_of, presets

# One line to copy: text goes in, text comes out.
_ASK = (
    "from transformers import pipeline; ask = pipeline('text-generation', '{folder}', trust_remote_code=True); "
    "print(ask('The server', max_new_tokens=40)[0]['generated_text'])"
)


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
    rows = ", ".join(f"{split} {count:,}" for split, count in proof["dataset_rows"].items())
    axk1, python = commands_here()
    page = f"http://127.0.0.1:8000/{model['repo_id']}"
    print(f"""
A stranger's process loaded {model["repo_id"]} at {model["tag"]} and continued {proof["prompt"]!r}:

{proof["sample"]}

  logits      largest difference to the trained model {proof["logits_max_abs_diff"]:.1e}
  model       {out / "export"}  ({model["repo_id"]}, {proof["files_checked"]} files checked)
  dataset     {out / "data"}  ({dataset["repo_id"]}, rows {rows})
  checkpoint  {out / "checkpoint"}
  hub         {out / "hub"}

Ask the model, in Python:

  {python} -c "{_ASK.format(folder=out / "export")}"

Read its card, at {page} once this runs:

  {axk1} hub serve --root {out / "hub"} --port 8000

See what else there is to do:

  {axk1}
""")


def commands_here() -> tuple[str, str]:
    """Return how a person in this folder calls `axk1` and the Python that has it, activated environment or not."""
    python = Path(sys.executable)
    own = python.with_name("axk1")
    if (found := shutil.which("axk1")) and Path(found).samefile(own):
        return "axk1", "python"
    python, own = (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path for path in (python, own))
    return str(own) if own.exists() else f"{python} -m modeling_axk1", str(python)
