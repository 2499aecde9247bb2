"""What people name a checkpoint's place by, and the store that reads there."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.weights.store import Folder, Store

_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([^\s@]{1,200}))?", re.ASCII)


def open_place(text: str) -> Store:
    """Return the store that `text` names: a folder, an address, or a repository on the hub.

    A folder that exists goes before a repository of the same name. A repository is read at $HF_ENDPOINT, at the one
    commit that its branch or tag means now. Raises UsageError for anything else, WeightsError when a hub or its
    repository is not found.

    Example: `open_place("./A.X-K1")`, `open_place("skt/A.X-K1@main")`, `open_place("https://host/A.X-K1/")`.
    """
    if text and Path(text).is_dir():
        return Folder(Path(text))
    if re.match("https?://", text):
        from modeling_axk1.weights.store_http import WebFolder

        return WebFolder(_checked(text))
    if (match := _REPOSITORY.fullmatch(text)) and not Path(text).exists():
        from modeling_axk1.weights.store_http import HubRepository

        try:
            return HubRepository(match[1], match[2])
        except WeightsError as error:
            raise WeightsError(
                f"{text} is no folder here, and as a repository: {error}; HF_ENDPOINT names another hub"
            ) from None
    raise UsageError(
        f"PLACE must be a folder with a checkpoint, an address like https://host/folder/, "
        f"or a repository like owner/name or owner/name@revision, got {ascii(text)[1:-1]:.200}"
    )


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:  # a port that is no number, a bracket that stays open
        host = None
    if not host or not re.fullmatch(r"[\w.:-]+", host, re.ASCII) or not address.isprintable() or " " in address:
        raise UsageError(f"an address must look like https://host/folder/, got {ascii(address)[1:-1]:.200}")
    if parts.username or parts.password:
        raise UsageError("an address must not hold a user name or password: it is shown in messages")
    if parts.query or parts.fragment:
        raise UsageError("an address must end with its folder, without ? or #, so that file names can follow")
    return address
