"""Every name stays inside the folder, and bytes are read whole or not at all."""

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.weights.store import Folder, read_small
from tests.weights.checkpoints import write_tiny


@pytest.fixture
def folder(tmp_path):
    return write_tiny(tmp_path / "checkpoint")


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/passwd", "a/../../evil.safetensors", "..\\evil"])
def test_names_that_leave_the_folder_are_refused(folder, name):
    with pytest.raises(WeightsError, match="must stay inside the folder"):
        Folder(folder).path(name)


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\x1b[31m", "x" * 600])
def test_names_that_cannot_be_shown_are_refused(folder, name):
    with pytest.raises(WeightsError, match="printable characters"):
        Folder(folder).path(name)


def test_links_may_point_into_the_folder_and_not_out_of_it(folder, tmp_path):
    (tmp_path / "evil.safetensors").touch()
    (folder / "inside").symlink_to(folder / "config.json")
    (folder / "outside").symlink_to(tmp_path / "evil.safetensors")
    (folder / "loop").symlink_to(folder / "loop")
    assert Folder(folder).path("inside") == folder / "inside"
    with pytest.raises(WeightsError, match="a link that leads out of it"):
        Folder(folder).path("outside")
    assert not Folder(folder).path("loop").exists()


def test_bytes_are_read_whole_or_not_at_all(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(10)))
    (tmp_path / "b").write_bytes(bytes(range(10, 20)))
    store = Folder(tmp_path)
    for file, first in (("a", 0), ("b", 10), ("a", 0)):
        buffer = bytearray(4)
        store.read_into(file, 3, buffer)
        assert buffer == bytes(range(first + 3, first + 7))
    with pytest.raises(WeightsError, match="a became shorter while it was read"):
        store.read_into("a", 3, bytearray(8))


def test_what_is_no_regular_file_is_not_read(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(WeightsError, match=r"config.json must be a regular file"):
        read_small(Folder(tmp_path), "config.json")


def test_what_is_expected_may_be_anything_that_lies_in_the_file_or_beyond(tmp_path):
    """It is a hint: a wrong one costs nothing and raises nothing."""
    (tmp_path / "a").write_bytes(bytes(10))
    store = Folder(tmp_path)
    for start, nbytes in ((0, 10), (5, 100), (50, 1), (3, 0)):
        store.expect("a", start, nbytes)
