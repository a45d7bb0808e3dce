"""The table in a real terminal: a child behind a pty, and what a terminal emulator makes of its output."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

ROOT = Path(__file__).parent.parent
# Takes a step for each line of stdin, and then sets the terminal's title, which moves nothing on the screen.
CHILD = r"""
import os, sys
from edge_classify.edge.classifier import Doubt
from edge_classify.edge.console import say
from edge_classify.edge.outputs.live_table import LiveTable, can_redraw
from tests.support.output_results import answer, failure, live
assert can_redraw()
now = [0.0]
table = LiveTable(lambda: now[0])
steps = {
    "frame 1": lambda: table.show(live(1)),
    "frame 2": lambda: table.show(live(2, answer({"tiger": 0.5, "lynx": 0.25}))),
    "models": lambda: table.show(
        live(3, answer(model="m[1]"), answer({"猫" * 40: 0.4}, Doubt.UNKNOWN, "m2"))
    ),
    "unsure": lambda: table.show(live(4, answer({"tiger": 0.5, "lynx": 0.25}, Doubt.UNSURE))),
    "hostile": lambda: table.show(live(4, answer({"[red]x[/red]\x1b[2J\x9b5A\n" + "long " * 40: 0.5}))),
    "lost": lambda: table.show(failure("camera 0", "camera 0 gives\x1b[2J no frames")),
    "say": lambda: say("camera 0 is back"),
    "wait": lambda: table.refresh(),
    "close": lambda: table.close(),
}
for number, line in enumerate(sys.stdin):
    pause, step = line.rstrip().split(" ", 1)
    now[0] += float(pause)
    steps[step]()
    os.write(1, f"\x1b]2;step {number}\x07".encode())
"""


class Terminal:
    """A child that takes steps, and the screen on which it draws."""

    def __init__(self, columns: int = 80, lines: int = 24, **env: str) -> None:
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._count = 0
        steps, self._steps = os.pipe()
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.dup2(steps, 0)
            os.chdir(ROOT)
            clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            clean = {**clean, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env}
            os.execve(sys.executable, [sys.executable, "-c", CHILD], clean)
        os.close(steps)
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size; like a real one it wraps what stands there anew."""
        before = self.lines()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        self.screen.reset()
        self._stream.feed("\r\n".join(before).encode())

    def step(self, name: str, pause: float = 1.0) -> list[str]:
        """Take a step `pause` seconds of the table's clock later, and return the screen's lines."""
        os.write(self._steps, f"{pause} {name}\n".encode())
        while self.screen.title != f"step {self._count}":
            assert self._read(), f"the child has ended:\n{self.raw.decode()}"
        self._count += 1
        return self.lines()

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def close(self) -> None:
        os.close(self._steps)
        while self._read():
            pass
        os.close(self._terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1]) == 0, self.raw.decode()

    def _read(self) -> bool:
        assert select.select([self._terminal], [], [], 60)[0], "the child does nothing"
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # What Linux says when the child has gone.
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(columns: int = 80, lines: int = 24, **env: str) -> Terminal:
        opened.append(Terminal(columns, lines, **env))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


Open = Callable[..., Terminal]


def test_table_is_drawn_anew_in_its_place_and_its_last_state_stays(terminal: Open) -> None:
    shown = terminal(120)
    first = shown.step("frame 1")
    assert first[0] == "camera 0, frame 1, 38 ms old, 0.0 frames/s, decode 3.2 ms, inference 12.3 ms"
    assert [line.split()[0] for line in first[1:]] == ["tabby", "tiger", "lynx"]
    assert first[1].endswith("87.3%") and shown.screen.cursor.hidden
    second = shown.step("frame 2")
    assert second[0].startswith("camera 0, frame 2, 38 ms old, 1.0 frames/s")
    assert [line.split()[0] for line in second[1:]] == ["tiger", "lynx"]
    assert shown.step("close") == second and not shown.screen.cursor.hidden


