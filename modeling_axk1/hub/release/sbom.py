"""sbom.cdx.json: what a repository consists of and needs, as CycloneDX 1.6 (ECMA-424), the same bytes each time.

Time and a random serial number, which most writers put in, are left out or derived from the content.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

SBOM_FILE = "sbom.cdx.json"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:axk1:sbom")


def sbom(
    name: str,
    version: str,
    *,
    kind: str,
    licences: list[str],
    files: Mapping[str, str],
    libraries: Mapping[str, str],
    datasets: Mapping[str, str],
) -> str:
    """Return the document.

    Args:
        name: NAMESPACE/NAME of the repository.
        version: its tag.
        kind: "machine-learning-model" or "data".
        licences: SPDX ids where there are such, else names.
        files: {path: SHA-256} of what it holds.
        libraries: {PyPI name: version} that the model was made and measured with.
        datasets: {NAMESPACE/NAME: SHA-256 of its data} that it was trained on.

    """
    main = {
        "type": kind,
        "bom-ref": f"repository:{name}",
        "name": name,
        "version": version,
        "licenses": [_licence(one) for one in licences],
    }
    components: list[dict[str, Any]] = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{_pypi(library)}@{release}",
            "name": library,
            "version": release,
            "purl": f"pkg:pypi/{_pypi(library)}@{release.replace('+', '%2B')}",
        }
        for library, release in sorted(libraries.items())
    ]
    components += [
        {"type": "data", "bom-ref": f"dataset:{dataset}", "name": dataset, "hashes": [_hash(digest)]}
        for dataset, digest in sorted(datasets.items())
    ]
    needed = [component["bom-ref"] for component in components]
    components += [
        {"type": "file", "bom-ref": f"file:{path}", "name": path, "hashes": [_hash(digest)]}
        for path, digest in sorted(files.items())
    ]
    content = {
        "metadata": {"component": main},
        "components": components,
        "dependencies": [{"ref": main["bom-ref"], "dependsOn": needed}],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True))
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps(document | content, indent=2, ensure_ascii=False) + "\n"


def _pypi(name: str) -> str:
    return name.lower().replace("_", "-")


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _licence(name: str) -> dict[str, Any]:
    """The schema knows SPDX ids by name; of them only what this project uses is listed here."""
    return {"license": {"id": name} if name in _SPDX else {"name": name}}


_SPDX = frozenset(
    ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0")
)
