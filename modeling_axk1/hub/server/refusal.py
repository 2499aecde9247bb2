class Refusal(Exception):
    """A request this hub turns down; becomes an HTTP error that huggingface_hub maps to its own exceptions.

    Args:
        status: HTTP status.
        message: one line: the rule and the value got.
        code: value of the `X-Error-Code` header, which decides the exception that the client raises.
        headers: further headers of the answer.

    """

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}


def repository_not_found(name: str) -> Refusal:
    """Becomes RepositoryNotFoundError in the client."""
    return Refusal(404, f"no repository {name!r} on this hub", "RepoNotFound")


def revision_not_found(revision: str) -> Refusal:
    """Becomes RevisionNotFoundError in the client."""
    return Refusal(404, f"no branch, tag or commit {revision!r} in this repository", "RevisionNotFound")


def entry_not_found(path: str) -> Refusal:
    """Becomes EntryNotFoundError in the client."""
    return Refusal(404, f"no entry {path!r} in this revision", "EntryNotFound")
