"""The reference of a command: each of its options, from click, as --help-all shows them."""

from __future__ import annotations

import inspect
from importlib import import_module

import click

PACKAGES = {
    "edge-train": "train", "edge-convert": "convert", "edge-classify": "edge", "edge-benchmark": "benchmarks",
}  # fmt: skip


def command_of(name: str) -> click.Command:
    """Return the click command of this name."""
    command: click.Command = import_module(f"edge_classify.{PACKAGES[name]}.cli").main
    return command


def options_of(name: str) -> dict[str, list[click.Option]]:
    """Return all options of a command by their headings, in the order in which they were declared."""
    command = command_of(name)
    sections: dict[str, list[click.Option]] = {}
    for param in command.get_params(click.Context(command, info_name=name)):
        if isinstance(param, click.Option):
            sections.setdefault(getattr(param, "heading", None) or "Other", []).append(param)
    return sections


def reference_of(name: str) -> str:
    """Return Markdown: how the command is called, what it does, and a heading for each option."""
    command = command_of(name)
    context = click.Context(command, info_name=name)
    usage = " ".join(["Usage:", name, *command.collect_usage_pieces(context)])
    parts = ["```text", usage, "```", "", _description(command.help or ""), ""]
    for heading, options in options_of(name).items():
        parts += [f"## {heading}", ""]
        for option in options:
            parts += _entry(option, context)
    return "\n".join(parts)


def _description(text: str) -> str:
    """Return a docstring as Markdown: what click leaves as it stands, after "\\b", becomes a block."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(_block(part[2:]) if part.startswith("\b\n") else part for part in paragraphs)


def _block(text: str) -> str:
    title, _, lines = text.partition("\n")
    return f"{title}\n\n```text\n{lines}\n```"


def _entry(option: click.Option, context: click.Context) -> list[str]:
    hidden, option.hidden = option.hidden, False
    try:
        record = option.get_help_record(context)
    finally:
        option.hidden = hidden
    names, text = record or (", ".join(option.opts), option.help or "")
    anchor = max(option.opts, key=len).lstrip("-")
    return [f"### `{names}` {{#{anchor}}}", "", _escape(text.replace("\b", "")), ""]


def _escape(text: str) -> str:
    """Return plain text as Markdown that shows it."""
    for sign in "\\`*_<>[]#|":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return text
