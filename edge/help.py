"""What the four commands show of themselves: --help, --help-all, and examples where nothing was named."""

from __future__ import annotations

import inspect
from typing import IO, Any

import click

from .console import Command
from .option_rules import Option

_EXAMPLES = "\b\nExamples:"


class SectionedCommand(Command):
    """A command with many options: --help shows those that most people need, --help-all all under headings.

    --help shows the options that were declared with `first`, and the paragraphs of the docstring up to the
    one that begins with "Examples:".
    """

    def __init__(self, *args: Any, **attributes: Any) -> None:
        """Take click's arguments, and add --help-all."""
        super().__init__(*args, **attributes)
        self.params.append(
            click.Option(
                ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all,
                help="Show all options and exit.",
            )
        )  # fmt: skip

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the names of this command's settings: click keeps those of the first context that asks."""
        return list(self.context_settings.get("help_option_names", super().get_help_option_names(ctx)))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; where the argument is missing, the error shows examples."""
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            if not isinstance(error.param, click.Argument):
                raise
            raise NothingNamed(error.format_message(), ctx) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what most people need: --help."""
        records = self._records(ctx)
        first = [record for option, record in records if _is_first(option)]
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self._opening())
        with formatter.section("Options that most people need first"):
            formatter.write_dl(first)
        formatter.write_paragraph()
        formatter.write_text(f"All {len(records)} options: {ctx.command_path} --help-all")

    def format_all(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write everything: --help-all."""
        super().format_help(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section, in the order in which they were declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for option, record in self._records(ctx):
            heading = option.heading if isinstance(option, Option) else None
            sections.setdefault(heading or "Other", []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def examples(self) -> str:
        """Return the paragraph of examples."""
        return next(text for text in self._paragraphs() if text.startswith(_EXAMPLES))

    def _opening(self) -> str:
        paragraphs = self._paragraphs()
        return "\n\n".join(paragraphs[: paragraphs.index(self.examples()) + 1])

    def _paragraphs(self) -> list[str]:
        return inspect.cleandoc(self.help or "").split("\n\n")

    def _records(self, ctx: click.Context) -> list[tuple[click.Option, tuple[str, str]]]:
        """Return each option that is shown, with its names and its text."""
        options = (param for param in self.get_params(ctx) if isinstance(param, click.Option))
        found = ((option, option.get_help_record(ctx)) for option in options)
        return [(option, record) for option, record in found if record is not None]


class NothingNamed(click.UsageError):
    """The command line names nothing to work on; the message shows the command's examples too."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print usage, examples and the error, to stderr."""
        ctx = self.ctx
        if ctx is None or not isinstance(ctx.command, SectionedCommand):
            super().show(file)
            return
        formatter = ctx.make_formatter()
        ctx.command.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(ctx.command.examples())
        formatter.write_paragraph()
        formatter.write_text(f"What else there is: {ctx.command_path} --help")
        click.echo(f"{formatter.getvalue()}\nError: {self.format_message()}", file=file, err=True)


def _is_first(option: click.Option) -> bool:
    return isinstance(option, Option) and option.first


def _show_all(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    formatter = ctx.make_formatter()
    assert isinstance(ctx.command, SectionedCommand)
    ctx.command.format_all(ctx, formatter)
    click.echo(formatter.getvalue().rstrip("\n"))
    ctx.exit()
