"""Bars are for people: on a terminal they say how much and how fast, elsewhere nothing."""

import os
import pty
import subprocess
import sys

PROGRAM = """
import time
from modeling_axk1.progress import progress_bar
with progress_bar("reading", total=4_000_000, in_bytes=IN_BYTES) as advance:
    for _ in range(4):
        time.sleep(0.15)
        advance(1_000_000, note="shard")
"""


def run(in_bytes: bool, stderr: int) -> None:
    program = PROGRAM.replace("IN_BYTES", str(in_bytes))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", program], stderr=stderr, env=environment, check=True)


def on_a_terminal(in_bytes: bool) -> str:
    ours, theirs = pty.openpty()
    run(in_bytes, theirs)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 1 << 16):
            text += piece
    except OSError:  # the other end is closed: that was all
        pass
    return text.decode(errors="replace")


def test_bytes_are_shown_with_their_number_and_their_rate():
    text = on_a_terminal(in_bytes=True)
    assert "reading" in text
    assert "/4.0 MB" in text
    assert "MB/s" in text
    assert "shard" in text


def test_other_work_is_shown_in_percent():
    text = on_a_terminal(in_bytes=False)
    assert "%" in text
    assert "MB" not in text


def test_nothing_is_shown_where_nobody_looks():
    read, write = os.pipe()
    run(True, write)
    os.close(write)
    assert os.read(read, 100) == b""
