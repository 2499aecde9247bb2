"""Prove a release: fetch it by its tag, check every byte, and load it where this package does not exist."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.hub.child import run_apart
from modeling_axk1.hub.client import calling
from modeling_axk1.hub.mirror import Pin
from modeling_axk1.hub.prove import Proof, prove, require
from modeling_axk1.hub.record import Record
from modeling_axk1.hub.release_set import RELEASE_FILE, ReleaseSet, RepositoryType
from modeling_axk1.hub.remote import Remote
from modeling_axk1.hub.remote_source import RemoteSource
from modeling_axk1.hub.repo import Repo
from modeling_axk1.hub.sets import is_set, open_set
from modeling_axk1.hub.sources import FolderSource
from modeling_axk1.progress import progress_bar

GOLDEN = "golden/logits.safetensors"

# fp32 on another machine adds up in another order; weights that differ by one bit in a matrix show far above this.
LOGITS_TOLERANCE = 1e-5


@dataclass(frozen=True)
class VerifyReport:
    """What was proved. Counts are of files whose digest was checked; `dataset_rows` is {split: rows}."""

    repo_id: str
    revision: str
    commit: str
    endpoint: str
    files_checked: int
    bytes_checked: int
    checked: list[str]
    unchecked: list[str]
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


@dataclass(frozen=True)
class MemberReport:
    """What was proved of one repository; `findings` are those of loading it, None where it was not loaded."""

    repo_type: RepositoryType
    repo_id: str
    tag: str
    commit: str
    proof: Proof
    findings: dict[str, Any] | None

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
    key: Path | None = None,
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
        key: the signer's public key; with it both must hold a model.sig made with its private half.

    Raises HubError naming the first file, number or load that is not as published.

    """
    remote, repo = Remote(endpoint, token), Repo("model", repo_id)
    with tempfile.TemporaryDirectory(prefix="axk1-verify-") as folder:
        home = Path(folder)
        snapshot = _download(home, remote, repo, revision)
        proof = require(prove(_named(snapshot, repo_id), key=key))
        if not (snapshot / GOLDEN).is_file():
            raise HubError(f"{repo_id} has no recorded logits: {GOLDEN} is missing; --stream proves its bytes alone")
        dataset_proof = None
        if dataset_id:
            dataset = _download(home, remote, Repo("dataset", dataset_id), dataset_revision or "main")
            if (dataset / SUMS_FILE).is_file():
                dataset_proof = require(prove(_named(dataset, dataset_id), key=key))
        task = {
            "repo_id": repo_id,
            "revision": revision,
            "golden": str(snapshot / GOLDEN),
            "dataset_id": dataset_id,
            "dataset_revision": dataset_revision,
            "prompt": prompt,
            "max_new_tokens": max_new_tokens,
        }
        return VerifyReport(
            repo_id=repo_id,
            revision=revision,
            commit=snapshot.name,
            endpoint=remote.endpoint,
            files_checked=proof.files,
            bytes_checked=proof.bytes,
            checked=proof.checked,
            unchecked=proof.unchecked,
            dataset_id=dataset_id,
            dataset_revision=dataset_revision,
            dataset_files_checked=dataset_proof.files if dataset_proof else 0,
            **_load(home, remote, task),
        )


def verify_set(
    pins: Sequence[Pin],
    remote: Remote,
    *,
    release: ReleaseSet | None = None,
    key: Path | None = None,
    stream: bool = False,
    fresh: bool = False,
    max_new_tokens: int = 64,
) -> list[MemberReport]:
    """Prove several repositories at their tags, with `release` also that each SHA256SUMS is the one it names.

    With `stream` bytes are read and not kept, and nothing is loaded; a proof that was stopped goes on where it was
    (`fresh`: begins anew). Without, each is downloaded, and loaded where this package does not exist. Raises HubError
    naming the first thing that is not as published.
    """
    sums = {(member.type, member.id): member.sums_sha256 for member in release.repositories} if release else {}
    reports = []
    for pin in pins:
        repo, expected = pin.repo, sums.get((pin.repo.type, pin.repo.id))
        if stream:
            commit = remote.resolve(repo, pin.tag)
            record = Record(f"{remote.endpoint} {repo.page} {commit}", fresh=fresh)
            source = RemoteSource(remote, repo, commit)
            proof = require(prove(source, key=key, sums_sha256=expected, record=record))
            reports.append(MemberReport(repo.type, repo.id, pin.tag, commit, proof, None))
            continue
        with tempfile.TemporaryDirectory(prefix="axk1-verify-") as folder:
            home = Path(folder)
            snapshot = _download(home, remote, repo, pin.tag)
            proof = require(prove(_named(snapshot, repo.id), key=key, sums_sha256=expected))
            task = _task_of(pin, snapshot, max_new_tokens)
            if task is None:
                proof.unchecked.append("no weights: nothing was loaded")
            findings = _load(home, remote, task) if task else None
            reports.append(MemberReport(repo.type, repo.id, pin.tag, snapshot.name, proof, findings))
    return reports


