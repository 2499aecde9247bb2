"""The dataset repository of a release: the dataset as it was built, with what a release adds to it."""

import shutil
from pathlib import Path

from modeling_axk1.checksums import SUMS_FILE, write_sums
from modeling_axk1.errors import HubError
from modeling_axk1.files import atomic_write_text, file_digests
from modeling_axk1.hub.card import korean_data_card
from modeling_axk1.hub.release.documents import dataset_documents
from modeling_axk1.hub.release.model_repository import read_json
from modeling_axk1.hub.release.sbom import SBOM_FILE, sbom
from modeling_axk1.weights.listing import MANIFEST_FILE, SIGNATURE_FILE

KOREAN_CARD = "README.ko.md"
_LINK = f"[한국어]({KOREAN_CARD})\n\n"


def write_dataset_repository(part: Path, dataset: Path, repo_id: str, tag: str) -> None:
    """Fill the empty folder `part` from the dataset folder; the same dataset gives the same bytes.

    Raises HubError for a dataset that holds back documents from release, or has no card.
    """
    check_releasable(dataset)
    for name in file_digests(dataset):
        if name in (SUMS_FILE, MANIFEST_FILE, SIGNATURE_FILE):
            continue
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset / name, part / name)
    card = (part / "README.md").read_text(encoding="utf-8")
    front, rule, body = card.partition("\n---\n")
    if not rule:
        raise HubError(f"{dataset / 'README.md'} has no front matter")
    stats = read_json(part / "stats.json")
    atomic_write_text(part / "README.md", f"{front}{rule}\n{_LINK}{body.lstrip()}".replace(_PLACE, repo_id))
    atomic_write_text(part / KOREAN_CARD, korean_data_card(part, repo_id))
    for name, text in dataset_documents(repo_id, tag).items():
        atomic_write_text(part / name, text)
    licences = sorted(stats["by_license"])
    atomic_write_text(
        part / SBOM_FILE,
        sbom(repo_id, tag, kind="data", licences=licences, files=file_digests(part), libraries={}, datasets={}),
    )
    write_sums(part)


# How a card that is built before anybody knows its repository's name speaks of it.
_PLACE = "path/or/name/of/this/dataset"


def check_releasable(dataset: Path) -> None:
    """Raise HubError unless the dataset may leave: built, with a card, and without what its recipe holds back."""
    for name in ("stats.json", "README.md", SUMS_FILE):
        if not (dataset / name).is_file():
            raise HubError(f"{dataset} has no {name}; nothing was exported (`axk1 data build` makes a dataset)")
    if read_json(dataset / "stats.json").get("whole"):
        raise HubError(
            f"{dataset} is a whole corpus, with documents that its recipe holds back: it is for training, not release; "
            "build it without --whole"
        )
