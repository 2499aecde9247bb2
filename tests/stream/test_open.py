"""A model from the web under a memory cap: right logits, each byte fetched once, faults never a wrong token."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch

from modeling_axk1.errors import UsageError, WeightsError
from modeling_axk1.model.reading_axk1 import extents_in
from modeling_axk1.stream import load
from modeling_axk1.stream.kept import Kept
from tests.model.faulty import logits, shards_of
from tests.weights.range_server import cut_short, once, range_server, reset, unavailable


def fetched(served) -> int:
    """Bytes of shards that were asked for so far."""
    total = 0
    for asked in served.asked:
        if asked.path.endswith(".safetensors"):
            start, end = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.range).groups()
            total += int(end) + 1 - int(start)
    return total


def one_expert(place, **options):
    """Load with room for one routed expert."""
    try:
        return load(str(place), expert_memory=1, **options)
    except ValueError as error:
        nbytes = re.search(r"at least ([\d,]+) bytes", str(error))[1]
    return load(str(place), expert_memory=int(nbytes.replace(",", "")), **options)


def under_a_cap(place, **options):
    return load(str(place), memory="64GiB", **options)


@pytest.fixture(params=[one_expert, under_a_cap], ids=["expert_memory", "memory"])
def opened(request):
    return request.param


class TestAFolder:
    def test_is_read_where_it_is(self, written, opened, tmp_path):
        before = {path: path.stat().st_mtime_ns for path in written[0].rglob("*")}
        assert torch.equal(logits(opened(written[0])), written[1])
        assert {path: path.stat().st_mtime_ns for path in written[0].rglob("*")} == before

    @pytest.mark.parametrize("limits", [{}, {"memory": "1GB", "expert_memory": "1GB"}])
    def test_one_limit_must_be_given(self, written, limits):
        with pytest.raises(UsageError, match=r"give memory, .* or expert_memory, .*: one of the two"):
            load(str(written[0]), **limits)

    def test_a_reader_of_ones_own_is_refused(self, written):
        with pytest.raises(UsageError, match="load brings a reader of its own"):
            under_a_cap(written[0], streaming={"reader": None})

    def test_nothing_of_it_is_kept_elsewhere(self, written):
        with pytest.raises(UsageError, match="cache_dir and cache_size are for what comes from the web"):
            load(str(written[0]), memory="64GiB", cache_size="1GB")


class TestTheWeb:
    def test_logits_are_right_and_no_byte_is_fetched_twice(self, written, served, opened, tmp_path):
        for _ in range(2):
            model = opened(served.address, cache_dir=tmp_path)
            for _ in range(2):
                assert torch.equal(logits(model), written[1])
        sizes = [shard.stat().st_size for shard in shards_of(written[0])]
        versions = 2 * 3 * len(sizes)  # to see what is there now, each start asks for a byte of each shard
        headers = 2 * 16_384 * len(sizes) + 20_000
        assert fetched(served) <= sum(sizes) + headers + versions

    def test_what_no_token_needs_is_not_fetched(self, written, served, tmp_path):
        model = under_a_cap(served.address, cache_dir=tmp_path, streaming={"guess": False})
        logits(model, torch.tensor([[5]]))
        needed = 0
        for shard in shards_of(written[0]):
            for name, extent in extents_in(str(shard)).items():
                visited = model.config.num_experts_per_tok if ".experts." in name else extent.shape[0]
                needed += extent.part(0).nbytes * (1 if "embed_tokens" in name else visited)
        assert model.streamed.experts._reading.reader.kept.nbytes == needed

    def test_the_folder_has_what_a_tokenizer_needs(self, written, tmp_path):
        folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
        (folder / "tokenizer_config.json").write_text("{}")
        (folder / "chat_template.jinja").write_text("x")
        with range_server(folder) as served:
            model = under_a_cap(served.address, cache_dir=tmp_path / "cache")
        here = Path(model.name_or_path)
        assert (here / "chat_template.jinja").read_text() == "x"
        assert {path.name for path in folder.iterdir()} <= {path.name for path in here.iterdir()}
        for shard in shards_of(folder):
            assert (here / shard.name).stat().st_size == shard.stat().st_size

    def test_a_config_without_a_dtype_makes_nobody_read_a_hole(self, written, tmp_path):
        """transformers then looks into the first shard by itself."""
        folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
        config = json.loads((folder / "config.json").read_text())
        del config["dtype"]
        (folder / "config.json").write_text(json.dumps(config))
        with range_server(folder) as served:
            model = one_expert(served.address, cache_dir=tmp_path / "cache", dtype="auto")
            assert model.dtype == torch.bfloat16
            assert torch.equal(logits(model), written[1])

    def test_another_version_is_another_folder(self, written, served, tmp_path):
        folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
        with range_server(folder) as served:
            first = Path(under_a_cap(served.address, cache_dir=tmp_path / "cache").name_or_path)
            assert Path(under_a_cap(served.address, cache_dir=tmp_path / "cache").name_or_path) == first
            os.utime(shards_of(folder)[0])
            assert Path(under_a_cap(served.address, cache_dir=tmp_path / "cache").name_or_path) != first

    def test_a_server_that_names_no_version_is_refused(self, served, tmp_path, monkeypatch):
        monkeypatch.setattr("tests.weights.range_server.Handler.etag", lambda handler: {})
        with pytest.raises(WeightsError, match="must say by an ETag or a Last-Modified"):
            under_a_cap(served.address, cache_dir=tmp_path)

    def test_many_threads_and_two_models_share_a_folder(self, written, served, tmp_path):
        models = [one_expert(served.address, cache_dir=tmp_path, streaming={"threads": 8}) for _ in range(2)]
        results = {}
        threads = [threading.Thread(target=lambda n=n: results.update({n: logits(models[n])})) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.equal(results[0], written[1])
        assert torch.equal(results[1], written[1])


class TestABoundedCache:
    def room(self, written) -> int:
        """For all but the experts, and a few of those."""
        extents = [each for shard in shards_of(written[0]) for each in extents_in(str(shard)).items()]
        experts = {name: extent for name, extent in extents if ".experts." in name}
        rest = sum(extent.nbytes for name, extent in extents if name not in experts)
        return rest + 3 * sum(extent.part(0).nbytes for extent in experts.values())

    def test_stays_in_its_bounds_and_right(self, written, served, tmp_path):
        size = self.room(written)
        for _ in range(2):
            model = one_expert(served.address, cache_dir=tmp_path, cache_size=size)
            before = fetched(served)
            for _ in range(2):
                assert torch.equal(logits(model), written[1])
            assert fetched(served) > before, "nothing was given back"
            here = Path(model.name_or_path)
            on_disk = sum(shard.stat().st_blocks * 512 for shard in shards_of(here))
            assert on_disk <= size + 2 * 4096 * 200, "holes are whole blocks, experts are not"
            assert on_disk < sum(shard.stat().st_blocks * 512 for shard in shards_of(written[0]))
            del model

    def test_too_small_for_what_is_held_is_refused(self, served, tmp_path):
        with pytest.raises(UsageError, match="cache_size must be larger"):
            one_expert(served.address, cache_dir=tmp_path, cache_size="20KB")

    def test_is_not_shared(self, served, tmp_path):
        model = under_a_cap(served.address, cache_dir=tmp_path)
        with pytest.raises(UsageError, match=r"another process reads through .* need it alone; give another cache_dir"):
            under_a_cap(served.address, cache_dir=tmp_path, cache_size="1GB")
        del model
        model = under_a_cap(served.address, cache_dir=tmp_path, cache_size="1GB")
        with pytest.raises(UsageError, match="another process reads through"):
            under_a_cap(served.address, cache_dir=tmp_path)
        del model

    @pytest.mark.parametrize("said", ["much", "-1"])
    def test_a_size_that_is_none_is_refused(self, served, tmp_path, said):
        with pytest.raises(
            UsageError, match=f"cache_size must be a number of bytes or a size like 100GB, got '{said}'"
        ):
            under_a_cap(served.address, cache_dir=tmp_path, cache_size=said)

    def test_where_holes_cannot_be_punched_it_is_refused(self, served, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(UsageError, match="cache_size needs a file system that can punch holes"):
            under_a_cap(served.address, cache_dir=tmp_path, cache_size="1GB")


class TestAFullDisk:
    @pytest.mark.parametrize("call", ["pwrite", "fsync", "write"])
    def test_goes_on_without_keeping_and_says_so_once(self, written, served, tmp_path, monkeypatch, call):
        model = one_expert(served.address, cache_dir=tmp_path)
        real = getattr(os, call)

        def full(descriptor, *arguments):
            if call == "pwrite" or Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(tmp_path):
                if call == "pwrite":
                    real(descriptor, arguments[0][:100], arguments[1])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, *arguments)

        monkeypatch.setattr(os, call, full)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(2):
                assert torch.equal(logits(model), written[1])
        assert len([each for each in said if "nothing more is kept in" in str(each.message)]) == 1
        monkeypatch.undo()
        del model
        assert torch.equal(logits(one_expert(served.address, cache_dir=tmp_path)), written[1])

    def test_is_an_error_for_what_is_held_all_the_time(self, served, tmp_path, monkeypatch):
        monkeypatch.setattr(Kept, "keep", lambda kept, *arguments: kept._stop(OSError(28, "No space left")) or False)
        with pytest.warns(UserWarning, match="nothing more is kept"), pytest.raises(OSError, match="No space left"):
            one_expert(served.address, cache_dir=tmp_path)


class TestAServerThatFails:
    @pytest.mark.parametrize("trick", [cut_short, reset, unavailable])
    def test_for_a_moment_is_asked_again(self, written, served, opened, tmp_path, trick):
        model = opened(served.address, cache_dir=tmp_path)
        served.trick = once(trick, times=3)
        assert torch.equal(logits(model), written[1])

    def test_for_good_is_one_line_and_when_it_is_back_all_is_right(self, written, served, opened, tmp_path):
        model = opened(served.address, cache_dir=tmp_path)
        served.trick = unavailable
        for _ in range(2):
            with pytest.raises(WeightsError, match=r"safetensors could not be read from .*HTTP status 503") as error:
                logits(model)
            assert "\n" not in str(error.value)
        served.trick = lambda handler: False
        assert torch.equal(logits(model), written[1])

    def test_that_is_not_there_is_one_line(self, tmp_path):
        with pytest.raises(WeightsError, match="cannot be reached") as error:
            under_a_cap("http://127.0.0.1:9/", cache_dir=tmp_path)
        assert "\n" not in str(error.value)

    def test_that_changes_a_shard_meanwhile_is_an_error(self, written, tmp_path):
        folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
        with range_server(folder) as served:
            model = under_a_cap(served.address, cache_dir=tmp_path / "cache")
            for shard in shards_of(folder):
                shard.write_bytes(shard.read_bytes()[:-5000] + bytes(5000))
            with pytest.raises(WeightsError, match="changed while it was read"):
                logits(model)

    def test_with_an_unsound_checkpoint_leaves_no_folder(self, written, tmp_path):
        folder = Path(shutil.copytree(written[0], tmp_path / "checkpoint"))
        index = folder / "model.safetensors.index.json"
        said = json.loads(index.read_text())
        said["weight_map"]["lm_head.weight"] = "../evil.safetensors"
        index.write_text(json.dumps(said))
        with range_server(folder) as served, pytest.raises(WeightsError, match="must stay inside the folder"):
            under_a_cap(served.address, cache_dir=tmp_path / "cache")
        assert not list((tmp_path / "cache").glob("*") if (tmp_path / "cache").exists() else [])


KILLED = """
import os, signal, sys
import torch
from modeling_axk1.stream import kept
from tests.model.faulty import logits
from tests.stream.test_open import one_expert

