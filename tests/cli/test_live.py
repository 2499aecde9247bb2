"""What a terminal shows while an answer comes: the answer, whole, and a line below it that goes when it ends."""

import io
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from modeling_axk1.cli.live import Screen, duration, pace

WIDTH = 40


class Terminal(io.StringIO):
    """One that both streams write to."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What it shows in the end: of control sequences, those that move up or erase a line count."""
        shown, row = [""], 0
        for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if part == "\n":
                row += 1
                shown += [""] * (row + 1 - len(shown))
            elif part.endswith("A") and part[0] == "\x1b":
                row -= int(part[2:-1])
            elif part == "\x1b[2K":
                shown[row] = ""
            elif part[0] not in "\x1b\r":
                shown[row] += part
                assert cell_len(shown[row]) <= WIDTH, "nothing is left to the terminal to wrap"
        return [line for line in shown if line]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def new() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return new


words = st.text(st.sampled_from("ab 한글漢。-"), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(words, st.just("\n")), max_size=12))
def test_the_answer_stands_whole_whatever_pieces_it_comes_in(terminal, pieces):
    shown = terminal()
    with Screen(most=10) as screen:
        for piece in pieces:
            screen.write(piece)
    lines = shown.lines()
    assert "".join(lines) == "".join(pieces).replace("\n", "")
    assert "loading" not in "".join(lines)


def test_a_line_of_status_stands_below_the_answer_while_it_comes(terminal):
    shown = terminal()
    with Screen(most=10) as screen:
        screen.write("An answer")
        assert shown.lines() == ["An answer", "loading"]
        screen.write(" in two lines\nand")
        assert shown.lines() == ["An answer in two lines", "and", "loading"]


def test_what_is_not_for_a_terminal_is_the_text_alone(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with Screen(most=10) as screen:
        screen.write("한 줄\n그리고 " + "x" * 200)
    assert (out.getvalue(), err.getvalue()) == ("한 줄\n그리고 " + "x" * 200 + "\n", "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.21, "4.2 s"), (41, "41 s"), (180, "3 min"), (9000, "2.5 h"), (0, "0.0 s")]
)
def test_times_are_for_people(seconds, said):
    assert duration(seconds) == said


def test_slow_tokens_are_told_by_their_time():
    assert (pace(12.34), pace(1 / 41)) == ("12.3 tokens/s", "41 s a token")
