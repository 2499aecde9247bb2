"""Puts the documentation's site into a wheel where `make docs` has built one: a bare machine builds a wheel without."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SiteHook(BuildHookInterface):
    """Adds site/ to what is read at run time."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the site to a wheel; an editable installation finds it in the checkout."""
        if version == "standard" and (Path(self.root) / "site" / "index.html").exists():
            build_data["force_include"]["site"] = "modeling_axk1/_shipped/site"
