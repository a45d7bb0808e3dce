"""A table for spreadsheets: CSV by RFC 4180, without cells that a spreadsheet would run."""

from __future__ import annotations

import csv
import re
import unicodedata
from io import StringIO

from ..answers.result import Answer, FrameResult
from ..sources.frames import Frame
from .json_lines import to_record
from .writer import Writer

Cell = str | float | None

# From OWASP, "CSV Injection" (owasp.org/www-community/attacks/CSV_Injection).
_FORMULA_STARTS = frozenset("=+-@\t\r\n")
# C0 without newline, DEL and C1, which control a terminal.
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class CsvLines:
    """Writes a header, then one row per image and model, or one row for an image that could not be read.

    The first label of a row is the answer. Beside "unsure" or "unknown" is the score of the likeliest class.
    """

    failed = 0

    def __init__(self, writer: Writer, top: int) -> None:
        """Write to `writer`, with columns for the `top` best classes."""
        self._writer = writer
        self._top = top
        more = [name for number in range(2, top + 1) for name in (f"label_{number}", f"score_{number}")]
        self._columns = [
            *("source", "frame", "age_ms", "model", "label", "score"),
            *more,
            *("unknown", "unsure", "reason", "unknown_score", "decode_ms", "infer_ms", "error"),
        ]
        self._begun = False

    def show(self, result: FrameResult) -> None:
        """Write the rows of one image together."""
        if result.frame.error is not None:
            self._write([self._error_row(result.frame)])
        else:
            self._write([self._row(result.frame, answer, result.age_ms) for answer in result.answers])

    def close(self) -> None:
        """Finish the file, which has its header also without images."""
        self._write([])
        self._writer.close()

    def _row(self, frame: Frame, answer: Answer, age_ms: float | None) -> list[Cell]:
        record = to_record(frame, answer, age_ms)
        best: list[Cell] = []
        for number, entry in enumerate(record["predictions"][: self._top]):
            best += [answer.label if number == 0 else entry["label"], entry["score"]]
        missing: list[Cell] = [None] * (2 * self._top - len(best))
        row = [record["source"], record["frame"], record["age_ms"], record["model"], *best, *missing]
        doubt: list[Cell] = [str(record[key]).lower() for key in ("unknown", "unsure")]
        doubt += [record["reason"], record["unknown_score"]]
        return [*row, *doubt, record["decode_ms"], record["infer_ms"], None]

    def _error_row(self, frame: Frame) -> list[Cell]:
        empty: list[Cell] = [None] * (len(self._columns) - 3)
        return [frame.source, frame.index, *empty, frame.error]

    def _write(self, rows: list[list[Cell]]) -> None:
        text = StringIO()
        table = csv.writer(text)
        if not self._begun:
            table.writerow(self._columns)
            self._begun = True
        for row in rows:
            table.writerow([to_cell(cell) if isinstance(cell, str) else cell for cell in row])
        if text.tell():
            self._writer.write(text.getvalue())


def to_cell(text: str) -> str:
    r"""Return text that is no formula for a spreadsheet and no command for a terminal.

    A cell that starts like a formula gets a ' in front, also where the sign is a full-width or other variant,
    or follows spaces, quotes or invisible characters. Control characters other than newline become \x codes.
    """
    start = next((c for c in text if c in _FORMULA_STARTS or (c.isprintable() and c not in " '\"")), "")
    dangerous = unicodedata.normalize("NFKC", start)[:1] in _FORMULA_STARTS if start else False
    escaped = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"'{escaped}" if dangerous else escaped
