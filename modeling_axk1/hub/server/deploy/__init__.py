"""What stands around a hub in operation: nginx with TLS in front of it, and systemd that keeps it running."""

import re
import sys
from pathlib import Path

from modeling_axk1.errors import UsageError

_HERE = Path(__file__).parent
_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]*")


def nginx(name: str, certificate: Path, key: Path, *, port: int, tls_port: int = 443) -> str:
    """Return nginx's configuration for the host `name` in front of a hub at `port` of this machine."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"a host's name must be letters, digits, dots and hyphens, got {name!r}")
    paths = {"CERTIFICATE": _checked(certificate), "KEY": _checked(key)}
    return _filled("nginx.conf", NAME=name, PORT=str(port), TLS_PORT=str(tls_port), **paths)


def systemd(*, port: int) -> str:
    """Return a hardened unit that serves /var/lib/axk1-hub at `port`, with the Python that this is."""
    python = _checked(Path(sys.executable))
    # A Python in somebody's home must at least be read there.
    in_a_home = python.startswith(("/home/", "/root/"))
    return _filled("axk1-hub.service", PYTHON=python, PORT=str(port), PROTECT_HOME="read-only" if in_a_home else "yes")


def _checked(path: Path) -> str:
    text = str(path.absolute())
    if not _PATH.fullmatch(text):
        raise UsageError(f"a path here must be letters, digits and ._@+-, got {text!r}")
    return text


def _filled(template: str, **values: str) -> str:
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], (_HERE / template).read_text(encoding="utf-8"))
