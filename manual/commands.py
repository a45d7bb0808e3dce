"""What the pages of the manual say of their commands: steps, and the status and the output of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^( *)(`{3,})(\w*)\s*$")
_COMMENT = re.compile(r"^ *<!-- (not run|status|setup|output|run)\b:? *(.*?) *-->\s*$")
_PART = re.compile(r'^(?:from "(?P<first>[^"]+)")? ?(?:to "(?P<last>[^"]+)")?$')


class PageError(ValueError):
    """A page that cannot be read as a list of steps; says file and line."""


@dataclass(frozen=True)
class Shown:
    """A block that shows what a step printed: lines `start` to `end` of the page, without the fences."""

    start: int
    end: int
    indent: str
    text: str
    first: str | None = None
    last: str | None = None


@dataclass
class Step:
    """A block of commands. `line` is that of its fence, from 1; `reason` says why it is not run."""

    line: int
    code: str
    reason: str | None = None
    status: int = 0
    setup: tuple[str, ...] = ()
    shown: list[Shown] = field(default_factory=list)


def pages() -> list[str]:
    """Return the pages that show commands, relative to the repository."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found if steps_of(path)]


def steps_of(path: Path) -> list[Step]:
    """Read the steps of a page; raises PageError."""
    steps: list[Step] = []
    said: list[tuple[str, str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        comment, fence = _COMMENT.match(lines[number]), _FENCE.match(lines[number])
        if comment:
            said.append((comment[1], comment[2]))
        if fence:
            end = _end_of(lines, number, fence)
            _take(steps, path, number, end, fence, said, lines)
            said, number = [], end
        number += 1
    if said:
        raise PageError(f"{path}: after the comment '{said[0][0]}' comes no block")
    return steps


def _end_of(lines: list[str], start: int, fence: re.Match[str]) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == fence[2]:
            return number
    raise PageError(f"line {start + 1}: the block has no end")


def _take(
    steps: list[Step], path: Path, start: int, end: int, fence: re.Match[str], said: list[tuple[str, str]],
    lines: list[str],
) -> None:  # fmt: skip
    """Add a block to the steps, or to the last of them as its output."""
    indent, kind = fence[1], fence[3]
    text = "\n".join(line.removeprefix(indent) for line in lines[start + 1 : end])
    words = {word for word, _ in said}
    where = f"{path}, line {start + 1}"
    if kind == "sh" or (kind == "python" and "run" in words):
        steps.append(
            _step(start + 1, text if kind == "sh" else f"python - <<'EOF'\n{text}\nEOF", said, where)
        )
    elif "output" in words:
        if not steps or steps[-1].reason is not None:
            raise PageError(f"{where}: an output without a step that is run")
        part = _PART.match(dict(said)["output"])
        if part is None:
            raise PageError(f'{where}: write output: from "A" to "B"')
        steps[-1].shown.append(Shown(start + 1, end, indent, text, part["first"], part["last"]))
    elif said:
        raise PageError(f"{where}: '{said[0][0]}' stands before a block that is no step")


def _step(line: int, code: str, said: list[tuple[str, str]], where: str) -> Step:
    step = Step(line, code)
    for word, value in said:
        if word == "not run":
            if len(value) < 5:
                raise PageError(f"{where}: say why it is not run")
            step.reason = value
        elif word == "status":
            step.status = int(value)
        elif word == "setup":
            step.setup += (value,)
        elif word == "output":
            raise PageError(f"{where}: output stands before a block of sh")
    return step