def dying(module, call, times):
    real = getattr(module, call)
    def die(descriptor, *arguments):
        nonlocal times
        times -= 1
        if not times:
            if call in ("pwrite", "write"):
                real(descriptor, arguments[0][: len(arguments[0]) // 2], *arguments[1:])
            elif call == "punch":
                real(descriptor, *arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(descriptor, *arguments)
    setattr(module, call, die)

torch.set_num_threads(1)  # threads of the parent would be missing in a fork
print("ready", flush=True)
for line in sys.stdin:
    call, times, address, cache, size = line.split()
    child = os.fork()
    if not child:
        model = one_expert(address, cache_dir=cache, cache_size=size if size != "all" else None)
        dying(kept if call == "punch" else os, call, int(times))
        logits(model)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_after_a_kill_at_any_moment_logits_are_right(written, served, tmp_path):
    """While data are written, before they are on the disk, while they are noted, when they were given back."""
    bounded = str(TestABoundedCache().room(written))
    moments = [("pwrite", 3, "all"), ("fsync", 4, "all"), ("write", 5, "all"), ("fsync", 12, bounded)]
    moments += [("punch", 2, bounded)]
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        for number, (call, times, size) in enumerate(moments):
            cache = tmp_path / str(number)
            print(call, times, served.address, cache, size, file=process.stdin, flush=True)
            assert process.stdout.readline() == f"{-signal.SIGKILL}\n", (call, times)
            model = one_expert(served.address, cache_dir=cache)
            assert torch.equal(logits(model), written[1]), (call, times)
            del model
        process.stdin.close()


STOPPED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs without it
from tests.model.faulty import logits
from tests.stream.test_open import one_expert

def stopped(call, *arguments, **options):
    try:
        print("begins", flush=True)
        call(*arguments, **options)
    except KeyboardInterrupt:
        print("stopped", flush=True)

stopped(one_expert, sys.argv[1], cache_dir=sys.argv[2])
sys.stdin.readline()
model = one_expert(sys.argv[1], cache_dir=sys.argv[2])
print("loaded", flush=True)
sys.stdin.readline()
stopped(logits, model)
"""


def test_ctrl_c_does_not_wait_for_a_server_that_does_not_answer(written, served, tmp_path):
    waits, goes_on = threading.Event(), threading.Event()

    def stall(handler) -> bool:
        if handler.path.endswith(".safetensors") and handler.span()[0] > 20_000:
            waits.set()
            goes_on.wait()
        return False

    served.trick = stall
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, served.address, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for step in ("load", "run"):
            assert process.stdout.readline() == "begins\n"
            waits.wait()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped\n", step
            if step == "load":
                served.trick = lambda handler: False
                print(file=process.stdin, flush=True)
                assert process.stdout.readline() == "loaded\n"
                waits.clear()
                served.trick = stall
                print(file=process.stdin, flush=True)
        assert process.wait() == 0
    goes_on.set()
    served.trick = lambda handler: False
    assert torch.equal(logits(one_expert(served.address, cache_dir=tmp_path)), written[1])
