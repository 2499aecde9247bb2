"""croissant.json: the dataset for machines that know no hub, in MLCommons' Croissant format.

Every Parquet file is named with its size and hash; a record set for each config says what its columns hold, and of
which split a record is: that stands in the name of its file. Source: the Croissant format specification, version 1.0,
with its section on splits. Written by hand, and validated by mlcroissant in a test: the format
is a few dictionaries, and its library brings a scientific stack.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from modeling_axk1.data.dataset import SPLITS
from modeling_axk1.data.recipe import Recipe
from modeling_axk1.data.stats import Stats

CROISSANT_FILE = "croissant.json"

# What each column holds, in words.
COLUMNS = {
    "id": "First 16 hex digits of sha256: the name of the document.",
    "text": "The text.",
    "language": "ISO 639 code; `code` is program text.",
    "source": "The package that the text comes from.",
    "source_version": "The package's version.",
    "source_file": "The file in the package.",
    "license": "SPDX identifier of the licence of this document.",
    "sha256": "SHA-256 of the text in UTF-8.",
    "steps": "The steps that changed the text.",
}


def croissant(recipe: Recipe, stats: Stats, files: Mapping[str, tuple[int, str]]) -> str:
    """Return croissant.json; `files` are the Parquet files: {path: (size in bytes, SHA-256)}."""
    configs = {
        "default": "data/*/*/*.parquet",
        **{config: f"data/{config}/*/*.parquet" for config in stats.by_config},
        **{language: f"data/*/{language}/*.parquet" for language in stats.by_language},
    }
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": recipe.name,
        "alternateName": recipe.pretty_name,
        "description": recipe.description.strip(),
        "license": [f"https://spdx.org/licenses/{license}.html" for license in stats.by_license],
        "inLanguage": [language for language in stats.by_language if language != "code"],
        "isLiveDataset": False,
        "distribution": [
            *(_file_object(name, size, digest) for name, (size, digest) in files.items()),
            *(_file_set(config, pattern, files) for config, pattern in configs.items()),
        ],
        "recordSet": [_splits(stats), *(_record_set(config) for config in configs)],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _file_object(name: str, size: int, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": digest,
    }


def _file_set(config: str, pattern: str, files: Iterable[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{config}",
        "encodingFormat": "application/x-parquet",
        "includes": pattern,
    }


def _splits(stats: Stats) -> dict[str, Any]:
    """The names of the splits, the same in every config, though a small one may lack the second."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [{"@type": "cr:Field", "@id": "splits/name", "dataType": "sc:Text"}],
        "data": [{"splits/name": split} for split in stats.by_split],
    }


def _record_set(config: str) -> dict[str, Any]:
    files = {"fileSet": {"@id": f"files-{config}"}}
    split = {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "dataType": "sc:Text",
        "description": "The split of the document.",
        "source": {
            **files,
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": f"^({'|'.join(SPLITS)})"},
        },
        "references": {"field": {"@id": "splits/name"}},
    }
    columns = [
        {
            "@type": "cr:Field",
            "@id": f"{config}/{column}",
            "dataType": "sc:Text",
            "description": description,
            **({"repeated": True} if column == "steps" else {}),
            "source": {**files, "extract": {"column": column}},
        }
        for column, description in COLUMNS.items()
    ]
    return {"@type": "cr:RecordSet", "@id": config, "field": [split, *columns]}


# The names of the specification, as it gives them.
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "samplingRate": "cr:samplingRate",
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
