"""A build that is killed at any moment, by any means, goes on to the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import psutil
import pytest

from modeling_axk1.data.build import Settings, build, work_folder
from modeling_axk1.data.sizes import Sizes
from modeling_axk1.data.workers import Workers
from modeling_axk1.errors import DataError
from modeling_axk1.files import file_digests
from tests.data.recipes import RECIPE, some_documents, write_recipe

# In small files and shards, so that there are many moments to be killed at.
SIZES = Sizes(file=2_000, shard=3_000, row_group=1_000)
PROGRAM = """
import sys
from pathlib import Path
from modeling_axk1.data.build import Settings, build
from modeling_axk1.data.sizes import Sizes

if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), Settings(workers=int(sys.argv[3]), sizes=Sizes(2_000, 3_000, 1_000)))
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    return write_recipe(tmp_path / "recipe", some_documents(400))


def start(tmp_path: Path, workers: int) -> subprocess.Popen:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return subprocess.Popen([sys.executable, program, tmp_path / "recipe", tmp_path / "out", str(workers)])


def finished(work: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(work))  # unlike rglob it minds no folder that disappears


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("workers", "kills"), [(1, 3), (2, 2)])
def test_a_build_that_is_killed_again_and_again_ends_in_the_same_bytes_and_leaves_no_process(
    tmp_path, recipe, workers, kills
):
    expected = file_digests(build(recipe, tmp_path / "expected", Settings(sizes=SIZES)).out)
    work = work_folder(tmp_path / "out")
    chance = random.Random(workers)
    goal = 0
    for _ in range(kills):
        goal += chance.randint(5, 60)
        process = start(tmp_path, workers)
        while process.poll() is None and finished(work) < goal:
            time.sleep(0.001)
        others = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, left = psutil.wait_procs(others, timeout=0)
        deadline = time.monotonic() + 30
        while (left := [one for one in left if alive(one)]) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert left == []
        if (tmp_path / "out").exists():
            break
    assert start(tmp_path, workers).wait() == 0
    assert file_digests(tmp_path / "out") == expected
    assert not work.exists()


def test_a_second_build_in_a_kept_work_folder_reads_and_writes_nothing_anew(tmp_path, recipe):
    settings = Settings(work=tmp_path / "work", sizes=SIZES)
    build(recipe, tmp_path / "out", settings)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")}
    build(recipe, tmp_path / "out", settings)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.parquet")} == before


def test_a_step_that_changed_is_run_again_and_nothing_is_read_again(tmp_path, recipe):
    settings = Settings(work=tmp_path / "work", sizes=SIZES)
    build(recipe, tmp_path / "out", settings)
    raw = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "raw").rglob("*.parquet")}
    (recipe / "recipe.toml").write_text(RECIPE.replace("min_bytes = 10\n", "min_bytes = 42\n"))
    report = build(recipe, tmp_path / "out", settings)
    assert raw == {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "raw").rglob("*.parquet")}
    assert report.stats.dropped["length"]["shorter than 42 bytes"].documents > 0
    assert len(list((tmp_path / "work" / "steps").iterdir())) == 1


def test_a_source_that_changed_is_read_again(tmp_path, recipe):
    settings = Settings(work=tmp_path / "work", sizes=SIZES)
    build(recipe, tmp_path / "out", settings)
    (recipe / "manual.jsonl").write_bytes((recipe / "manual.jsonl").read_bytes().split(b"\n", 1)[1])
    assert build(recipe, tmp_path / "out", settings).stats.read.documents == 399


def test_two_builds_do_not_share_a_work_folder(tmp_path, recipe):
    from modeling_axk1.files import exclusive

    (tmp_path / "work").mkdir()
    with exclusive(tmp_path / "work" / "lock"), pytest.raises(BlockingIOError, match="another process is at work"):
        build(recipe, tmp_path / "out", Settings(work=tmp_path / "work"))


def die(task: int):
    yield task
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(task: int):
    raise DataError(f"task {task} is refused")
    yield


def divide(task: int):
    yield 1 // task


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (die, DataError, "a worker process was killed, perhaps for want of memory"),
        (refuse, DataError, "task 0 is refused"),
        (divide, RuntimeError, "ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_in_a_process_is_an_error_here(work, error, message):
    with pytest.raises(error, match=message), Workers(2) as workers:
        list(workers.run(work, deque([0])))


def echo(task: int):
    yield from range(task)


@pytest.mark.parametrize("count", [1, 2])
def test_tasks_that_are_added_meanwhile_are_carried_out_too(count):
    tasks = deque([3])
    with Workers(count) as workers:
        for task, result in workers.run(echo, tasks):
            if task == 3:
                tasks.append(result)
        assert not tasks


def test_no_worker_at_all_is_refused():
    with pytest.raises(DataError, match="workers must be at least 1, got 0"):
        Workers(0)
