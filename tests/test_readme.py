"""The documents name only commands and options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from edge_classify.benchmarks.cli import main as benchmark
from edge_classify.convert.cli import main as convert
from edge_classify.edge.cli import main as classify
from edge_classify.train.cli import main as train

from fuzz.run import main as fuzz
from studies.faults.__main__ import main as faults
from studies.peers.run import main as peers
from studies.reduced_decode import main as reduced_decode

ROOT = Path(__file__).parent.parent
COMMANDS: dict[str, click.Command] = {
    "edge-train": train,
    "edge-convert": convert,
    "edge-classify": classify,
    "edge-benchmark": benchmark,
}


def _options(command: click.Command) -> set[str]:
    return {name for param in command.params for name in param.opts}


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_names_only_options_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    known = set().union(
        *(_options(command) for command in (*COMMANDS.values(), faults, fuzz, peers, reduced_decode)),
        {"--help", "--help-all", "--version"},
    )
    foreign = {
        "--system-site-packages", "--no-deps", "--quiet", "--editable", "--check", "--fix", "--dist",
        "--require-hashes", "--only-binary", "--no-build-isolation", "--upgrade",
        "--strict", "--check-extern", "--no-status", "--until",
    }  # fmt: skip
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)) <= known | foreign


def test_readme_shows_every_command_with_options_of_its_own() -> None:
    commands = re.findall(r"`(edge-\w+) ([^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {name for name, _ in commands} == set(COMMANDS)
    for name, arguments in commands:
        used = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", arguments))
        assert used <= _options(COMMANDS[name]), (name, arguments)


def test_readme_is_one_page_that_fits_a_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    options = [param for param in COMMANDS[name].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == ["make demo", "make test"]