def verify_here(path: Path, *, key: Path | None = None) -> list[Proof]:
    """Prove what lies on this machine: the folder of a repository, that of a release set, or a bundle.

    Every byte is read once and nothing is loaded. Raises HubError for what is none of these; what is wrong with the
    files of a repository is in its proof.
    """
    path = path.parent if path.name == RELEASE_FILE else path
    if not is_set(path):
        return [prove(FolderSource(path), key=key)]
    release, sources = open_set(path, check=False)
    return [prove(sources[member.folder], key=key, sums_sha256=member.sums_sha256) for member in release.repositories]


def _named(snapshot: Path, name: str) -> FolderSource:
    source = FolderSource(snapshot)
    source.name = name
    return source


def _task_of(pin: Pin, snapshot: Path, max_new_tokens: int) -> dict[str, Any] | None:
    """Return what the child shall load, None for a model without weights."""
    is_model = pin.repo.type == "model"
    if is_model and not any(snapshot.glob("*.safetensors")):
        return None
    if is_model and not (snapshot / GOLDEN).is_file():
        raise HubError(f"{pin.repo.id} has no recorded logits: {GOLDEN} is missing; --stream proves its bytes alone")
    return {
        "repo_id": pin.repo.id if is_model else None,
        "revision": pin.tag,
        "golden": str(snapshot / GOLDEN),
        "dataset_id": None if is_model else pin.repo.id,
        "dataset_revision": pin.tag,
        "prompt": None,
        "max_new_tokens": max_new_tokens,
    }


def _load(home: Path, remote: Remote, task: dict[str, Any]) -> dict[str, Any]:
    """Have the child load what was downloaded; raises HubError for logits that are not the recorded ones."""
    with progress_bar("loading without this package", total=None):
        findings = _load_elsewhere(home, remote.endpoint, remote.token, task)
    difference = findings["logits_max_abs_diff"]
    if task["repo_id"] and not difference <= LOGITS_TOLERANCE:
        got = f"{difference:.3g}" if math.isfinite(difference) else "logits of another shape or not numbers"
        raise HubError(f"{task['repo_id']}: logits must be within {LOGITS_TOLERANCE} of the recorded ones, got {got}")
    return findings


def _download(home: Path, remote: Remote, repo: Repo, revision: str) -> Path:
    """Fetch a repository into the cache that the child process will use; return the folder of the commit."""
    # Asked first and by itself: snapshot_download answers an unreachable hub or an unknown name with a riddle.
    commit = remote.resolve(repo, revision)
    try:
        with calling(remote.endpoint, remote.token) as api:
            return Path(api.snapshot_download(repo.id, repo_type=repo.type, revision=commit, cache_dir=home / "hub"))
    except HubError:
        require(prove(RemoteSource(remote, repo, commit)))  # which file it is, when it is one
        raise


def _load_elsewhere(home: Path, endpoint: str, token: str | None, task: dict[str, Any]) -> dict[str, Any]:
    """Run verify_child.py in an empty folder with nothing of this process's Python paths or hub settings."""
    settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"HF_TOKEN": token} if token else {}),
    }
    program = Path(__file__).with_name("verify_child.py")
    return run_apart(program, task, home, f"{task['repo_id']} does not load without this package", **settings)
