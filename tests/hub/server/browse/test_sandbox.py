"""What strangers uploaded is read apart from the hub: whatever it does there, the next page is served."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeling_axk1.hub.server.browse.sandbox import Sandbox, UnreadableError
from modeling_axk1.hub.server.refusal import Refusal


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One that takes little time and memory, so that too much of them is soon reached."""
    made = Sandbox(cpu_seconds=1, memory=256 << 20)
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.parquet"
    values = {"a": list(range(100)), "b": ["text"] * 100, "c": [[1, 2], None] * 50, "d": [{"x": 1.5}] * 100}
    pq.write_table(pa.table(values), path, row_group_size=40)
    return path.read_bytes()


def ask(sandbox: Sandbox, path: Path, format: str = "parquet", *, start: int = 0, compressed: bool = False) -> dict:
    file = {"path": str(path), "compressed": compressed, "rows": None}
    about = [str(path), start, path.stat().st_mtime_ns]
    return json.loads(
        sandbox.run("rows", about, files=[file], format=format, start=start, count=5, longest=100, most=1000)
    )


def works(sandbox: Sandbox, folder: Path) -> bool:
    """Whether an ordinary file can be read now."""
    pq.write_table(pa.table({"a": [1, 2]}), folder / "fine.parquet")
    rows = ask(sandbox, folder / "fine.parquet")["rows"]
    return [row["cells"]["a"]["text"] for row in rows] == ["1", "2"]


def test_what_takes_too_long_is_ended(sandbox, tmp_path):
    with gzip.open(tmp_path / "bomb.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b'{"a":1}\n' * (1 << 17))
    with pytest.raises(UnreadableError, match="more time or memory"):
        ask(sandbox, tmp_path / "bomb.jsonl.gz", "json", start=1 << 40, compressed=True)
    assert works(sandbox, tmp_path)


def test_what_unfolds_to_too_much_memory_is_ended(sandbox, tmp_path):
    """A few kilobytes that hold one long text, and a dictionary by which every row has it."""
    text = pa.array(["x" * (100 << 20)])
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), text)
    pq.write_table(pa.table({"a": column}), tmp_path / "bomb.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    with pytest.raises(UnreadableError, match="memory"):
        ask(sandbox, tmp_path / "bomb.parquet")
    assert works(sandbox, tmp_path)


def test_what_failed_is_remembered_and_not_tried_again():
    sandbox = Sandbox()
    with pytest.raises(UnreadableError):
        sandbox.run("no such task", "the same")
    sandbox._answer = lambda question: pytest.fail("it was tried again")
    with pytest.raises(UnreadableError):
        sandbox.run("no such task", "the same")
    sandbox.close()


def test_a_helper_that_was_killed_is_started_again(tmp_path):
    sandbox = Sandbox()
    assert works(sandbox, tmp_path)
    helper = sandbox._helper[1]
    os.kill(helper.pid, signal.SIGKILL)
    helper.wait()
    (tmp_path / "fine.parquet").unlink()
    assert works(sandbox, tmp_path)
    sandbox.close()


def test_the_helper_ends_with_the_hub(tmp_path):
    sandbox = Sandbox()
    assert works(sandbox, tmp_path)
    helper = sandbox._helper[1]
    sandbox.close()
    assert helper.returncode == 0


def test_who_comes_when_too_many_wait_is_told_to_come_again(monkeypatch):
    sandbox = Sandbox()
    leave, entered = threading.Event(), threading.Semaphore(0)

    def slow(question: bytes) -> bytes:
        entered.release()
        leave.wait(30)
        return b"done"

    monkeypatch.setattr(sandbox, "_answer", slow)
    threads = [threading.Thread(target=sandbox.run, args=("rows", number)) for number in range(10)]
    for thread in threads:
        thread.start()
    entered.acquire()
    entered.acquire()
    while sandbox._places.acquire(blocking=False):  # until the other eight wait too
        sandbox._places.release()
    with pytest.raises(Refusal) as refused:
        sandbox.run("rows", "one more")
    assert refused.value.status == 503
    leave.set()
    for thread in threads:
        thread.join()
    assert sandbox.run("rows", "later") == b"done"


class TestHostileParquet:
    @pytest.mark.parametrize(
        "content",
        [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(8) + b"PAR1", b"PAR1" + b"\xff" * 8 + b"PAR1", b"\0" * 1000],
        ids=["empty", "head", "no footer", "footer of zeros", "footer too long", "zeros"],
    )
    def test_what_is_no_parquet_is_told(self, sandbox, tmp_path, content):
        (tmp_path / "a.parquet").write_bytes(content)
        found = ask(sandbox, tmp_path / "a.parquet")
        assert found["rows"] == []
        assert found["problems"][0][1].startswith("it is not a Parquet file: ")
        assert str(tmp_path) not in found["problems"][0][1]

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.randoms(use_true_random=False), st.integers(1, 8))
    def test_bytes_that_are_changed_cost_the_page_at_most(
        self, sandbox, tmp_path, whole, generator: random.Random, many
    ):
        damaged = bytearray(whole)
        for _ in range(many):
            # The footer, which says where everything lies, is where damage does most.
            first = len(whole) // 2 if generator.random() < 0.7 else 0
            damaged[generator.randrange(first, len(whole))] = generator.randrange(256)
        path = tmp_path / f"{abs(hash(bytes(damaged)))}.parquet"
        path.write_bytes(damaged)
        for task in ("rows", "columns"):
            given = {"files": [{"path": str(path), "compressed": False, "rows": None}], "format": "parquet"}
            given |= {"start": 0, "count": 5, "longest": 100, "most": 1000} if task == "rows" else {}
            with suppress(UnreadableError):
                json.loads(sandbox.run(task, path.name, **given))
        assert works(sandbox, tmp_path)


def test_the_helper_ends_when_the_hub_is_killed():
    program = (
        "import os, signal\n"
        "from modeling_axk1.hub.server.browse.sandbox import Sandbox, UnreadableError\n"
        "sandbox = Sandbox()\n"
        "try:\n    sandbox.run('none', 1)\nexcept UnreadableError:\n    pass\n"
        "print(sandbox._helper[1].pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    status = Path("/proc") / killed.stdout.strip() / "status"
    for _ in range(600):
        try:
            # Whoever adopts it here may leave it a zombie.
            if "\nState:\tZ" in status.read_text():
                return
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the helper lives on")
