"""Git LFS as files in a tree: the pointer that stands for a large file, and the attributes that say which are large."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

MEDIA_TYPE = "application/vnd.git-lfs+json"
ATTRIBUTES_FILE = ".gitattributes"

# A file up to this size that is no known binary format is kept in git itself, where `git log -p` can read it.
REGULAR_LIMIT = 10 * 1024 * 1024

# fmt: off
_LARGE_SUFFIXES = (
    "7z", "arrow", "avi", "bin", "bz2", "ckpt", "feather", "flac", "gguf", "gz", "h5", "jpg", "jpeg",
    "joblib", "model", "mp3", "mp4", "msgpack", "npy", "npz", "onnx", "ot", "parquet", "pb", "pdf", "pickle",
    "pkl", "png", "pt", "pth", "rar", "safetensors", "tar", "tflite", "tgz", "wasm", "wav", "webp", "xz",
    "zip", "zst",
)
# fmt: on
_ATTRIBUTES = "filter=lfs diff=lfs merge=lfs -text"
DEFAULT_ATTRIBUTES = "".join(f"*.{suffix} {_ATTRIBUTES}\n" for suffix in _LARGE_SUFFIXES)

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,18})\n"
)
_LONGEST_POINTER = 200


@dataclass(frozen=True)
class Pointer:
    """What git holds in place of a large file."""

    oid: str
    size: int

    def to_bytes(self) -> bytes:
        """Return the pointer file."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()


def read_pointer(content: bytes) -> Pointer | None:
    """Return the pointer that `content` is, None when it is an ordinary file."""
    if len(content) > _LONGEST_POINTER:
        return None
    match = _POINTER.fullmatch(content)
    return Pointer(match[1].decode(), int(match[2])) if match else None


def is_large(path: str, size: int) -> bool:
    """Tell whether a file is stored as a blob with a pointer rather than in git."""
    return size > REGULAR_LIMIT or path.lower().endswith(tuple(f".{suffix}" for suffix in _LARGE_SUFFIXES))


def track(attributes: str, paths: list[str]) -> str:
    """Return the .gitattributes text with a line added for each large file in `paths` that no line covers yet."""
    lines = attributes.splitlines()
    patterns = [line.split()[0] for line in lines if line.endswith(_ATTRIBUTES)]
    for path in paths:
        own_line = f"{_exact_pattern(path)} {_ATTRIBUTES}"
        name = PurePosixPath(path).name
        if own_line not in lines and not any(fnmatchcase(name, pattern) for pattern in patterns):
            lines.append(own_line)
    return "".join(f"{line}\n" for line in lines)


def _exact_pattern(path: str) -> str:
    """Return the .gitattributes pattern that matches this one path."""
    escaped = re.sub(r"([*?\[\]])", r"\\\1", path)
    if not re.search(r'[\s"]', escaped):
        return f"/{escaped}"
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"')
    return f'"/{quoted}"'
