"""Writers of lines: to stdout, or to a file that appears when it is complete."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import click

from ..console import say
from ..errors import OutputExistsError, OutputKeptError
from .output_names import at_start

_SYNC_SECONDS = 1.0
_SYNC_SHARE = 50  # Syncing takes at most a 50th of the time.


class Writer(Protocol):
    """Takes whole lines of text, with their line ends."""

    def write(self, lines: str) -> None:
        """Write the lines at once."""
        ...

    def close(self) -> None:
        """Finish; called once, also after Ctrl-C."""
        ...


def open_writer(path: Path | None, force: bool) -> StandardOutput | NewFile:
    """Return a writer to `path`, or to stdout for None; raises as NewFile does."""
    return StandardOutput() if path is None else NewFile(at_start(path), force)


class StandardOutput:
    """Writes to stdout, and flushes after every call."""

    def write(self, lines: str) -> None:
        """Print; characters that stdout's encoding lacks become codes."""
        if sys.stdout is not None:  # It is None where the shell has closed it.
            # As bytes, so that Windows doesn't change the line ends of CSV.
            click.echo(lines.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)

    def refresh(self) -> None:
        """Do nothing: every line was flushed."""

    def note_ending(self, kind: type[BaseException] | None, *_: object) -> None:
        """Do nothing: what was printed is printed."""

    def close(self) -> None:
        """Leave stdout open, since others print there too."""


class NewFile:
    """Writes a UTF-8 file that gets its name when it is closed; until then it is .NAME.*.part.

    Every line is passed to the system before the next one, and what was written is synced each second, or
    less often on a disk where that would take more than a 50th of the time: a power cut loses no more. When
    the disk is full, earlier lines are kept. A file that has appeared as NAME meanwhile is not replaced, and
    an older one only by the lines of a run that has ended well; the others are kept as NAME.kept.jsonl.
    """

    def __init__(self, path: Path, force: bool, report: Callable[[str], None] = say) -> None:
        """Create the file; `report` gets remarks for people.

        Raises OutputExistsError where `path` exists, unless `force`, and OptionError where it cannot be
        written.
        """
        from ..files import refuse_to_overwrite, require_writable
        from ..parts import describe_left_over, open_part

        refuse_to_overwrite(path, force)
        require_writable(path)
        self._path, self._force, self._report = path.resolve(), force, report
        if remark := describe_left_over(self._path.parent):
            report(remark)
        handle, self._part = open_part(self._path)
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._ended_well, self._in_vain = True, False
        self._synced = self._written = 0
        self._sync_at = time.monotonic() + _SYNC_SECONDS

    def write(self, lines: str) -> None:
        """Write whole lines or nothing; raises OSError, with the file's name, when the disk is full."""
        data = lines.encode("utf-8", "backslashreplace")
        before = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._ended_well = False
            self._file.truncate(before)
            self._file.seek(before)
            raise self._named(error) from None
        self._written = self._file.tell()
        self.refresh()

    def refresh(self) -> None:
        """Sync what was written, where it is time; raises OSError, with the file's name."""
        if self._written == self._synced or time.monotonic() < self._sync_at:
            return
        began = time.monotonic()
        self._sync()
        self._sync_at = time.monotonic() + max(_SYNC_SECONDS, _SYNC_SHARE * (time.monotonic() - began))

    def note_ending(self, kind: type[BaseException] | None, *_: object) -> None:
        """Note what ended the run, if anything did, as the exit of a context is told."""
        self._ended_well = self._ended_well and kind is None
        self._in_vain = kind is not None and not self._written

    def close(self) -> None:
        """Give the file its name.

        Raises OutputExistsError where a file has appeared that is not replaced, OutputKeptError where it
        cannot get its name, and OSError, with the file's name, when its folder is gone.
        """
        from ..durable import sync_folder
        from ..files import mode_for

        with self._file:
            if self._in_vain:  # An empty file, or a header alone, would only be in another run's way.
                self._part.unlink(missing_ok=True)
                return
            try:
                self._sync()
                self._part.chmod(mode_for(self._path))
                self._place()
                sync_folder(self._path.parent)
            except OSError as error:
                if not self._part.exists():
                    raise self._named(error) from None
                raise OutputKeptError(
                    f"{self._path} cannot be written: {error.strerror}. What was written is in {self._part}"
                ) from None

    def _place(self) -> None:
        from ..parts import keep_beside, place

        try:
            place(self._part, self._path, self._force and self._ended_well)
        except FileExistsError:
            if self._ended_well:
                kept = keep_beside(self._part, self._path)
                raise OutputExistsError(
                    f"{self._path} has appeared meanwhile, and is not replaced. What was written is in {kept}"
                ) from None
            kept = keep_beside(self._part, self._path)
            self._report(
                f"{self._path} stays as it was, because this run did not end well. Its part is in {kept}"
            )

    def _sync(self) -> None:
        from ..durable import sync_file

        try:
            sync_file(self._file.fileno())
        except OSError as error:
            self._ended_well = False
            raise self._named(error) from None
        self._synced = self._written

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, str(self._path))
