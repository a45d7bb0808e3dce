"""Names of files and classes make no line of their own, and no terminal or browser obeys them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from edge_classify.edge.printable import one_line, printable

from .support.commands import run_command
from .support.source_tree import ROOT

NAME = "a\nFORGED\r\x1b[31m\x9b2J\u202e\u2028b"
SHOWN = r"a\x0aFORGED\x0d\x1b[31m\x9b2J\x202e\x2028b"


def test_text_with_controls_is_shown_by_codes() -> None:
    assert one_line(NAME) == SHOWN and printable(NAME).count("\n") == 1
    assert one_line("Straße 猫 \U0001f600") == "Straße 猫 \U0001f600"
    assert one_line("\ud800") == r"\xd800"


# {name} is a file without sense, {none} does not exist, {folder} is empty; all have hostile names.
WORDS = {
    "edge-classify": (
        ("{name}",), ("{folder}",), ("--{none}",), ("--model", "{name}", "{name}"),
        ("--labels", "{none}", "{name}"), ("-o", "{none}/x", "{name}"), ("--camera", "{none}"),
        ("--self-check", "{name}"), ("--threads", "{none}", "{name}"), ("--delegate", "./{none}", "{name}"),
    ),
    "edge-benchmark": (
        ("{name}",), ("--compare", "{name}", "{name}"), ("--on", "{none}", "{model}"),
        ("--data", "{folder}", "{model}"),
    ),
    "edge-convert": (
        ("--inspect", "{name}"), ("{folder}", "-o", "out"), ("{model}", "-o", "{name}"),
    ),
    "edge-train": (
        ("--audit-only", "{folder}"), ("{folder}", "-o", "{name}"),
        ("{folder}", "-o", "out", "--audit-only", "--image-labels", "{none}"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", WORDS)
def test_name_with_line_ends_and_escapes_makes_no_line_of_its_own(command: str, tmp_path: Path) -> None:
    names = {"name": f"f{NAME}", "none": f"n{NAME}", "folder": f"d{NAME}",
             "model": str(ROOT / "edge" / "default_model.tflite")}  # fmt: skip
    (tmp_path / names["name"]).write_bytes(b"{}")
    (tmp_path / names["folder"]).mkdir()
    for words in WORDS[command]:
        done = run_command(command, *(word.format(**names) for word in words), cwd=tmp_path)
        printed = done.stdout + done.stderr
        assert "Traceback" not in printed and "FORGED" in printed, (words, printed)
        assert not re.search("^FORGED|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", printed, re.MULTILINE), (
            words,
            printed,
        )


def test_all_html_comes_from_the_one_environment_that_escapes() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        shown = path.relative_to(ROOT).as_posix()
        if shown.split("/")[0] not in ("edge", "train", "convert", "benchmarks"):
            continue
        text = path.read_text(encoding="utf-8")
        if shown != "benchmarks/report/templates.py":
            assert not re.search(r"[^_]Environment\(|[^\w]Template\(|from_string\(", text), shown
        assert not re.search(r"<body|<table|<td|<p>|html\.escape", text, re.IGNORECASE), shown
    for path in sorted(ROOT.rglob("*.html")):
        if path.relative_to(ROOT).parts[0] in ("train", "benchmarks", "convert", "edge"):
            assert not re.search(r"\|\s*safe\b|autoescape\s+false", path.read_text(encoding="utf-8")), path
