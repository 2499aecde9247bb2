import io
import tarfile
import zipfile
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.data.archive import members
from modeling_axk1.errors import DataError
from tests.data.packages import deb, tar, wheel, write

FILES = {"usr/share/doc/b.txt": b"second", "usr/share/doc/a.txt": "첫째".encode(), "empty": b""}
MAKERS = {
    "deb-xz": deb,
    "deb-gz": lambda files: deb(files, "gz"),
    "npm": tar,
    "sdist-bz2": lambda files: tar(files, "bz2"),
    "wheel": wheel,
}


def read(path, left_out=None):
    return {
        one.name: one.read(1000) for one in members(path, "the package", Counter() if left_out is None else left_out)
    }


@pytest.mark.parametrize("kind", MAKERS)
def test_files_of_every_kind_of_package_come_in_the_archive_s_order(kind, tmp_path):
    got = read(write(tmp_path, MAKERS[kind](FILES)))
    assert got == FILES
    assert list(got) == list(FILES)


@pytest.mark.parametrize("make", [tar, wheel])
@settings(max_examples=25, deadline=None)
@given(files=st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(max_size=300)))
def test_any_files_are_read_back_as_they_were(tmp_path_factory, make, files):
    path = write(tmp_path_factory.mktemp("package"), make(files))
    assert read(path) == files


def test_a_file_larger_than_asked_for_is_not_held(tmp_path):
    path = write(tmp_path, tar({"large": b"x" * 1001, "small": b"y"}))
    assert read(path) == {"large": None, "small": b"y"}


def test_links_are_passed_over_and_counted(tmp_path):
    left_out = Counter()
    assert read(write(tmp_path, deb({"page": b"text"}, links={"page.ko": "page"})), left_out) == {"page": b"text"}
    assert left_out == {"a link or a special file of the package": 1}


@pytest.mark.parametrize("make", [tar, wheel])
@pytest.mark.parametrize("name", ["../outside", "inside/../../outside", "/etc/passwd"])
def test_a_name_that_leads_out_is_passed_over_and_counted(tmp_path, make, name):
    left_out = Counter()
    assert read(write(tmp_path, make({name: b"bad", "good": b"fine"})), left_out) == {"good": b"fine"}
    assert left_out == {"a name that leads out of the package": 1}


def test_an_encrypted_file_of_a_wheel_is_passed_over_and_counted(tmp_path):
    data = bytearray(wheel({"secret": b"abc"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    left_out = Counter()
    assert read(write(tmp_path, bytes(data)), left_out) == {}
    assert left_out == {"an encrypted file of the package": 1}


def test_devices_and_fifos_are_never_opened(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind in (("device", tarfile.CHRTYPE), ("fifo", tarfile.FIFOTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            archive.addfile(entry)
    assert read(write(tmp_path, out.getvalue())) == {}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"not an archive at all" * 100, id="no archive"),
        pytest.param(deb({"a": b"x" * 5000})[:-400], id="cut off deb"),
        pytest.param(deb({"a": b"x"})[:70], id="deb without data"),
        pytest.param(b"!<arch>\n" + b"x" * 200, id="no ar header"),
        pytest.param(wheel({"a": b"x" * 5000})[:-30], id="cut off wheel"),
        pytest.param(tar({"a": bytes(range(256)) * 200})[:-300], id="cut off tar"),
    ],
)
def test_a_broken_package_is_one_clear_line(tmp_path, content):
    with pytest.raises(DataError, match=r"^the package: the archive is broken") as caught:
        read(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_wheel_whose_content_does_not_match_its_checksum_is_broken(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"hello")
    data = out.getvalue().replace(b"hello", b"jello")
    with pytest.raises(DataError, match="the package: the archive is broken at a"):
        read(write(tmp_path, data))
