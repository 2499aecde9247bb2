"""Pieces of shards in slots: what is wanted comes before what is expected, and nothing half-read is ever taken."""

import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from modeling_axk1.model.policies_axk1 import LeastFrequentlyUsed, LeastRecentlyUsed, SegmentedLru
from modeling_axk1.model.reading_axk1 import ALIGNMENT, Extent, Reading, ShardReader, extents_in
from modeling_axk1.model.streaming_axk1 import StreamedPieces, room_for

ROWS, WIDTH = 12, 1000


class CountingReader:
    """Gives numbers that say which bytes they are; may be held up, and says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def read(self, file: str, start: int, nbytes: int, buffer: memoryview) -> None:
        self.gate.wait()
        self.asked.append(start)
        lead = start % ALIGNMENT
        buffer[lead : lead + nbytes] = bytes([start // WIDTH % 251]) * nbytes


def piece(number: int) -> dict[str, Extent]:
    return {"w": Extent("file", number * WIDTH, torch.uint8, (WIDTH,))}


def pieces(slots: int, reader: CountingReader, threads: int = 1, **options) -> StreamedPieces[int]:
    policy = options.pop("policy", LeastRecentlyUsed())
    return StreamedPieces({n: piece(n) for n in range(ROWS)}, slots, Reading(reader, threads), policy, **options)


def take(streamed: StreamedPieces[int], key: int) -> int:
    """Take a piece, give it back, and return the number in all its bytes."""
    (value,) = streamed.take(key)["w"].unique().tolist()
    streamed.give(key)
    return value


class TestSlots:
    def test_a_piece_is_read_once_while_it_stays(self):
        reader = CountingReader()
        streamed = pieces(3, reader)
        assert [take(streamed, key) for key in (0, 1, 2, 0, 1, 2)] == [0, 1, 2, 0, 1, 2]
        assert len(reader.asked) == 3
        assert (streamed.counts.hits, streamed.counts.misses) == (3, 3)
        assert streamed.counts.bytes_read == 3 * WIDTH

    def test_one_slot_is_enough_for_any_number_of_pieces_wanted_together(self):
        streamed = pieces(1, CountingReader())
        streamed.want(range(ROWS))
        got = {}
        while len(got) < ROWS:
            key, tensors = streamed.take_any([key for key in range(ROWS) if key not in got])
            got[key] = int(tensors["w"][0])
            streamed.give(key)
        assert got == {n: n for n in range(ROWS)}

    def test_a_taken_piece_keeps_its_slot(self):
        streamed = pieces(2, CountingReader())
        held = streamed.take(0)["w"]
        for key in range(1, ROWS):
            take(streamed, key)
        assert set(held.tolist()) == {0}
        streamed.give(0)

    def test_a_fixed_piece_has_a_slot_of_its_own_for_good(self):
        reader = CountingReader()
        streamed = pieces(1, reader, fixed=[3])
        for key in (3, 0, 1, 3, 2, 3):
            take(streamed, key)
        assert len(reader.asked) == 4

    def test_what_is_wanted_is_read_before_what_is_expected(self):
        reader = CountingReader()
        streamed = pieces(ROWS, reader)
        reader.gate.clear()
        streamed.expect([5, 6, 7])  # the first is being read, the others wait
        streamed.want([1, 7])
        reader.gate.set()
        take(streamed, 1), take(streamed, 7), take(streamed, 6)
        order = [start // WIDTH for start in reader.asked]
        assert order[0] == 5
        assert order[3] == 6
        assert set(order[1:3]) == {1, 7}
        assert (streamed.counts.guessed, streamed.counts.guessed_right) == (3, 2)

    def test_expecting_leaves_a_slot_for_what_is_wanted(self):
        reader = CountingReader()
        streamed = pieces(3, reader)
        reader.gate.clear()
        streamed.expect(range(ROWS))
        assert streamed.counts.guessed == 2
        reader.gate.set()
        assert take(streamed, 9) == 9

    def test_what_was_wanted_and_is_left_does_not_hold_its_slot(self):
        streamed = pieces(1, CountingReader())
        streamed.want([1, 2, 3])
        streamed.leave([1, 2, 3])
        assert take(streamed, 4) == 4
        assert take(streamed, 2) == 2

    def test_an_error_is_raised_where_the_piece_is_taken_and_the_next_try_reads_again(self):
        class Failing(CountingReader):
            def read(self, file, start, nbytes, buffer):
                super().read(file, start, nbytes, buffer)
                if len(self.asked) == 1:
                    raise OSError(5, "Input/output error")

        streamed = pieces(1, Failing())
        with pytest.raises(OSError, match="Input/output"):
            streamed.take(2)
        assert take(streamed, 2) == 2

    def test_a_failed_guess_is_nobodys_error(self):
        class Failing(CountingReader):
            def read(self, file, start, nbytes, buffer):
                super().read(file, start, nbytes, buffer)
                if start == 2 * WIDTH and self.asked.count(start) == 1:
                    raise OSError(5, "Input/output error")

        reader = Failing()
        streamed = pieces(3, reader)
        streamed.expect([2])
        assert take(streamed, 3) == 3
        assert take(streamed, 2) == 2

    def test_threads_end_when_there_is_nothing_to_read(self):
        streamed = pieces(3, CountingReader(), threads=4)
        streamed.want([0, 1, 2])
        for key in (0, 1, 2):
            take(streamed, key)
        for thread in [thread for thread in threading.enumerate() if thread.name == "axk1-reading"]:
            thread.join(5)
        assert not [thread for thread in threading.enumerate() if thread.name == "axk1-reading"]

    def test_a_program_ends_while_something_is_being_read(self):
        """As it would not if a thread were in torch by then."""
        program = """
