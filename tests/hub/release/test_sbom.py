"""The SBOM is valid CycloneDX, by its publisher's own schema, and says what the repository holds."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from modeling_axk1.checksums import parse_sums
from modeling_axk1.hub.release.sbom import sbom
from tests.hub.release.conftest import DATA, MODEL


def problem(text: str) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)


def test_those_of_a_release_are_valid_and_list_every_file(made):
    for folder in (MODEL, DATA):
        text = (made.set / folder / "sbom.cdx.json").read_text()
        assert problem(text) is None
        files = {one["name"] for one in json.loads(text)["components"] if one["type"] == "file"}
        listed = parse_sums((made.set / folder / "SHA256SUMS").read_bytes()).keys()
        assert files == listed - {"sbom.cdx.json", "MANIFEST.json"}


def test_it_names_libraries_datasets_and_licences():
    text = sbom(
        "me/nano",
        "v1",
        kind="machine-learning-model",
        licences=["Apache-2.0", "PSF-2.0"],
        files={"a": "0" * 64},
        libraries={"torch": "2.13.0+cpu", "huggingface_hub": "2.4.0"},
        datasets={"me/text": "1" * 64},
    )
    assert problem(text) is None
    document = json.loads(text)
    purls = [one["purl"] for one in document["components"] if one["type"] == "library"]
    assert purls == ["pkg:pypi/huggingface-hub@2.4.0", "pkg:pypi/torch@2.13.0%2Bcpu"]
    assert document["metadata"]["component"]["licenses"] == [
        {"license": {"id": "Apache-2.0"}},
        {"license": {"name": "PSF-2.0"}},
    ]
    assert len(document["dependencies"][0]["dependsOn"]) == 3


def test_a_document_that_is_none_is_told_by_the_schema():
    """So that a validator which accepts everything would be noticed."""
    assert problem('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "no type"}]}') is not None
