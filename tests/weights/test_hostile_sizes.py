"""What is built to exhaust its reader is refused in one line, in seconds, and in a few times its own size.

Each case runs in a process of its own, with limits by the system under which a careless reader would die.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from modeling_axk1.weights.header import MAX_HEADER_BYTES
from modeling_axk1.weights.plan import INDEX_FILE, SINGLE_FILE
from tests.weights.header_oracle import file_of

SECONDS, MEGABYTES = 20, 800
ENTRY = '"%07d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
BIG = MAX_HEADER_BYTES - 1000

READER = f"""
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MEGABYTES}_000_000, {MEGABYTES}_000_000))
from modeling_axk1.weights.checkpoint import scan_checkpoint
problems = scan_checkpoint(Path(sys.argv[1])).problems
print(len(problems), problems[0] if problems else "sound")
"""


def names(count: int) -> bytes:
    return ("{" + ",".join(ENTRY % number for number in range(count)) + "}").encode()


HEADERS = {
    "nested lists": (lambda: b'{"a":' + b"[" * BIG, "must hold at most 1,000,000 JSON values"),
    "many lists": (lambda: b'{"a":[' + b"[]," * (BIG // 3) + b"[]]}", "must hold at most 1,000,000 JSON values"),
    "nesting": (lambda: b'{"a":' + b"[" * 999_000, "nesting too deep"),
    "a million names": (lambda: names(10**6), "must hold at most 1,000,000 JSON values"),
    "as many names as may be": (lambda: names(142_000), "sound"),
    "one name": (lambda: b'{"' + b"x" * BIG + b'":1}', "a name must be 1 to 512 printable characters"),
    "one wide character": (
        lambda: b'{"' + "😀".encode() + b"x" * BIG + b'":1}',
        "must be ASCII beyond 16,000,000 bytes",
    ),
    "one number": (lambda: b'{"a":' + b"9" * BIG + b"}", "must be a JSON object"),
    "one shape": (
        lambda: b'{"a":{"dtype":"U8","shape":[' + b"1," * 990_000 + b'1],"data_offsets":[0,1]}}',
        "shape must be at most 64 integers",
    ),
    "much metadata": (
        lambda: ("{" + f'"__metadata__":{json.dumps({str(n): "x" * 80 for n in range(990_000)})}' + "}").encode(),
        "sound",
    ),
}

INDEXES = {
    "a million tensors": (
        lambda: {f"{number:07d}": SINGLE_FILE for number in range(10**6 + 1)},
        "1 model.safetensors.index.json must hold at most 1,000,000 JSON values",
    ),
    "a million shards": (
        lambda: {f"{number:07d}": f"{number:07d}.safetensors" for number in range(10**6 - 10)},
        "1 model.safetensors.index.json must name at most 10,000 files, got 999,990",
    ),
    "as many tensors as may be": (
        lambda: {f"{number:07d}": SINGLE_FILE for number in range(10**6 - 10)},
        "999990 0000000 is not in model.safetensors, where the index places it",
    ),
}


def read(folder: Path) -> str:
    result = subprocess.run([sys.executable, "-c", READER, folder], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout) < 1000
    return result.stdout


@pytest.mark.parametrize("case", HEADERS)
def test_headers(tmp_path, case):
    build, message = HEADERS[case]
    (tmp_path / SINGLE_FILE).write_bytes(file_of(build()))
    assert message in read(tmp_path)


@pytest.mark.parametrize("case", INDEXES)
def test_indexes(tmp_path, case):
    build, message = INDEXES[case]
    (tmp_path / SINGLE_FILE).write_bytes(file_of(b"{}"))
    (tmp_path / INDEX_FILE).write_text(json.dumps({"weight_map": build()}))
    assert read(tmp_path).startswith(message)
