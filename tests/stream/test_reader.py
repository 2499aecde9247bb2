"""Bytes through the sparse files are the web's bytes, for any number of threads, in any order, within any bounds."""

import json
import random
import threading

import pytest

from modeling_axk1.errors import WeightsError
from modeling_axk1.model.reading_axk1 import ALIGNMENT
from modeling_axk1.stream.kept import Kept
from modeling_axk1.stream.reader import WebReader

NBYTES, LONGEST = 400_000, 30_000
HEADER = json.dumps({"t": {"dtype": "U8", "shape": [NBYTES], "data_offsets": [0, NBYTES]}}).encode()
TRUE = {name: random.Random(name).randbytes(NBYTES) for name in ("a.safetensors", "b.safetensors")}
START = 8 + len(HEADER)


class Store:
    """Gives true bytes, or fails as often as it is told to."""

    def __init__(self, fails: float = 0.0) -> None:
        self.fails, self.chance, self.fetched = fails, random.Random(1), 0

    def read_into(self, file: str, start: int, buffer: memoryview) -> None:
        if self.chance.random() < self.fails:
            buffer[:] = b"\xff" * len(buffer)
            raise WeightsError("the hub is away")
        buffer[:] = TRUE[file][start - START : start - START + len(buffer)]
        self.fetched += len(buffer)


@pytest.fixture
def folder(tmp_path):
    for name in TRUE:
        with (tmp_path / name).open("wb") as file:
            file.write(len(HEADER).to_bytes(8, "little") + HEADER)
            file.truncate(START + NBYTES)
    return tmp_path


def read(reader: WebReader, path, start: int, nbytes: int) -> bytes:
    lead = start % ALIGNMENT
    area = bytearray(lead + nbytes + 3 * ALIGNMENT)
    reader.read(str(path), start, nbytes, memoryview(area)[: -(-(lead + nbytes) // ALIGNMENT) * ALIGNMENT])
    return bytes(area[lead : lead + nbytes])


def read_much(reader: WebReader, folder, seed: int, wrong: list) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        name = chance.choice(list(TRUE))
        start = chance.randrange(NBYTES - LONGEST)
        nbytes = chance.randint(1, LONGEST)
        try:
            if read(reader, folder / name, START + start, nbytes) != TRUE[name][start : start + nbytes]:
                wrong.append((name, start, nbytes))
        except WeightsError:
            pass


@pytest.mark.parametrize("size", [None, 200_000, 40_000, 10])
@pytest.mark.parametrize("fails", [0.0, 0.3])
def test_what_is_read_is_what_is_there(folder, size, fails):
    wrong = []
    for start in range(2):
        kept = Kept(folder, size)
        reader = WebReader(Store(fails), kept, direct=False)
        threads = [threading.Thread(target=read_much, args=(reader, folder, 8 * start + n, wrong)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert size is None or kept.nbytes <= size
        del reader, kept


def test_what_stays_is_never_given_back(folder):
    kept = Kept(folder, 100_000)
    store = Store()
    reader = WebReader(store, kept, direct=False)
    reader.bring(str(folder / "a.safetensors"), START + 1000, 50_000)
    read_much(reader, folder, 0, [])
    before = store.fetched
    assert read(reader, folder / "a.safetensors", START + 1000, 50_000) == TRUE["a.safetensors"][1000:51_000]
    assert store.fetched == before
    assert (folder / "a.safetensors").read_bytes()[START + 1000 : START + 51_000] == TRUE["a.safetensors"][1000:51_000]


def test_the_longest_unused_goes_first_and_its_bytes_leave_the_disk(folder):
    kept = Kept(folder, 2 * 40_960)
    store = Store()
    reader = WebReader(store, kept, direct=False)
    path = folder / "a.safetensors"
    first, second, third = (START + n * 40_960 for n in range(3))
    for start in (first, second, first, third):
        read(reader, path, start, 40_960)
    before = store.fetched
    read(reader, path, first, 40_960)
    assert store.fetched == before
    assert path.read_bytes()[second : second + 40_960] == bytes(40_960)
    read(reader, path, second, 40_960)
    assert store.fetched == before + 40_960
