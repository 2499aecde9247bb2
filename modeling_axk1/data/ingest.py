"""From a source of a recipe to documents, with every step of the way pinned.

The package file must have the recipe's sha256; its files are read in the archive's own order, extracted, and let in
by rules of the recipe that look at nothing but the file. So the same recipe gives the same documents in the same
order everywhere. Nothing disappears silently: what is left out is counted by reason.
"""

import gzip
import hashlib
import io
import json
import re
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from modeling_axk1.data.archive import members
from modeling_axk1.data.document import Document
from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block, Text
from modeling_axk1.data.packages import default_cache, fetch
from modeling_axk1.data.read import FIELDS
from modeling_axk1.data.recipe import read_recipe
from modeling_axk1.data.source import Source
from modeling_axk1.data.translated import translated_lines
from modeling_axk1.errors import DataError
from modeling_axk1.files import atomic_folder
from modeling_axk1.progress import progress_bar

# The most bytes that one file of a package may have, decompressed: it is held in memory whole.
MAX_FILE_BYTES = 64 * 2**20


def documents(source: Source, cache: Path, left_out: Counter[str] | None = None) -> Iterator[Document]:
    """Yield the documents of a source, downloading its package into `cache` unless it is there.

    `left_out` counts what was not let in, by reason. A language with more text than its `max_bytes` is thinned out
    evenly; its package is then read twice. Raises DataError when the package cannot be had, is not the pinned one or
    is broken, and when nothing in it matches what is selected for a language.
    """
    left_out = Counter() if left_out is None else left_out
    package = fetch(source, cache)
    chosen = _chosen(source, package)
    for document in _let_in(source, package, left_out):
        if document.language not in chosen or _rank(document) in chosen[document.language]:
            yield document
        else:
            left_out["more text than the source's share"] += 1


def copyright_text(source: Source, cache: Path) -> bytes:
    """Return the text in a source's package that states its licence; raises DataError when it is not there."""
    for member in members(fetch(source, cache), source.package, Counter()):
        if member.name == source.copyright and (content := member.read(MAX_FILE_BYTES)) is not None:
            return _decompressed(member.name, content)
    raise DataError(f"{source.package}: no file {source.copyright}")


def sample(recipe_path: Path, out: Path, only: Sequence[str] = (), cache: Path | None = None) -> dict[str, int]:
    """Write the recipe, its sources' documents and their licence texts to the folder `out`, replacing it whole.

    `only` limits the work to the named sources. Returns the number of documents per source. Raises DataError when
    a package cannot be had or is not the pinned one.
    """
    recipe = read_recipe(recipe_path)
    unknown = sorted(set(only) - {source.name for source in recipe.sources})
    if unknown:
        raise DataError(f"the recipe has no source {unknown[0]!r}")
    sources = [source for source in recipe.sources if not only or source.name in only]
    cache = cache or default_cache()
    counts = {}
    with atomic_folder(out) as folder, progress_bar("sampling", total=len(sources)) as advance:
        shutil.copyfile(recipe.folder / recipe.file, folder / "recipe.toml")
        (folder / "LICENSES").mkdir()
        for text in (recipe.folder / "LICENSES").glob("*.txt"):
            # Texts that a package only points to lie beside the recipe.
            shutil.copyfile(text, folder / "LICENSES" / text.name)
        for source in sources:
            picked = sorted(documents(source, cache), key=lambda document: document.source_file)
            (folder / source.documents).write_bytes(b"".join(map(_json_line, picked)))
            (folder / "LICENSES" / f"{source.name}.copyright").write_bytes(copyright_text(source, cache))
            counts[source.name] = len(picked)
            advance(1, note=source.name)
    return counts


def _chosen(source: Source, package: Path) -> dict[str, set[bytes]]:
    """Return the ranks of the documents to take, for each language that is bounded.

    They are taken in the order of their ranks, up to the bound: that spreads the choice over the whole package and
    depends on no machine.
    """
    left = {language: one.max_bytes for language, one in source.languages.items() if one.max_bytes is not None}
    sizes: defaultdict[str, list[tuple[bytes, int]]] = defaultdict(list)
    if left:
        for document in _let_in(source, package, Counter()):
            if document.language in left:
                sizes[document.language].append((_rank(document), document.bytes))
    chosen: dict[str, set[bytes]] = {language: set() for language in left}
    for language, ranked in sizes.items():
        for rank, size in sorted(ranked):
            if size <= left[language]:
                chosen[language].add(rank)
                left[language] -= size
    return chosen


def _rank(document: Document) -> bytes:
    return hashlib.sha256(document.source_file.encode()).digest()


def _let_in(source: Source, package: Path, left_out: Counter[str]) -> Iterator[Document]:
    patterns = {language: selection.pattern for language, selection in source.languages.items()}
    missing = set(patterns)
    reject_files = re.compile(source.reject_files)
    reject_text = re.compile(source.reject_text)
    for member in members(package, source.package, left_out):
        languages = [language for language, pattern in patterns.items() if pattern.fullmatch(member.name)]
        missing.difference_update(languages)
        if not languages:
            continue
        if reject_files.search(member.name):
            left_out["a path that the recipe rejects"] += 1
            continue
        content = member.read(MAX_FILE_BYTES)
        if content is None:
            left_out[f"a file larger than {MAX_FILE_BYTES} bytes"] += 1
            continue
        try:
            for text in EXTRACTORS[source.format](member.name, _decompressed(member.name, content)):
                for language in languages:
                    document = _document(source, member.name, language, text)
                    if document.bytes < source.min_bytes:
                        left_out[f"shorter than {source.min_bytes} bytes"] += 1
                    elif document.bytes > source.max_bytes:
                        left_out[f"longer than {source.max_bytes} bytes"] += 1
                    elif reject_text.search(document.text):
                        left_out["a text that the recipe rejects"] += 1
                    else:
                        yield document
        except DataError:
            left_out[f"a file that cannot be read as {source.format}"] += 1
    if missing:
        language = min(missing)
        raise DataError(f"{source.package}: no file matches {source.languages[language].files!r}")


def _decompressed(name: str, content: bytes) -> bytes:
    if not name.endswith(".gz"):
        return content
    try:
        plain = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: broken: {error}") from None
    if len(plain) > MAX_FILE_BYTES:
        raise DataError(f"{name}: a file may have {MAX_FILE_BYTES} bytes at most")
    return plain


def _document(source: Source, name: str, language: str, text: Text) -> Document:
    license = source.license if text.license is None else text.license
    file = f"{name}#{text.part}" if text.part else name
    return Document(_joined(text.blocks, language), language, source.name, source.version, file, license)


def _joined(blocks: list[Block], language: str) -> str:
    texts = (block.text if block.verbatim else translated_lines(block.text, language) for block in blocks)
    return "\n\n".join(text for text in texts if text)


def _json_line(document: Document) -> bytes:
    fields = asdict(document)
    return json.dumps({key: fields[key] for key in FIELDS}, ensure_ascii=False).encode() + b"\n"
