"""SHA256SUMS: what sha256sum reads is what we write, and a hostile one is refused with its line."""

import re
import subprocess

import pytest

from modeling_axk1.checksums import parse_sums, write_sums
from modeling_axk1.files import sha256_file

ZEROS = "0" * 64


def test_sums_are_those_of_sha256sum_and_read_back(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep file").write_bytes(b"\x00\xff")
    (tmp_path / "a").write_text("text")
    write_sums(tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    written = (tmp_path / "SHA256SUMS").read_bytes()
    assert parse_sums(written) == {
        "a": sha256_file(tmp_path / "a"),
        "b/deep file": sha256_file(tmp_path / "b/deep file"),
    }
    write_sums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_bytes() == written


def test_the_binary_mark_and_upper_case_of_other_tools_are_read():
    assert parse_sums(f"{'AB' * 32} *file\n".encode()) == {"file": "ab" * 32}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("abc  file", 'line 2 must be "<64 hex digits>  <path>"'),
        (f"{ZEROS} file", 'line 2 must be "<64 hex digits>  <path>"'),
        (f"{ZEROS}  ", 'line 2 must be "<64 hex digits>  <path>"'),
        (f"{ZEROS}  ../file", "line 2: a path must stay inside the folder, got '../file'"),
        (f"{ZEROS}  a/../../file", "line 2: a path must stay inside the folder"),
        (f"{ZEROS}  /etc/passwd", "line 2: a path must stay inside the folder, got '/etc/passwd'"),
        (f"{ZEROS}  a\x1b[2Jb", "line 2: a path must be printable characters"),
        (f"{ZEROS}  fine", "line 2 names fine a second time"),
    ],
)
def test_a_line_that_is_no_sum_is_refused_with_its_number(line, rule):
    with pytest.raises(ValueError, match="^SHA256SUMS: " + re.escape(rule)):
        parse_sums(f"{ZEROS}  fine\n{line}\n".encode())