import time, torch
from modeling_axk1.model.reading_axk1 import Extent, Reading
from modeling_axk1.model.streaming_axk1 import StreamedPieces

class Slow:
    def read(self, file, start, nbytes, buffer):
        for _ in range(20):
            time.sleep(0.01)
            torch.ones(300, 300) @ torch.ones(300, 300)

pieces = {n: {"w": Extent("f", 0, torch.uint8, (10,))} for n in range(50)}
StreamedPieces(pieces, 50, Reading(Slow(), 4)).want(pieces)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    def test_pieces_longer_than_a_read_are_put_together(self, tmp_path, monkeypatch):
        monkeypatch.setattr("modeling_axk1.model.streaming_axk1._CHUNK", 2 * ALIGNMENT)
        data = torch.arange(50_000, dtype=torch.int32)
        path = tmp_path / "long.safetensors"
        save_file({"a": torch.zeros(3), "t": data}, path)
        extent = extents_in(str(path))["t"]
        for direct in (True, False):
            streamed = StreamedPieces({0: {"t": extent}}, 1, Reading(ShardReader(direct), 3))
            assert torch.equal(streamed.take(0)["t"], data)

    @settings(max_examples=60, deadline=None)
    @given(
        keys=st.lists(st.integers(0, ROWS - 1), max_size=40),
        guesses=st.lists(st.integers(0, ROWS - 1), max_size=40),
        slots=st.integers(1, ROWS),
        threads=st.integers(1, 4),
        policy=st.sampled_from([LeastRecentlyUsed, LeastFrequentlyUsed, lambda: SegmentedLru(2)]),
    )
    def test_whatever_is_taken_and_guessed_every_piece_is_itself(self, keys, guesses, slots, threads, policy):
        streamed = pieces(slots, CountingReader(), threads, policy=policy())
        for place, key in enumerate(keys):
            streamed.expect(guesses[place : place + 2])
            assert take(streamed, key) == key
        assert streamed.counts.hits + streamed.counts.misses == len(keys)

    def test_a_slot_has_room_for_the_edges_of_a_direct_read(self):
        assert room_for({"w": Extent("f", ALIGNMENT - 1, torch.uint8, (2,))}) == 2 * ALIGNMENT
