"""One line per image, for people; several models on a narrow terminal get a line each below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..answers.result import Answer, FrameResult
from ..console import say, terminal_width
from ..printable import one_line
from ..sources.frames import Frame
from .frame_rate import FrameRate
from .writer import StandardOutput, Writer


class TextLines:
    """Writes one line per image; errors go to stderr, and not among the results."""

    failed = 0

    def __init__(self, writer: Writer, report: Callable[[str], None] = say) -> None:
        """Write to `writer`, and pass errors to `report`."""
        self._writer = writer
        self._report = report
        self._rate = FrameRate()

    def show(self, result: FrameResult) -> None:
        """Write the line, which ends with the frame rate where the source is live."""
        frame = result.frame
        if frame.error is not None:
            self._report(frame.error)
            return
        rate = self._rate.tick() if frame.grabbed is not None else None
        several = len(result.answers) > 1 and isinstance(self._writer, StandardOutput)
        width = terminal_width() if several else None
        self._writer.write(to_text(frame, result.answers, rate, width))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def to_text(frame: Frame, answers: Sequence[Answer], rate: float | None, width: int | None) -> str:
    """Return one printable line with its end; with several models each answer follows its model's name.

    Where these do not fit into `width` columns, each gets a line of its own; None: any number of columns.
    """
    parts = []
    for answer in answers:
        scores = ", ".join(f"{score.label} {score.score:.1%}" for score in answer.prediction.top)
        text = scores if answer.word is None else f"{answer.word} ({scores})"
        parts.append(f"{answer.model}: {text}" if len(answers) > 1 else text)
    where = frame.source if frame.index is None else f"{frame.source} #{frame.index}"
    speed = f"  [{rate:.1f} frames/s]" if rate is not None else ""
    line = one_line(f"{where}  {'  |  '.join(parts)}{speed}")
    if width is None or len(answers) < 2 or len(line) <= width:
        return f"{line}\n"
    return "".join(f"{one_line(text)}\n" for text in (f"{where}{speed}", *(f"  {part}" for part in parts)))
