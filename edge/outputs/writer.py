"""Writers of lines: to stdout, or to a file that appears when it is complete."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

import click

from .output_names import at_start


class Writer(Protocol):
    """Takes whole lines of text, with their line ends."""

    def write(self, lines: str) -> None:
        """Write the lines at once."""
        ...

    def close(self) -> None:
        """Finish; called once, also after Ctrl-C."""
        ...


def open_writer(path: Path | None, force: bool) -> Writer:
    """Return a writer to `path`, or to stdout for None; raises as NewFile does."""
    return StandardOutput() if path is None else NewFile(at_start(path), force)


class StandardOutput:
    """Writes to stdout, and flushes after every call."""

    def write(self, lines: str) -> None:
        """Print; characters that stdout's encoding lacks become codes."""
        if sys.stdout is not None:  # It is None where the shell has closed it.
            # As bytes, so that Windows doesn't change the line ends of CSV.
            click.echo(lines.encode(sys.stdout.encoding or "utf-8", "backslashreplace"), nl=False)

    def close(self) -> None:
        """Leave stdout open, since others print there too."""


class NewFile:
    """Writes a UTF-8 file that gets its name when it is closed; until then it is .NAME.*.part.

    Every line is passed to the system before the next one. When the disk is full, earlier lines are kept.
    """

    def __init__(self, path: Path, force: bool) -> None:
        """Create the file.

        Raises OutputExistsError where `path` exists, unless `force`, and OptionError where it cannot be
        written.
        """
        import tempfile

        from ..files import refuse_to_overwrite, require_writable

        refuse_to_overwrite(path, force)
        require_writable(path)
        self._path = path.resolve()
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.", suffix=".part")
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._temporary = Path(name)

    def write(self, lines: str) -> None:
        """Write whole lines or nothing; raises OSError, with the file's name, when the disk is full."""
        data = lines.encode("utf-8", "backslashreplace")
        before = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._file.truncate(before)
            self._file.seek(before)
            raise self._named(error) from None

    def close(self) -> None:
        """Give the file its name; raises OSError, with the file's name, when its folder is gone."""
        from ..files import mode_for

        self._file.close()
        try:
            self._temporary.chmod(mode_for(self._path))
            self._temporary.replace(self._path)
        except OSError as error:
            raise self._named(error) from None

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, str(self._path))