def test_bar_is_as_long_as_the_class_is_probable(terminal: Open) -> None:
    rows = terminal(120, NO_COLOR="1").step("frame 2")[1:]
    long, short = (row.count("━") + row.count("╸") / 2 for row in rows)
    assert long > 20 and short == pytest.approx(long / 2, abs=1)


def test_drawings_are_a_tenth_of_a_second_apart_but_the_last_state_is_always_drawn(terminal: Open) -> None:
    shown = terminal(120)
    steps = [("frame 1", 1.0), ("frame 2", 0.05), ("models", 0.06), ("frame 1", 0.01), ("close", 0.01)]
    drawn = [shown.step(*step)[0].split(", ")[1] for step in steps]
    assert drawn == ["frame 1", "frame 1", "frame 3", "frame 3", "frame 1"]


def test_several_models_have_their_names_and_unknown_is_said(terminal: Open) -> None:
    lines = terminal(120).step("models")
    assert lines[1] == "m[1]" and lines[5:7] == ["m2", "unknown"]
    assert lines[7].startswith("猫猫") and "…" in lines[7] and lines[7].endswith("40.0%")


def test_unsure_is_said_before_the_classes_that_it_may_be(terminal: Open) -> None:
    rows = terminal(120).step("unsure")[1:]
    assert [row.split()[0] for row in rows] == ["unsure", "tiger", "lynx"] and rows[0] == "unsure"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_labels_keep_to_their_column_and_reach_the_terminal_as_text(terminal: Open, columns: int) -> None:
    shown = terminal(columns)
    shown.step("frame 1")
    lines = shown.step("hostile")
    [row] = [line for line in lines if line.startswith("[red]x[")]
    assert "…" in row and row.endswith("50.0%") and len(row) == min(columns, 100)
    assert sum("camera 0" in line for line in lines) == 1
    assert b"\x1b[2J" not in shown.raw and "\x9b" not in shown.raw.decode()


def test_lost_source_is_shown_with_its_error_and_since_when_nothing_came(terminal: Open) -> None:
    shown = terminal(120)
    shown.step("frame 1")
    lines = shown.step("lost")
    assert lines[-1] == "1 error: camera 0 gives\\x1b[2J no frames" and lines[1].startswith("tabby cat")
    assert shown.step("wait", 34)[-2] == "No frame for 34 s"
    assert shown.step("lost")[-1].startswith("2 errors, the last: camera 0")
    assert not any("No frame for" in line for line in shown.step("frame 2"))


def test_remark_goes_above_the_table_and_below_it_afterwards(terminal: Open) -> None:
    shown = terminal(120)
    table = shown.step("frame 1")
    assert shown.step("say") == ["camera 0 is back", *table]
    lines = shown.step("frame 2")
    assert lines[0] == "camera 0 is back" and lines[1].startswith("camera 0, frame 2")
    assert shown.step("close") == lines
    assert shown.step("say") == [*lines, "camera 0 is back"]


def test_terminal_that_is_made_narrower_has_one_whole_table(terminal: Open) -> None:
    shown = terminal(100)
    shown.step("models")
    shown.resize(40, 30)
    lines = shown.step("frame 2")
    assert " ".join(lines[:3]).startswith("camera 0, frame 2, 38 ms old")
    assert [line.split()[0] for line in lines[-2:]] == ["tiger", "lynx"] and len(lines) == 5
    assert all(len(line) <= 40 for line in lines)


def test_table_that_is_higher_than_the_terminal_is_cut_and_never_piles_up(terminal: Open) -> None:
    shown = terminal(80, 5)
    for name in ("models", "frame 1", "models"):
        lines = shown.step(name)
        assert sum("camera 0" in line for line in lines) == 1
    assert lines[0].startswith("camera 0, frame 3")


def test_colours_are_left_out_where_the_user_wants_none(terminal: Open) -> None:
    coloured, plain = terminal(), terminal(NO_COLOR="1")
    for shown in (coloured, plain):
        shown.step("frame 1")
    assert b"\x1b[32m" in coloured.raw and b"\x1b[32m" not in plain.raw
