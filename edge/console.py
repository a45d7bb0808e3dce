"""What the four command lines share: how errors end, how results and remarks are printed."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, Any

import click

from .errors import EdgeClassifyError
from .interrupts import raise_on_interrupt
from .log import Level, to_line
from .option_rules import check_rules, shown
from .printable import one_line, printable

INTERRUPTED = 130  # Exit status after Ctrl-C: 128 and the signal's number, as shells have it.
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Failure(click.ClickException):
    """The end of a command line, as the log writes it."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it as the other remarks."""
        say(f"Error: {self.message}", "error")


class Command(click.Command):
    """A click command whose options keep their rules, and whose errors end in one line on stderr.

    The exit status is 2 for a broken rule, and 1 for an error of the input or the machine.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an empty path, which would mean the current folder, and parse the arguments."""
        with _shown_in_one_line():
            return self._parse_args(ctx, args)

    def _parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(not arg or arg.endswith("=") for arg in args):
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            for param in self.get_params(ctx):
                value = given.get(str(param.name))
                is_path = isinstance(param, click.Argument) or isinstance(param.type, click.Path)
                if is_path and "" in (value if isinstance(value, (list, tuple)) else (value,)):
                    name = shown(param)
                    raise click.UsageError(f"{name} is empty. Is a variable of the shell unset?", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Check the options, then run the command; turn our errors and the system's into click's."""
        warnings.filterwarnings("ignore", module="PIL")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # A label may hold letters that its encoding lacks.
                stream.reconfigure(errors="backslashreplace")
        for remark in check_rules(ctx):
            say(remark)
        try:
            raise_on_interrupt()
            with _shown_in_one_line():
                return super().invoke(ctx)
        except EdgeClassifyError as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt:
            say("Interrupted")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise _Failure(f"{where}{error.strerror or error}") from error


@contextmanager
def _shown_in_one_line() -> Iterator[None]:
    """Show what click's errors repeat of the arguments, as the shell's * may have made them, by codes."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = one_line(error.message)  # Some versions of click declare it final.
        raise


def version_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the --version option; the number is the installed distribution's, looked up when asked."""
    return click.version_option(package_name="edge-classify", message="%(prog)s %(version)s")


def say(message: str, level: Level = "info", **fields: Any) -> None:
    """Print a remark to stderr as --log asks for: one line of text, or JSON with `fields`.

    Secrets are replaced, and control characters shown by their codes: a message may hold the name of a file.
    """
    click.echo(to_line(message, level, **fields), err=True)


def print_json(record: dict[str, Any]) -> None:
    """Print one result as a line of JSON to stdout, at once; ASCII, whatever the terminal's encoding."""
    click.echo(json.dumps(record))


def terminal_width() -> int | None:
    """Return how many columns the terminal has that shows stdout; None where none does: a pipe or a file."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size  # A single photo does without it.

    return get_terminal_size().columns


def folded(text: str, width: int | None, indent: str = "", hanging: str = "") -> list[str]:
    """Return a text as lines of at most `width` columns, folded at its blanks where it can be.

    The lines begin with `indent`, and from the second on with `hanging`. None: one line, however long.
    """
    paragraphs = printable(text).split("\n")
    if width is None:
        return [f"{indent}{paragraph}" for paragraph in paragraphs]
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += _fold(paragraph, width, hanging if lines else indent, hanging)
    return lines


def _fold(text: str, width: int, indent: str, hanging: str) -> Iterator[str]:
    from rich.console import Console
    from rich.text import Text

    console, start = Console(width=width), indent
    while True:
        wrapped = Text(text).wrap(console, max(1, width - len(start)), overflow="fold")
        first = wrapped[0].plain.rstrip() if wrapped else ""
        yield f"{start}{first}".rstrip()
        text = text[max(1, len(first)) :].lstrip(" ")
        if not text:
            return
        start = hanging


def print_sentence(text: str, indent: str = "", hanging: str = "") -> None:
    """Print a text for people to stdout: on a terminal folded, into a pipe or a file on one line."""
    for line in folded(one_line(text), terminal_width(), indent, hanging):
        click.echo(line)


def stderr_is_terminal() -> bool:
    """Return whether progress bars have somebody to look at them."""
    return sys.stderr is not None and sys.stderr.isatty()
