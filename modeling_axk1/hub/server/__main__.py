"""The child process of `serving`: ROOT PORT POLICY.

Says `serving ENDPOINT` or `failed WHY`, and ends when stdin closes.
"""

import sys
from pathlib import Path

from modeling_axk1.errors import AXK1Error
from modeling_axk1.hub.server.process import run


def _say(word: str, text: str) -> None:
    print(word, text, flush=True)


root, port, policy = sys.argv[1:]
try:
    run(
        Path(root),
        "127.0.0.1",
        int(port),
        lambda endpoint: _say("serving", endpoint),
        sys.stdin.read,
        policy=policy,  # type: ignore[arg-type]  # one of them: `serving` wrote it
    )
except AXK1Error as error:
    _say("failed", str(error))
    sys.exit(error.exit_code)
