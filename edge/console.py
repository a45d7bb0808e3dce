"""What the four command lines share: how errors end, how results and remarks are printed."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import click

from .errors import EdgeClassifyError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A click command whose user faults end in one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, turning our errors and the system's into click's."""
        warnings.filterwarnings("ignore", module="PIL")
        try:
            return super().invoke(ctx)
        except EdgeClassifyError as error:
            raise click.ClickException(printable(str(error))) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(printable(f"{where}{error.strerror or error}")) from error


def version_option() -> Any:
    """Return the --version option; the number is the installed distribution's, looked up when asked."""
    return click.version_option(package_name="edge-classify", message="%(prog)s %(version)s")


def say(message: str) -> None:
    """Print a remark for people to stderr."""
    click.echo(printable(message), err=True)


def print_json(record: dict[str, Any]) -> None:
    """Print one result as a line of JSON to stdout, at once; ASCII, whatever the terminal's encoding."""
    click.echo(json.dumps(record))


def printable(text: str) -> str:
    """Replace control characters other than newline, which a terminal would obey, by their codes."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def stderr_is_terminal() -> bool:
    """Return whether progress bars have somebody to look at them."""
    return sys.stderr.isatty()
