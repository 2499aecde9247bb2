"""Addresses that are a permission: signed, for one upload to one repository, for a day.

Clients of huggingface_hub send no token with the bytes of a large file; they only know the address that the batch
answer gave them. Every process of a hub signs with the same key, which lies in ROOT and is made once.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from modeling_axk1.files import fsync_folder
from modeling_axk1.hub.server.refusal import Refusal

_LIFETIME_SECONDS = 24 * 3600


class Tickets:
    """Signs and checks addresses with the key in the file `key`."""

    def __init__(self, key: Path) -> None:
        if not key.exists():
            part = key.with_name(f".{key.name}.{secrets.token_hex(8)}.part")
            with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, key)  # unlike a rename, it never replaces the key that another process just made
                fsync_folder(key.parent)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        self._key = key.read_bytes()

    def sign(self, subject: str, *, lifetime: int = _LIFETIME_SECONDS, **facts: str) -> str:
        """Return the query of an address that permits `subject` with these `facts` for `lifetime` seconds, a day."""
        query = {**facts, "expires": str(int(time.time()) + lifetime)}
        return urlencode({**query, "signature": self._signature(subject, query)})

    def check(self, subject: str, query: Mapping[str, str]) -> None:
        """Refuse a query that this hub did not sign for `subject`, or signed longer than a day ago (403)."""
        facts = dict(query)
        given = facts.pop("signature", "")
        if not hmac.compare_digest(given.encode(), self._signature(subject, facts).encode()):
            raise Refusal(403, "this upload address was not given out by this hub; ask for one with an LFS batch")
        if int(facts["expires"]) < time.time():
            raise Refusal(403, "this upload address is older than a day; ask for a new one with an LFS batch")

    def _signature(self, subject: str, facts: Mapping[str, str]) -> str:
        message = urlencode([("subject", subject), *sorted(facts.items())])
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()
