"""Runs the steps of a page, each on a terminal of its own, and compares what they print with the page."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from functools import partial
from pathlib import Path

import pyte

from manual.commands import Shown, Step, steps_of
from manual.workspace import environment

COLUMNS, ROWS = 96, 40
_WIDE = 400  # Of the recorded screen: lines that the terminal would break inside a word are kept whole.
_HOME = "/home/you/example"
_PATIENCE = 600.0
# What depends on how busy the machine is, without spaces and with each number as 0.
_BY_CHANCE = (
    r"(?:Note:(?:[\w.,]+:)?|cnn:)?Otherprogramskept.*?(?:nothingelseruns|--detailstellswhattodo)\.?",
    r"(?:Note:(?:[\w.,]+:)?|cnn:)?Thetimewasnotsteady.*?(?:\(--soak\)|--detailstellswhattodo)\.?",
    r"Note:Energywasnotmeasured.*?battery\.?",
    # Which file is the fastest, and by how much.
    r"asfastwithin0%,(?:anditsp0is0s|andtakes0MBofmemory|and0timesaslarge|with0threadsinsteadof0)",
    r"0timesas(?:slow|large)|shipthis|higherp0|morememory|morethreads|thesmallestof(?=thefastestof)",
    r"Whether\w+\.tfliteismorethan.*?wouldtell\.",
    r"(?<=_)(?:float0|dynamic|int0)(?=\.tflite)",
    # The column that says so, which a long verdict makes a table of its own.
    r"fileverdict─(?:\w+\.tflite)+|(?<=\w)verdict(?=─)",
    # Networks train a little differently on another processor: the layers that suffer most, the rule for
    # ranges that repairs them, and the class that is recognised worst.
    r"(?<=worstfirst:)[\w,]+(?=\.)",
    r"(?<=channelsequalized,)ranges[a-z]+(?=,0images)",
    r"(?<=itloses)-(?=0)",
    r"(?<=0to0%)(?:mug|plate|spoon)(?=0%)",
    # Likewise what a network says to a drawn pattern.
    r"(?<=golden_0\.png\()[a-z]+(?=,pattern)",
    r"(?<=answer)[a-z]+(?=,asitwas)",
)
# An answer just below a threshold may be just above it, and is then shown without brackets.
_DOUBTED = re.compile(r"(?:unknown|unsure)\(([a-z]+0%(?:,[a-z]+0%)+)\)")
# An answer and its alternatives, several of which may be equally improbable: as text, printed by Python, as
# JSON, and as CSV. First with the answer and all alternatives as groups, then one alternative.
_ALTERNATIVES = (
    (r"([a-z]+0%)((?:,[a-z]+0%)+)", r",[a-z]+0%"),
    (r"([a-z]+:0%)((?:[a-z]+:0%)+)", r"[a-z]+:0%"),
    (r'(\[\{"label":[^}]*\})((?:,\{"label":[^}]*\})+)', r",\{[^}]*\}"),
    (r"(,cnn_int0,[a-z]+,0)((?:,[a-z]+,0)+)", r",[a-z]+,0"),
)


class StepError(AssertionError):
    """A step that did not do what its page says."""


@dataclass(frozen=True)
class Printed:
    """What a step left on its terminal, line by line, and its exit status."""

    step: Step
    lines: tuple[str, ...]
    status: int


def run_page(page: Path, folder: Path) -> Iterator[Printed]:
    """Run the steps of a page in a folder, in order; raises StepError for another status than the page's."""
    for step in steps_of(page):
        for command in step.setup:
            _expect(page, step, command, run_on_terminal(command, folder), 0)
        if step.reason is None:
            lines, status = run_on_terminal(step.code, folder)
            _expect(page, step, step.code, (lines, status), step.status)
            yield Printed(step, lines, status)


def copy_workspace(workspace: Path, folder: Path) -> Path:
    """Return a copy for one page."""
    shutil.copytree(workspace, folder)
    return folder


