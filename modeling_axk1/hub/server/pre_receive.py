"""The hook that looks at a push before it counts: everything that came, and every branch and tag that would move.

`git receive-pack` starts it in the bare repository, with the new objects in quarantine and one line
`OLD NEW REFERENCE` on standard input for each change. What it writes to standard error, git's client shows as
`remote: ...`; when it fails, nothing of the push stays. It looks at all objects that came, not only at those that the
new branches lead to, because a commit can be read here by its id alone.
"""

import os
import subprocess
import sys
from pathlib import Path

from modeling_axk1.hub.server.push_rules import check_objects, check_references
from modeling_axk1.hub.server.quarantine import Quarantine
from modeling_axk1.hub.server.refusal import Refusal
from modeling_axk1.hub.server.repository import Repository
from modeling_axk1.hub.server.store import BlobStore


def main() -> None:
    """Check one push; exits with 1 and a line of reasons when it is refused."""
    changes = [tuple(line.rstrip("\n").split(" ", 2)) for line in sys.stdin]
    repository = Repository(Path.cwd())
    blobs = BlobStore(Path(os.environ["AXK1_HUB_BLOBS"]))
    try:
        with Quarantine() as quarantine:
            check_references(changes, quarantine)
            pointers = check_objects(quarantine, repository.size_of(blobs.refresh))
    except Refusal as refusal:
        sys.exit(f"axk1 hub: {refusal.message}")
    except (subprocess.CalledProcessError, OSError, ValueError, LookupError, RecursionError) as error:
        sys.exit(f"axk1 hub: this push holds what the hub cannot read ({type(error).__name__})")
    repository.large_files.add_committed(pointers)


if __name__ == "__main__":
    main()
