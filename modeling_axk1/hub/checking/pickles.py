"""No pickle: loading one runs code. Found by content as well as by name, also where it hides.

Looked into: whole files of any name, members of zip archives (torch.save), gzip, the header of a NumPy file, and the
metadata of safetensors, in base64 too. Not looked into: what is encrypted, compressed otherwise or split.
"""

import base64
import binascii
import gzip
import io
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.checking.subject import Subject
from modeling_axk1.weights.header import read_header

_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".pyc", ".msgpack", ".h5", ".npz")
# Opcodes that import or call; a protocol 0 stream without one of them cannot run anything, and prose may look like one.
_CALLS = frozenset(("GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD"))
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
# A pickle's first bytes tell; its end need not be reached.
_HEAD = 4_000_000
_MOST_MEMBERS = 10_000


def check_pickles(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong)."""
    for name in subject.files:
        if name.lower().endswith(_SUFFIXES):
            yield name, f"files must not be of a kind that can hold code, got {Path(name).suffix}"
        elif (where := _pickle_in(subject.folder / name)) is not None:
            yield name, f"holds a pickle{where}"


def is_pickle(raw: bytes) -> bool:
    """Whether bytes begin with a pickle, of any protocol, that imports, calls or says that it is one."""
    seen = set()
    announced = len(raw) > 2 and raw[0] == 0x80 and raw[1] <= 5
    try:
        with warnings.catch_warnings(action="ignore"):  # prose may hold what looks like a wrong escape
            for opcode, _, _ in pickletools.genops(raw):
                seen.add(opcode.name)
                if opcode.name == "STOP":
                    return announced or bool(seen & _CALLS)
    except Exception:  # genops raises whatever its argument readers do
        # Cut short: announced, and enough of it made sense.
        return announced and bool(seen & _CALLS)
    return False


def _pickle_in(path: Path) -> str | None:
    """Return where in a file there is a pickle, as words after "holds a pickle"; None where there is none."""
    with path.open("rb") as file:
        raw = file.read(_HEAD)
    if is_pickle(raw):
        return ""
    if raw.startswith(b"\x1f\x8b"):
        try:
            if is_pickle(gzip.GzipFile(fileobj=io.BytesIO(raw)).read(_HEAD)):
                return ", compressed"
        except (OSError, EOFError, zlib.error):
            return None
    if raw.startswith(b"\x93NUMPY") and b"'|O" in raw[:256]:
        return ": an array of objects"
    if path.name.endswith(".safetensors"):
        return _in_metadata(path)
    # An archive may begin anywhere: its directory is at the end.
    return _in_archive(path) if zipfile.is_zipfile(path) else None


def _in_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist()[:_MOST_MEMBERS]:
                with archive.open(member) as file:
                    if member.filename.endswith(".pkl") or is_pickle(file.read(_HEAD)):
                        return f" in {member.filename!r:.60} of an archive"
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, zlib.error):
        return ", perhaps: it is an archive that cannot be read"
    return None


def _in_metadata(path: Path) -> str | None:
    try:
        metadata = read_header(path).metadata
    except (WeightsError, OSError):
        return None  # the rule about weights says so
    for key, value in metadata.items():
        if is_pickle(value.encode("utf-8", errors="replace")) or is_pickle(value.encode("latin-1", errors="replace")):
            return f" in its metadata, {key!r:.60}"
        for text in _BASE64.findall(value):
            try:
                raw = base64.b64decode(
                    text + "=" * (-len(text) % 4), altchars=b"-_" if re.search("[-_]", text) else None
                )
            except (ValueError, binascii.Error):
                continue
            if is_pickle(raw):
                return f" in its metadata, {key!r:.60}, in base64"
    return None