def shown_part(printed: Printed, shown: Shown) -> str:
    """Return the part of an output that a block shows; raises StepError where a line lacks."""
    lines = list(printed.lines)
    start, end = 0, len(lines)
    if shown.first is not None:
        start = _find(lines, shown.first, 0)
    if shown.last is not None:
        end = _find(lines, shown.last, start + (shown.first is not None)) + 1
    return "\n".join(part for line in _trimmed(lines[start:end]) for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """Return a line in pieces that fit the terminal, broken between words where it can be."""
    if len(line) <= COLUMNS:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def difference(expected: str, got: str) -> str:
    """Return how two outputs differ but for numbers, times, bars and line breaks; empty if they do not."""
    if _squeezed(expected) == _squeezed(got):
        return ""
    before, after = ([_equalized(line) for line in text.splitlines()] for text in (expected, got))
    return "\n".join(unified_diff(before, after, "the page", "the program", lineterm="", n=1))


def run_on_terminal(code: str, folder: Path) -> tuple[tuple[str, ...], int]:
    """Run commands of a shell in a terminal; return what one reads there, scrolled back, and the status."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        env = {**environment(folder), "TERM": "xterm-256color", "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
        os.execvpe("bash", ["bash", "-e", "-o", "pipefail", "-c", _when_sized(code)], env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.write(terminal, b"\n")
    screen = pyte.HistoryScreen(_WIDE, ROWS, history=100_000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    try:
        for data in _read(terminal, child):
            stream.feed(data)
    finally:  # A program may let the terminal go before it ends: it would be told that the terminal is gone.
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
    top = ["".join(line[column].data for column in range(_WIDE)) for line in screen.history.top]
    lines = [line.rstrip().replace(str(folder), _HOME) for line in (*top, *screen.display)]
    return tuple(_trimmed(lines)), status


def _when_sized(code: str) -> str:
    """Return the commands, which begin when a line says that the terminal has its size; it is not shown."""
    return f"stty -echo; read -r _; stty echo\n{code}"


def _read(terminal: int, child: int) -> Iterator[bytes]:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:  # The last process that had the terminal has ended.
            return
        if not data:
            return
        yield data
    os.killpg(child, signal.SIGKILL)


def _expect(page: Path, step: Step, code: str, result: tuple[tuple[str, ...], int], status: int) -> None:
    lines, got = result
    if got != status:
        told = "\n".join(lines[-25:])
        raise StepError(f"{page}, line {step.line}: exit status {got}, expected {status}\n$ {code}\n{told}")


def _find(lines: list[str], text: str, start: int) -> int:
    for number in range(start, len(lines)):
        if text in lines[number]:
            return number
    raise StepError(f'No line of the output holds "{text}":\n' + "\n".join(lines))


def _trimmed(lines: list[str]) -> list[str]:
    """Return the lines without empty ones at both ends."""
    full = [number for number, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []


def _equalized(line: str) -> str:
    """Return a line with what may differ from run to run made equal."""
    line = re.sub(r"[━╸╺╴╶█▉▊▋▌▍▎▏▐▁▂▃▄▅▆▇]+", "#", line)
    line = re.sub(r"─+", "─", line)
    line = re.sub(r"(?:Intel|AMD|ARM|Cortex)[^,:;|]*", "CPU", line)
    line = re.sub(r"\b[0-9a-f]{8,}\b", "0", line)
    line = re.sub(r"\d+(?:[.,:]\d+)*", "0", line)
    line = re.sub(r"\b0 ?(?:µs|ms|s|min|h)\b", "0 s", line)
    line = re.sub(r"\b0 ?(?:B|kB|MB|GB)\b", "0 MB", line)
    return re.sub(r"\s+", " ", line).strip()


def _squeezed(text: str) -> str:
    """Return an output as compared: without spaces, so that lines may break elsewhere, and without chance."""
    whole = re.sub(r"\s", "", " ".join(_equalized(line) for line in text.splitlines()))
    for pattern in _BY_CHANCE:
        whole = re.sub(pattern, "", whole)
    whole = _DOUBTED.sub(r"\1", whole)
    for answer, alternative in _ALTERNATIVES:
        whole = re.sub(answer, partial(_sorted_alternatives, alternative), whole)
    return whole


def _sorted_alternatives(alternative: str, found: re.Match[str]) -> str:
    """Return an answer with its alternatives in the order of the alphabet."""
    return found[1] + "".join(sorted(re.findall(alternative, found[2])))
