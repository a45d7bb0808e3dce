"""--help is one screen of what most people need, --help-all has every option; no arguments bring examples."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner, Result
from edge_classify.benchmarks.cli import main as benchmark
from edge_classify.convert.cli import main as convert
from edge_classify.edge.cli import main as classify
from edge_classify.edge.option_rules import Option
from edge_classify.train.cli import main as train

COMMANDS = {
    "edge-train": train,
    "edge-convert": convert,
    "edge-classify": classify,
    "edge-benchmark": benchmark,
}
_VARIABLES = ("EDGE_CLASSIFY_CAMERA", "EDGE_CLASSIFY_MODEL", "EDGE_CLASSIFY_PUBLISH")


def show(name: str, *words: str) -> Result:
    environment = {**dict.fromkeys(_VARIABLES), "COLUMNS": "80"}
    return CliRunner(env=environment).invoke(COMMANDS[name], list(words), prog_name=name)


def options_in(text: str) -> list[str]:
    """Return the long names at the beginnings of lines."""
    return re.findall(r"^ {2}(?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)


def examples_in(text: str) -> list[str]:
    block = text.split("Examples:\n")[1].partition("\n\n")[0].replace("\\\n", "")
    return [line.strip() for line in block.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_one_screen_of_what_most_people_need(name: str, word: str) -> None:
    result = show(name, word)
    lines = result.stdout.rstrip("\n").splitlines()
    assert result.exit_code == 0
    assert len(lines) <= 45 and max(map(len, lines)) <= 80
    assert len(examples_in(result.stdout)) >= 5
    first = options_in(result.stdout)
    assert 8 <= len(first) <= 12
    assert lines[-1] == f"All {len(options_in(show(name, '--help-all').stdout))} options: {name} --help-all"
    declared = [param for param in COMMANDS[name].params if isinstance(param, Option) and param.first]
    assert first == [max(option.opts, key=len) for option in declared]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_has_every_option_once_under_a_heading(name: str) -> None:
    result = show(name, "--help-all")
    options = [param for param in COMMANDS[name].params if isinstance(param, click.Option)]
    assert result.exit_code == 0
    assert sorted(options_in(result.stdout)) == sorted([max(o.opts, key=len) for o in options] + ["--help"])
    assert max(map(len, result.stdout.splitlines())) <= 80
    headings = {option.heading for option in options if isinstance(option, Option)}
    assert None not in headings and len(headings) > 3
    for heading in headings:
        assert f"\n{heading}:\n" in result.stdout
    assert {"--version", "--help-all", "--help"} == set(options_in(result.stdout.split("\nOther:\n")[1]))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_comes_before_any_complaint(name: str) -> None:
    assert show(name, "--force", "--json", "--help-all").exit_code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_command_without_arguments_shows_five_examples_on_stderr_and_exits_2(name: str) -> None:
    result = show(name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(examples_in(result.stderr)) == 5
    assert result.stderr.startswith(f"Usage: {name} ")
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert max(map(len, result.stderr.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_command_lines_that_the_command_takes(name: str) -> None:
    for example in examples_in(show(name, "--help-all").stdout):
        words = shlex.split(example.rpartition("| ")[2])
        assert words.pop(0) == name
        COMMANDS[name].make_context(name, words)


def test_command_with_a_camera_in_the_environment_needs_no_arguments() -> None:
    result = CliRunner(env={"EDGE_CLASSIFY_CAMERA": "no-such-film.mp4"}).invoke(classify, [])
    assert result.exit_code == 1
    assert "Examples" not in result.stderr and "no-such-film.mp4" in result.stderr
