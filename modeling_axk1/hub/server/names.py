"""Which names are allowed. Pure rules: what passes here is safe as a folder name, a git ref, a path in a git tree."""

import re
import unicodedata

from modeling_axk1.hub.server.refusal import Refusal

# The plural is what URLs and folders say, the singular what `repos/create` says.
KINDS = {"model": "models", "dataset": "datasets"}

# Where a repository's files and its git lie; datasets first, since a model's address would match them too.
REPOSITORY_PREFIXES = (("datasets", "/datasets"), ("models", ""))

# A model named datasets/x would sit at the same URL as the dataset x.
_RESERVED_NAMESPACES = {"api", "datasets", "models", "spaces"}
_REPOSITORY_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED_COMMIT_ID = re.compile(r"[0-9a-f]{7,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

DEEPEST_PATH = 64
LONGEST_PATH = 2048

# Git and the file systems it is checked out on read these as .git or .gitmodules.
_GIT_OWN_NAMES = {".git", "git~1", ".gitmodules", "gitmod~1"}
# Control and format characters, lone surrogates, line and paragraph separators: invisible, or not UTF-8.
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def kind_of(repository_type: object) -> str:
    """Return "models" or "datasets" for "model" (the default when absent) or "dataset"."""
    kind = KINDS.get(str(repository_type or "model"))
    if kind is None:
        raise Refusal(400, f"repository type must be one of {sorted(KINDS)}, got {repository_type!r}")
    return kind


def is_namespace(text: str) -> bool:
    """Tell whether `text` may be the first part of a repository's name."""
    try:
        check_repository(text, "name")
    except Refusal:
        return False
    return True


def check_repository(namespace: str, name: str) -> None:
    """Refuse a repository id that is not two plain parts of 1 to 96 characters from [A-Za-z0-9._-]."""
    for part in (namespace, name):
        if not _REPOSITORY_PART.fullmatch(part) or "--" in part or ".." in part or part.lower().endswith(".git"):
            raise Refusal(
                400,
                "a repository is NAMESPACE/NAME, each 1 to 96 of [A-Za-z0-9._-] without '--', '..' "
                f"or a final '.git', got {part!r}",
            )
    if namespace.lower() in _RESERVED_NAMESPACES:
        raise Refusal(400, f"a namespace must not be one of {sorted(_RESERVED_NAMESPACES)}, got {namespace!r}")


def check_path(path: object) -> str:
    """Return `path` if it is a plain relative POSIX path that any git checkout can hold; refuse it otherwise."""
    if not isinstance(path, str) or not 1 <= len(path) <= LONGEST_PATH:
        raise Refusal(400, f"a path must be text of 1 to {LONGEST_PATH} characters, got {str(path)[:80]!r}")
    if any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in path) or "\\" in path:
        raise Refusal(400, f"a path must hold no control or invisible characters and no backslash, got {path!r}")
    parts = path.split("/")
    if len(parts) > DEEPEST_PATH:
        raise Refusal(400, f"a path must not be deeper than {DEEPEST_PATH} folders, got {len(parts)}")
    for part in parts:
        # Windows ignores what follows a colon and trailing dots and spaces.
        seen_by_windows = part.split(":")[0].rstrip(" .").lower()
        if part in {"", ".", ".."} or seen_by_windows in _GIT_OWN_NAMES or len(part.encode()) > 255:
            raise Refusal(
                400,
                f"a path must be relative, with no part empty, '.', '..', git's own or over 255 bytes, got {path!r}",
            )
    return path


def check_new_reference(name: object) -> str:
    """Return `name` if a new branch or tag may be called so; refuse it otherwise."""
    text = name if isinstance(name, str) else ""
    if (
        not _REVISION.fullmatch(text)
        or len(text) > 128
        or ".." in text
        or any(part.endswith((".", ".lock")) for part in text.split("/"))
        or text == "HEAD"
        or text.startswith("refs/")
        or is_commit_id(text)
    ):
        raise Refusal(
            400,
            "a branch or tag is 1 to 128 of [A-Za-z0-9._+/-], no '..', not ending in '.' or '.lock', "
            f"not 'HEAD', 'refs/...' or a commit id, got {str(name)[:160]!r}",
        )
    return text


def is_commit_id(text: str) -> bool:
    """Tell whether `text` is a full commit id (40 lower-case hex digits)."""
    return _COMMIT_ID.fullmatch(text) is not None


def is_abbreviated_commit_id(text: str) -> bool:
    """Tell whether `text` may be the beginning of a commit id: 7 to 39 lower-case hex digits."""
    return _ABBREVIATED_COMMIT_ID.fullmatch(text) is not None


def check_sha256(text: object) -> str:
    """Return `text` if it is a SHA-256 in lower-case hex; refuse it otherwise."""
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise Refusal(400, f"an oid must be 64 lower-case hex digits, got {str(text)[:80]!r}")
    return text


def check_size(size: object, limit: int) -> int:
    """Return `size` if it is a whole number of bytes in [0, limit]; refuse it otherwise."""
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= limit:
        raise Refusal(400, f"a size must be a whole number in [0, {limit}], got {str(size)[:80]!r}")
    return size
