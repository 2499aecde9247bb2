"""`check` finds whatever changed in a release, and says in words what it did not look at."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from modeling_axk1.checksums import write_sums
from modeling_axk1.errors import WeightsError
from modeling_axk1.files import sha256_file
from modeling_axk1.weights.check import check
from modeling_axk1.weights.manifest import read_manifest
from modeling_axk1.weights.record import record
from tests.weights.checkpoints import edit_json
from tests.weights.release import flip, write_release

SHARD = "model-00002-of-00003.safetensors"
UNSIGNED = "no model.sig in the folder: nothing proves who made these files"


@pytest.fixture
def folder(tmp_path):
    folder = write_release(tmp_path / "release")
    record(folder)
    return folder


def test_a_release_as_it_was_made_has_no_problem_and_says_what_was_not_checked(folder):
    report = check(folder)
    assert report.problems == []
    assert report.files == 9
    assert report.checked == ["SHA256SUMS (8 files)", "MANIFEST.json (7 files)"]
    assert report.unchecked == [
        UNSIGNED,
        "the digests of single tensors: those of whole files were compared",
        ".gitattributes: belongs to git or a download tool",
    ]


def test_with_tensors_their_digests_are_compared_too(folder):
    report = check(folder, tensors=True)
    assert report.problems == []
    assert report.checked[0] == "MANIFEST.json (48 tensors)"
    assert not any("tensors" in line for line in report.unchecked)


def flip_a_byte(folder: Path) -> str:
    old = sha256_file(folder / SHARD)
    flip(folder / SHARD)
    return f"{SHARD} must have SHA-256 {old}, as SHA256SUMS and MANIFEST.json say, got {sha256_file(folder / SHARD)}"


def remove(folder: Path) -> str:
    (folder / SHARD).unlink()
    return f"{SHARD} is missing: SHA256SUMS and MANIFEST.json list it"


def add(folder: Path) -> str:
    (folder / "golden" / "more").touch()
    return "golden/more lies in the folder and is not in SHA256SUMS and MANIFEST.json"


def rename(folder: Path) -> str:
    (folder / SHARD).rename(folder / "model-00009-of-00003.safetensors")
    return "model-00009-of-00003.safetensors lies in the folder and is not in SHA256SUMS and MANIFEST.json"


def link_out(folder: Path) -> str:
    (folder / SHARD).rename(folder.parent / SHARD)
    (folder / SHARD).symlink_to(folder.parent / SHARD)
    return f"{SHARD} must stay inside the folder, and is a link that leads out of it"


def make_a_pipe(folder: Path) -> str:
    (folder / SHARD).unlink()
    os.mkfifo(folder / SHARD)
    return f"{SHARD} must be a regular file"


def change_the_manifest(folder: Path) -> str:
    edit_json(folder / "MANIFEST.json", lambda manifest: manifest["files"]["README.md"].update(sha256="0" * 64))
    return f"README.md must have SHA-256 {'0' * 64}, as MANIFEST.json says, got {sha256_file(folder / 'README.md')}"


def break_the_manifest(folder: Path) -> str:
    (folder / "MANIFEST.json").write_text("{")
    return "MANIFEST.json must be a JSON object in UTF-8"


def break_the_sums(folder: Path) -> str:
    (folder / "SHA256SUMS").write_text("hello\n")
    return 'SHA256SUMS: line 1 must be "<64 hex digits>  <path>"'


DAMAGE = [
    flip_a_byte,
    remove,
    add,
    rename,
    link_out,
    make_a_pipe,
    change_the_manifest,
    break_the_manifest,
    break_the_sums,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_once_in_one_line(folder, damage):
    message = damage(folder)
    problems = check(folder).problems
    assert sum(problem.startswith(message) for problem in problems) == 1
    assert all(problem.isprintable() for problem in problems)
    assert len(set(problems)) == len(problems)
    assert set(problems) <= set(check(folder, tensors=True).problems)


def test_a_manifest_whose_tensors_were_changed_is_found_by_their_digests(folder):
    """With SHA256SUMS written anew over it, whole files agree: only the tensors' own digests tell."""
    edit_json(folder / "MANIFEST.json", lambda manifest: manifest["tensors"]["lm_head.weight"].update(sha256="0" * 64))
    write_sums(folder)
    assert check(folder).ok
    (problem,) = check(folder, tensors=True).problems
    assert problem.startswith(f"lm_head.weight in model-00003-of-00003.safetensors must have SHA-256 {'0' * 64}")


def test_sums_alone_are_enough_to_compare_with(folder):
    (folder / "MANIFEST.json").unlink()
    write_sums(folder)  # lists .gitattributes too, which a manifest leaves out
    report = check(folder)
    assert report.ok
    assert report.checked == ["SHA256SUMS (8 files)"]
    assert report.unchecked == ["no MANIFEST.json in the folder", UNSIGNED]
    flip(folder / ".gitattributes")
    assert not check(folder).ok


def test_sums_of_any_tool_do(folder):
    (folder / "MANIFEST.json").unlink()
    command = (
        "find . -type f ! -name SHA256SUMS ! -name .gitattributes | xargs sha256sum > ../sums; mv ../sums SHA256SUMS"
    )
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    assert check(folder).ok


def test_with_nothing_to_compare_with_nothing_is_called_checked(tmp_path):
    folder = write_release(tmp_path / "release")
    with pytest.raises(WeightsError, match="cannot be checked: nothing says what its files must be"):
        check(folder)


def test_a_snapshot_of_the_hubs_cache_is_checked_through_its_links(folder, tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    blobs.mkdir()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            link = snapshot / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob = blobs / sha256_file(path)
            shutil.copyfile(path, blob)
            link.symlink_to(os.path.relpath(blob, link.parent))
    assert check(snapshot, tensors=True).ok
    flip(blobs / sha256_file(folder / SHARD))
    assert not check(snapshot).ok


def test_a_file_that_cannot_be_read_is_one_line(unprivileged):
    folder = write_release(unprivileged / "release")
    record(folder)
    (folder / SHARD).chmod(0)
    assert check(folder).problems == [f"{SHARD}: Permission denied"]


def test_the_cli_says_what_was_checked_and_exits_1_with_the_list(run_axk1, folder):
    result = run_axk1("weights", "check", folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("as recorded: 9 files, ")
    assert "compared with MANIFEST.json (7 files)\n" in result.stdout
    assert f"not checked: {UNSIGNED}\n" in result.stdout
    message = flip_a_byte(folder)
    result = run_axk1("weights", "check", folder, "--json")
    assert (result.returncode, result.stderr) == (1, message + "\n")
    report = json.loads(result.stdout)
    assert (report["ok"], report["problems"]) == (False, [message])


def test_recorded_sizes_are_the_files_own(folder):
    manifest = read_manifest(folder / "MANIFEST.json")
    assert sum(entry.size for entry in manifest.files.values()) == sum(
        (folder / name).stat().st_size for name in manifest.files
    )
