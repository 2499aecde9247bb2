"""Check a release before it leaves: links, metadata, licences, secrets, pickles, limits, figures, weights, digests."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from modeling_axk1.checksums import SUMS_FILE
from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_write_text, sha256_file
from modeling_axk1.hub.checking.examples import check_examples
from modeling_axk1.hub.checking.figures import check_figures, expected_cards
from modeling_axk1.hub.checking.licences import check_licences
from modeling_axk1.hub.checking.limits import check_limits
from modeling_axk1.hub.checking.links import check_links
from modeling_axk1.hub.checking.metadata import check_metadata
from modeling_axk1.hub.checking.pickles import check_pickles
from modeling_axk1.hub.checking.secrets import check_secrets
from modeling_axk1.hub.checking.subject import Finding, Subject
from modeling_axk1.hub.checking.sums import check_sbom, check_sums
from modeling_axk1.hub.checking.weights import check_weights
from modeling_axk1.hub.release_set import RELEASE_FILE, read_release
from modeling_axk1.progress import progress_bar
from modeling_axk1.weights.listing import SIGNATURE_FILE

Rule = Callable[[Subject], Iterable[tuple[str, str]]]

RULES: dict[str, Rule] = {
    "limits": check_limits,
    "pickles": check_pickles,
    "secrets": check_secrets,
    "links": check_links,
    "metadata": check_metadata,
    "licences": check_licences,
    "figures": check_figures,
    "weights": check_weights,
    "sbom": check_sbom,
}


@dataclass
class CheckReport:
    """What was checked and what was found; `unchecked` says what nobody should take for checked."""

    place: Path
    repositories: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it."""
        return {**asdict(self), "place": str(self.place)}


def check(place: Path, *, key: Path | None = None, run: bool = True) -> CheckReport:
    """Check a release set, or the folder of one repository; nothing stops at the first finding.

    Args:
        place: a folder with release.json, with README.md, or a plan's folder.
        key: the signer's public key; every repository must then be signed with its private half.
        run: run the cards' examples.

    Raises HubError when `place` is none of these.

    """
    subjects, findings = subjects_in(place)
    report = CheckReport(place, findings=findings)
    report.repositories = [subject.repo_id for subject in subjects]
    rules: dict[str, Rule] = {**RULES, "digests": lambda subject: check_sums(subject, key)}
    if run:
        rules["examples"] = check_examples
    else:
        report.unchecked.append("the examples in the cards were not run")
    report.rules = [*rules, *(["release"] if (place / RELEASE_FILE).is_file() else [])]
    with progress_bar("checking", total=len(subjects) * len(rules)) as advance:
        for subject in subjects:
            if key is None and SIGNATURE_FILE in subject.files:
                report.unchecked.append(f"{subject.repo_id}: {SIGNATURE_FILE} needs the signer's public key (--key)")
            for name, rule in rules.items():
                report.findings += _applied(name, rule, subject)
                advance(1, note=f"{subject.repo_id}: {name}")
    return report


def _applied(name: str, rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield what a rule finds; a file that is so odd that the rule stumbles over it is a finding too."""
    try:
        yield from (Finding(subject.repo_id, name, *found) for found in rule(subject))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        yield Finding(subject.repo_id, name, ".", f"a file is not what the rule can read: {error!r:.120}")


def stale_cards(place: Path, *, write: bool) -> list[str]:
    """Return the cards at a place that are not what their files give, as paths; with `write`, write them anew.

    Raises HubError where a card lacks a figure.
    """
    stale = []
    for subject in subjects_in(place)[0]:
        for name, text in expected_cards(subject).items():
            if isinstance(text, HubError):
                raise text
            path = subject.folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(path.relative_to(place).as_posix())
                if write:
                    atomic_write_text(path, text)
    return stale


def subjects_in(place: Path) -> tuple[list[Subject], list[Finding]]:
    """Return the repositories at a place, and what release.json says wrongly of them; raises HubError for none."""
    if (place / RELEASE_FILE).is_file():
        release = read_release(place)
        here = [entry for entry in release.repositories if (place / entry.folder).is_dir()]
        beside = {entry.id: (entry.type, place / entry.folder) for entry in here}
        subjects = [Subject(place / entry.folder, entry.type, entry.id, beside, in_set=True) for entry in here]
        findings = [
            Finding(entry.id, "release", RELEASE_FILE, f"names {entry.folder}, which is not there")
            for entry in release.repositories
            if entry not in here
        ]
        for entry in here:
            sums = place / entry.folder / SUMS_FILE
            if sums.is_file() and sha256_file(sums) != entry.sums_sha256:
                message = f"{SUMS_FILE} must have the SHA-256 that {RELEASE_FILE} says, {entry.sums_sha256[:12]}..."
                findings.append(Finding(entry.id, "release", RELEASE_FILE, message))
        named = {entry.folder for entry in release.repositories}
        for kind in ("models", "datasets"):
            for folder in sorted((place / kind).glob("*/*")):
                if (name := folder.relative_to(place).as_posix()) not in named:
                    findings.append(Finding(name, "release", RELEASE_FILE, "does not name this repository"))
        return subjects, findings
    if (place / "plan.json").is_file():
        folders = sorted(path for path in (place / "models").glob("*/*") if path.is_dir())
        names = ["/".join(folder.parts[-2:]) for folder in folders]
        beside = {name: ("model", folder) for name, folder in zip(names, folders, strict=True)}
        return [Subject(folder, "model", name, beside) for name, folder in zip(names, folders, strict=True)], []
    if (place / "README.md").is_file():
        return [_single(place)], []
    raise HubError(f"{place} is no release: it has neither {RELEASE_FILE} nor README.md; `axk1 hub export` makes one")


def _single(folder: Path) -> Subject:
    kind: Literal["model", "dataset"] = "model" if (folder / "config.json").is_file() else "dataset"
    name = folder.resolve().name
    try:
        content = json.loads((folder / "results/variant.json").read_text(encoding="utf-8"))
        return Subject(folder, kind, str(content["repository"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Subject(folder, kind, f"local/{name}")
