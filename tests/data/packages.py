"""Small packages made on the spot, so that no test needs a package server."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def tar(files: Mapping[str, bytes], compression: str = "gz", links: Mapping[str, str] = {}) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            archive.addfile(entry)
    return out.getvalue()


def deb(files: Mapping[str, bytes], compression: str = "xz", links: Mapping[str, str] = {}) -> bytes:
    """A Debian package: an ar archive of debian-binary, control.tar and data.tar."""
    data = tar({f"./{name}": content for name, content in files.items()}, compression, links)
    members = {"debian-binary": b"2.0\n", "control.tar.gz": tar({"./control": b"x"}), f"data.tar.{compression}": data}
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def wheel(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def write(folder: Path, content: bytes, name: str = "package") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path
