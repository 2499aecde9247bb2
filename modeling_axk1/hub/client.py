"""What publish and verify share: one way to call huggingface_hub, and one line when it fails."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from modeling_axk1.errors import HubError, UsageError

REPOSITORY_TYPES = ("model", "dataset")
IS_IT_RUNNING = "is it running? `axk1 hub serve` runs one"


def check_endpoint(endpoint: str) -> str:
    """Return the address of a hub without a final slash; raises UsageError when it is no http(s) address."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise UsageError(f"a hub's address must look like http://127.0.0.1:8000, got {endpoint!r}")
    if parts.username or parts.password:
        raise UsageError("a hub's address must not hold a user name or password; put the token into HF_TOKEN")
    return endpoint.rstrip("/")


def needs_token(status: int) -> str:
    """Return what to do about an HTTP status that says a token is missing, wrong or weak; "" for any other."""
    return "; put a token that may do this into HF_TOKEN" if status in (401, 403) else ""


@contextmanager
def calling(endpoint: str, token: str | None, transport: Literal["lfs", "xet"] = "lfs") -> Iterator[Any]:
    """Yield a huggingface_hub HfApi for `endpoint`; whatever goes wrong in the block becomes one line of HubError.

    Large files go over Git LFS, which every hub takes, unless `transport` is xet: left alone, the client would use xet
    without asking the hub.
    Without `token` no token is sent, not even one that a login left on this machine: it belongs to another hub.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    constants = huggingface_hub.constants
    xet_disabled, bars_disabled = constants.HF_HUB_DISABLE_XET, are_progress_bars_disabled()
    constants.HF_HUB_DISABLE_XET = transport != "xet"
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield huggingface_hub.HfApi(endpoint=endpoint, token=token or False)
    except HfHubHTTPError as error:
        wants = needs_token(getattr(error.response, "status_code", 0))
        raise HubError(f"{endpoint} refused: {_one_line(error, token)}{wants}") from None
    except HFValidationError as error:
        raise UsageError(_one_line(error, token)) from None
    except (HTTPError, ConnectionError, LocalEntryNotFoundError) as error:
        raise HubError(f"cannot reach the hub at {endpoint}: {_one_line(error, token)}; {IS_IT_RUNNING}") from None
    finally:
        constants.HF_HUB_DISABLE_XET = xet_disabled
        if not bars_disabled and not os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS"):
            enable_progress_bars()


def _one_line(error: Exception, token: str | None) -> str:
    """Return what the hub said, else what the client says, on one line and never with the token in it."""
    text = getattr(error, "server_message", None) or str(error)
    text = " ".join(text.split()) or type(error).__name__
    return text.replace(token, "***") if token else text
