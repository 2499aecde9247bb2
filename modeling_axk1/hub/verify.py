"""Prove a release: fetch it by its tag, check every byte, and load it where this package does not exist."""

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE, parse_sums
from modeling_axk1.errors import HubError
from modeling_axk1.files import file_digests
from modeling_axk1.hub.client import calling, check_endpoint
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.listing import SIGNATURE_FILE

GOLDEN = "golden/logits.safetensors"

# fp32 on another machine adds up in another order; weights that differ by one bit in a matrix show far above this.
LOGITS_TOLERANCE = 1e-5

# The sums cannot list themselves, nor the signature made of them; .gitattributes is the hub's own file.
_NOT_LISTED = {SUMS_FILE, SIGNATURE_FILE, ".gitattributes"}


@dataclass(frozen=True)
class VerifyReport:
    """What was proved. Counts are of files whose digest was checked; `dataset_rows` is {split: rows}."""

    repo_id: str
    revision: str
    commit: str
    endpoint: str
    files_checked: int
    bytes_checked: int
    logits_max_abs_diff: float
    dataset_id: str | None
    dataset_revision: str | None
    dataset_files_checked: int
    dataset_rows: dict[str, int]
    prompt: str
    sample: str

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return asdict(self)


def verify(
    repo_id: str,
    *,
    endpoint: str,
    revision: str,
    dataset_id: str | None = None,
    dataset_revision: str | None = None,
    token: str | None = None,
    prompt: str | None = None,
    max_new_tokens: int = 64,
) -> VerifyReport:
    """Download `repo_id` at `revision` into a fresh cache, check it, load it in a process without this package.

    Checked are: every file against the repository's SHA256SUMS; that a stranger's transformers loads tokenizer and
    model and gets the recorded logits (golden/logits.safetensors) within 1e-5 in fp32; that `datasets` loads the
    dataset from the same hub (its files too, when it has a SHA256SUMS).

    Args:
        repo_id: model repository, NAMESPACE/NAME.
        endpoint: address of the hub.
        revision: tag, branch or commit.
        dataset_id: dataset repository on the same hub; None leaves it out.
        dataset_revision: its tag, branch or commit; None is `main`.
        token: sent to the hub; None sends none.
        prompt: what the sample continues; None takes the one recorded with the logits.
        max_new_tokens: length of the sample.

    Raises HubError naming the first file, number or load that is not as published.

    """
    endpoint = check_endpoint(endpoint)
    with tempfile.TemporaryDirectory(prefix="axk1-verify-") as folder:
        home = Path(folder)
        snapshot = _download(home, endpoint, repo_id, "model", revision, token)
        digests = check_manifest(snapshot, repo_id)
        if GOLDEN not in digests:
            raise HubError(f"{repo_id} has no recorded logits: {GOLDEN} is missing")
        dataset_digests: dict[str, str] = {}
        if dataset_id:
            dataset = _download(home, endpoint, dataset_id, "dataset", dataset_revision, token)
            if (dataset / SUMS_FILE).is_file():
                dataset_digests = check_manifest(dataset, dataset_id)
        task = {
            "repo_id": repo_id,
            "revision": revision,
            "golden": str(snapshot / GOLDEN),
            "dataset_id": dataset_id,
            "dataset_revision": dataset_revision,
            "prompt": prompt,
            "max_new_tokens": max_new_tokens,
        }
        with progress_bar("loading without this package", total=None):
            findings = _load_elsewhere(home, endpoint, token, task)
        report = VerifyReport(
            repo_id=repo_id,
            revision=revision,
            commit=snapshot.name,
            endpoint=endpoint,
            files_checked=len(digests),
            bytes_checked=sum((snapshot / path).stat().st_size for path in digests),
            dataset_id=dataset_id,
            dataset_revision=dataset_revision,
            dataset_files_checked=len(dataset_digests),
            **findings,
        )
    difference = report.logits_max_abs_diff
    if not difference <= LOGITS_TOLERANCE:
        got = f"{difference:.3g}" if math.isfinite(difference) else "logits of another shape or not numbers"
        raise HubError(f"{repo_id}: logits must be within {LOGITS_TOLERANCE} of the recorded ones, got {got}")
    return report


def check_manifest(folder: Path, name: str) -> dict[str, str]:
    """Compare every file in `folder` with its SHA256SUMS and return {path: digest}.

    `name` is what the folder is called in an error. Raises HubError naming the first file that is missing, that the
    manifest does not list, or whose bytes are others than were published.
    """
    manifest = folder / SUMS_FILE
    if not manifest.is_file():
        raise HubError(f"{name} has no {SUMS_FILE}: nothing says what its files must be")
    try:
        expected = parse_sums(manifest.read_bytes())
    except ValueError as error:
        raise HubError(f"{name}: {error}") from None
    found = {path: digest for path, digest in file_digests(folder).items() if path not in _NOT_LISTED}
    for problem, paths in (
        ("is missing", expected.keys() - found.keys()),
        (f"is not in {SUMS_FILE}", found.keys() - expected.keys()),
        ("is damaged", {path for path in found.keys() & expected.keys() if found[path] != expected[path]}),
    ):
        if paths:
            first, *others = sorted(paths)
            more = f" (and {len(others)} more)" if others else ""
            raise HubError(f"{name}: {first} {problem}{more}")
    return found


def _download(home: Path, endpoint: str, repo_id: str, repo_type: str, revision: str | None, token: str | None) -> Path:
    """Fetch a repository into the cache that the child process will use; return the folder of the commit."""
    with calling(endpoint, token) as api:
        # Asked first and by itself: snapshot_download answers an unreachable hub or an unknown name with a riddle.
        commit = api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha
        return Path(api.snapshot_download(repo_id, repo_type=repo_type, revision=commit, cache_dir=home / "hub"))


def _load_elsewhere(home: Path, endpoint: str, token: str | None, task: dict[str, Any]) -> dict[str, Any]:
    """Run verify_child.py in an empty folder with nothing of this process's Python paths or hub settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "PYTHON"))
    }
    environment = {
        **kept,
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUTF8": "1",
        **({"HF_TOKEN": token} if token else {}),
    }
    empty = home / "empty"
    empty.mkdir()
    # -P: neither the folder of the program nor the current one is on the import path.
    child = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("verify_child.py"))],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=empty,
        env=environment,
        check=False,
    )
    if child.returncode != 0:
        said = [line.strip() for line in child.stderr.splitlines() if line.strip()]
        reason = said[-1] if said else f"exit status {child.returncode}"
        raise HubError(f"{task['repo_id']} does not load without this package: {reason}")
    findings: dict[str, Any] = json.loads(child.stdout)
    return findings
