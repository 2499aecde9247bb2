"""bundle(): a release as one tar, every byte of it determined; what is no such tar is refused."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.errors import HubError, UsageError
from modeling_axk1.hub.bundle import bundle
from modeling_axk1.hub.bundle_format import END, INDEX_FILE, Bundle, Entry, header, index_text, padding
from modeling_axk1.hub.publish import publish_set
from modeling_axk1.hub.release_set import parse_release
from modeling_axk1.hub.volumes import SMALLEST_VOLUME, Volumes, VolumeWriter
from tests.hub.conftest import files_of
from tests.hub.releases import flip, make_set


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    return make_set(tmp_path_factory.mktemp("release") / "set")


@pytest.fixture
def tar(release, tmp_path) -> Path:
    bundle(release, tmp_path / "release.tar")
    return tmp_path / "release.tar"


def write_tar(path: Path, members: list[tuple[str, bytes]], index: bytes | None = None) -> Path:
    """Write a bundle of whatever members, honest or not."""
    entries = {name: Entry(len(content), hashlib.sha256(content).hexdigest()) for name, content in members}
    index = index_text(entries) if index is None else index
    parts = [(INDEX_FILE, index), *members]
    path.write_bytes(b"".join(header(n, len(c)) + c + padding(len(c)) for n, c in parts) + END)
    return path


class TestWriting:
    def test_the_same_set_gives_the_same_bytes(self, release, tar, tmp_path):
        copy = shutil.copytree(release, tmp_path / "elsewhere")
        for path in copy.rglob("*"):
            path.touch()
        bundle(copy, tmp_path / "again.tar")
        assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()

    def test_stock_tar_unpacks_it(self, release, tar, tmp_path):
        (tmp_path / "out").mkdir()
        subprocess.run(["tar", "-xf", str(tar), "-C", str(tmp_path / "out")], check=True)
        (tmp_path / "out" / INDEX_FILE).unlink()
        assert files_of(tmp_path / "out") == files_of(release)

    def test_its_members_have_no_owner_and_no_time(self, tar):
        with tarfile.open(tar) as opened:
            members = opened.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members} == {
            (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
        }
        names = [member.name for member in members]
        assert names[:2] == [INDEX_FILE, "release.json"]
        assert names[2:] == sorted(names[2:])

    def test_volumes_are_the_tar_in_pieces(self, release, tar, tmp_path):
        report = bundle(release, tmp_path / "cut.tar", volume_bytes=100_000)
        sizes = [volume.stat().st_size for volume in report.volumes]
        assert [volume.name for volume in report.volumes[:2]] == ["cut.tar.001", "cut.tar.002"]
        assert all(size == 100_000 for size in sizes[:-1])
        assert 0 < sizes[-1] <= 100_000
        assert b"".join(volume.read_bytes() for volume in report.volumes) == tar.read_bytes()

    def test_a_damaged_file_makes_no_bundle(self, release, tmp_path):
        copy = shutil.copytree(release, tmp_path / "copy")
        flip(copy / "models/team/nano/model.safetensors")
        with pytest.raises(HubError, match=r"model\.safetensors must have SHA-256"):
            bundle(copy, tmp_path / "damaged.tar")
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]

    def test_other_sums_than_the_release_names(self, release, tmp_path):
        copy = shutil.copytree(release, tmp_path / "copy")
        flip(copy / "models/team/nano/SHA256SUMS", 0)
        with pytest.raises(HubError, match=r"SHA256SUMS is not the one that release\.json names"):
            bundle(copy, tmp_path / "x.tar")

    def test_nothing_is_overwritten(self, release, tar, tmp_path):
        for out in (tar, tmp_path / "cut.tar"):
            (tmp_path / "cut.tar.001").write_text("mine")
            with pytest.raises(UsageError, match="is there already"):
                bundle(release, out, volume_bytes=100_000)
        assert (tmp_path / "cut.tar.001").read_text() == "mine"

    def test_a_dry_run_writes_nothing(self, release, tar, tmp_path):
        report = bundle(release, tmp_path / "dry.tar", dry_run=True)
        assert report.bytes == tar.stat().st_size
        assert not (tmp_path / "dry.tar").exists()

    def test_a_volume_that_holds_nothing(self, release, tmp_path):
        with pytest.raises(UsageError, match="a volume must have at least 65,536 bytes, got 10"):
            bundle(release, tmp_path / "x.tar", volume_bytes=10)


class TestPublishing:
    def test_straight_from_its_volumes(self, hub, release, tmp_path):
        bundle(release, tmp_path / "cut.tar", volume_bytes=300_000)
        reports = publish_set(tmp_path / "cut.tar", endpoint=hub.endpoint)
        assert [report.tag for report in reports] == ["v0.1", "v0.1"]
        for place, kind, name in (
            ("models/team/nano", "model", "team/nano"),
            ("datasets/team/text", "dataset", "team/text"),
        ):
            snapshot = hub.api.snapshot_download(name, repo_type=kind, revision="v0.1", cache_dir=tmp_path / "cache")
            assert files_of(Path(snapshot)) == files_of(release / place)
        again = publish_set(tmp_path / "cut.tar.001", endpoint=hub.endpoint)
        assert all(report.uploaded == [] for report in again)
        from_folder = publish_set(release, endpoint=hub.endpoint)
        assert [report.commit for report in from_folder] == [report.commit for report in again]

    def test_a_damaged_one_is_never_tagged(self, hub, release, tmp_path):
        copy = shutil.copytree(release, tmp_path / "set")
        text = (copy / "release.json").read_text().replace("v0.1", "v0.9")
        (copy / "release.json").write_text(text)
        bundle(copy, tmp_path / "x.tar")
        packed = Bundle(tmp_path / "x.tar")
        content = b"".join(packed.read("models/team/nano/model.safetensors"))
        flip(tmp_path / "x.tar", (tmp_path / "x.tar").read_bytes().index(content) + 5)
        with pytest.raises(HubError, match=r"model\.safetensors"):
            publish_set(tmp_path / "x.tar", endpoint=hub.endpoint)
        assert "v0.9" not in {t.name for t in hub.api.list_repo_refs("team/text", repo_type="dataset").tags}


class TestVolumes:
    def test_a_missing_or_short_one_is_named(self, release, tmp_path):
        volumes = bundle(release, tmp_path / "x.tar", volume_bytes=200_000).volumes
        middle = volumes[2].read_bytes()
        volumes[2].unlink()
        with pytest.raises(HubError, match=r"volume x\.tar\.003 is missing"):
            Bundle(tmp_path / "x.tar")
        volumes[2].write_bytes(middle[:-1])
        with pytest.raises(HubError, match="a volume is missing, or was not copied whole"):
            Bundle(tmp_path / "x.tar")
        volumes[2].write_bytes(middle)
        last = volumes[-1].read_bytes()
        volumes[-1].unlink()
        with pytest.raises(HubError, match="a volume is missing, or was not copied whole"):
            Bundle(tmp_path / "x.tar")
        volumes[-1].write_bytes(last)
        Bundle(tmp_path / "x.tar")

    @given(data=st.binary(max_size=4_000), limit=st.integers(1, 900), cuts=st.lists(st.integers(0, 4_000), max_size=6))
    @settings(max_examples=40, deadline=None)
    def test_any_bytes_in_any_pieces(self, data, limit, cuts, tmp_path_factory):
        path = tmp_path_factory.mktemp("volumes") / "x"
        writer = VolumeWriter(path, SMALLEST_VOLUME)
        writer._limit = limit  # the least that makes sense on a disk would make this test slow
        bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        with writer:
            for start, end in pairwise(bounds):
                writer.write(data[start:end])
        if not data:
            return
        volumes = Volumes(path)
        assert volumes.size == len(data)
        for start in bounds:
            assert b"".join(volumes.read(start, len(data) - start)) == data[start:]
        with pytest.raises(HubError, match="too early"):
            list(volumes.read(len(data), 1))


RELEASE = {"format": "axk1-release-1", "name": "n", "tag": "v1", "repositories": [
    {"type": "model", "id": "a/b", "folder": "models/a/b", "sums_sha256": "0" * 64}
]}  # fmt: skip
# Of files: a name that ends in a slash is a folder's.
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda name: not name.endswith("/")
)


class TestHostile:
    """Nothing is written anywhere: a bundle is only read, and only as this package would have written it."""

    @pytest.mark.parametrize(
        "name", ["../evil", "/etc/passwd", "models/a/b/../../../x", "models/a/b\\..\\x", "a\nb", "x"]
    )
    def test_names_that_lead_out(self, tmp_path, name):
        members = [("release.json", json.dumps(RELEASE).encode()), (name, b"x")]
        with pytest.raises(HubError, match=r"stay inside|printable|lies in no repository"):
            Bundle(write_tar(tmp_path / "x.tar", members))

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    )
    def test_members_that_are_no_files(self, tmp_path, release, kind):
        with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as opened:
            index = index_text({"release.json": Entry(0, "0" * 64)})
            first = tarfile.TarInfo(INDEX_FILE)
            first.size = len(index)
            opened.addfile(first, io.BytesIO(index))
            member = tarfile.TarInfo("release.json")
            member.type, member.linkname = kind, "/etc/passwd"
            opened.addfile(member)
        with pytest.raises(HubError):
            Bundle(tmp_path / "x.tar")

    def test_an_index_that_lies_about_sizes(self, tmp_path):
        for size in (-1, 1 << 62, 10, True, "7", 1.5):
            index = json.dumps({"format": "axk1-bundle-1", "files": [["release.json", size, "0" * 64]]}).encode()
            with pytest.raises(HubError):
                Bundle(write_tar(tmp_path / "x.tar", [("release.json", b"{}")], index))

    def test_a_file_twice_or_another_format(self, tmp_path):
        line = ["release.json", 2, hashlib.sha256(b"{}").hexdigest()]
        for value in ({"format": "axk1-bundle-1", "files": [line, line]}, {"format": "tar", "files": [line]}, [], 7):
            with pytest.raises(HubError):
                Bundle(write_tar(tmp_path / "x.tar", [("release.json", b"{}")], json.dumps(value).encode()))

    @pytest.mark.parametrize(
        "change",
        [
            {"format": "axk1-release-2"},
            {"tag": "../x"},
            {"tag": 7},
            {"repositories": []},
            {"repositories": [{**RELEASE["repositories"][0], "id": "../b"}]},
            {"repositories": [{**RELEASE["repositories"][0], "folder": "models/../../x"}]},
            {"repositories": [{**RELEASE["repositories"][0], "type": "space"}]},
            {"repositories": [{**RELEASE["repositories"][0], "sums_sha256": "x"}]},
            {"repositories": RELEASE["repositories"] * 2},
            {"repositories": [None]},
        ],
    )
    def test_a_release_that_is_none(self, change):
        parse_release(json.dumps(RELEASE).encode())
        with pytest.raises(HubError, match=r"release\.json"):
            parse_release(json.dumps({**RELEASE, **change}).encode())

    @given(st.binary(max_size=3_000))
    @settings(max_examples=60, deadline=None)
    def test_any_other_bytes(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("any") / "x.tar"
        path.write_bytes(data)
        with pytest.raises(HubError):
            Bundle(path)

    @given(st.integers(0, 10**12), NAMES)
    @settings(max_examples=60, deadline=None)
    def test_headers_read_as_they_were_written(self, size, name):
        raw = io.BytesIO(header(name, size) + END)
        member = tarfile.TarFile.open(fileobj=raw, mode="r:").firstmember
        assert (member.name, member.size) == (name, size)


def test_the_command(release, tmp_path, run_axk1):
    result = run_axk1("hub", "bundle", release, "--out", tmp_path / "r.tar", "--volume-size", "1MB", "--json")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["volumes"]) == 2
    proved = run_axk1("hub", "verify", tmp_path / "r.tar")
    assert (proved.returncode, proved.stderr) == (0, "")
    nothing = run_axk1("hub", "verify", tmp_path / "other.tar")
    assert nothing.returncode == 1
    assert nothing.stderr.count("\n") == 1
