"""Where and with what a figure was measured: machine, versions, commit. Every measured result carries this."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("axk1", "torch", "transformers", "tokenizers", "safetensors", "datasets", "huggingface_hub")


def environment() -> dict[str, Any]:
    """Return {"machine", "versions", "commit"}; it names no path, user or host.

    The commit is None outside a checkout and ends in "-dirty" when tracked files other than results differ from it.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"machine": _machine(), "versions": versions, "commit": _commit()}


def _machine() -> dict[str, Any]:
    info: dict[str, Any] = {"system": platform.system(), "cpu": _cpu_name(), "cores": os.cpu_count()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        info["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return info


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    package = Path(__file__).resolve().parent
    if not (package.parent / ".git").exists():
        return None
    git = ["git", "-C", str(package.parent)]
    commit = subprocess.run(
        [*git, "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    # Not the results themselves: of several benchmarks in a row each would find those of the ones before.
    compare = [*git, "diff", "--quiet", "HEAD", "--", ".", ":(exclude)release/results"]
    changed = subprocess.run(compare, capture_output=True).returncode
    return f"{commit}-dirty" if commit and changed else commit or None
