"""`axk1 docs`: the documentation in a browser, with no network."""

import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from modeling_axk1.cli.output import print_json
from modeling_axk1.errors import UsageError


def docs(
    language: Annotated[str, typer.Option(help="en or ko.")] = "en",
    build: Annotated[bool, typer.Option("--build", help="Of a checkout: build the site anew first.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it, or only say where it is.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is as JSON.")] = False,
) -> None:
    """Open this documentation in a browser, offline: guides, references, search.

    A release of the package brings the site. In a checkout it is built when
    it is first asked for, which needs the extra `docs`.

    Example: axk1 docs

    Example: axk1 docs --language ko --no-browser
    """
    if language not in ("en", "ko"):
        raise UsageError(f"--language must be en or ko, got {language}")
    page = _site(build=build) / language / "index.html"
    if as_json:
        print_json({"page": str(page), "address": page.as_uri()})
        return
    typer.echo(page.as_uri())
    if browser and not webbrowser.open(page.as_uri()):
        typer.echo("no browser was found here: open that address in one", err=True)


def _site(*, build: bool) -> Path:
    """Return the folder of the site; builds it in a checkout when asked to, or when there is none yet."""
    from modeling_axk1.shipped import shipped

    try:
        script = shipped("docs/site_builder.py")
    except FileNotFoundError:
        script = None
    try:
        if not (build and script):
            return shipped("site")
    except FileNotFoundError:
        if script is None:
            raise UsageError(
                "this installation came without the documentation's site; install a released wheel, or build it in "
                "a checkout: make docs"
            ) from None
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"the site could not be built: {reason}; it needs pip install -e '.[docs]'")
    return shipped("site")
