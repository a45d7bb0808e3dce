"""JSON that others may have written ends in a value or in one sentence, and nothing else reads any."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest
from edge_classify.edge.json_files import JsonError, NotJsonError, parse_json, read_json, structured

from .support.source_tree import ROOT

# Readers of what this program itself has sent through a pipe; some may import the standard library alone.
OF_ITS_PARENT = (
    "edge/json_files.py",
    "edge/child_loop.py",
    "edge/isolation/child.py",
    "edge/isolation/picture_child.py",
    "benchmarks/devices/far/channel.py",
    "benchmarks/devices/far/environment.py",
)


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    size: int
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    inner: tuple[Inner, ...] = ()
    colour: Colour | None = None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested deeper than 50 levels"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested deeper than 50 levels"),
        ("[" * 51 + "]" * 51, "nested deeper than 50 levels"),
        ("[1e999]", "1e999 is not a number"),
        ("[-Infinity, NaN]", "-Infinity is not a number"),
        ("9" * 10_000, "the number 99999999999999999999 is too large"),
        (str(2**63), "is too large"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' twice"),
        ('["\\ud800"]', r"no Unicode: '\\ud800'"),
        ('{"\\udfff": 1}', "no Unicode"),
        (b'{"a": "\xff"}', "not UTF-8 text"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16 text. Save it as UTF-8"),
        (b"[1]\0", "not JSON"),
        (b"", "not JSON"),
        ("[" + "[]," * 3_000_000 + "1]", "more than 5,000,000 values"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_text_that_cannot_be_used_is_refused_in_a_short_sentence(text: str | bytes, said: str) -> None:
    with pytest.raises(JsonError, match=said) as error:
        parse_json(text)
    assert len(str(error.value)) < 200


def test_text_that_is_no_json_at_all_is_told_from_json_that_is_refused() -> None:
    with pytest.raises(NotJsonError):
        parse_json("labels: cat")
    with pytest.raises(JsonError) as error:
        parse_json('{"a": 1, "a": 1}')
    assert not isinstance(error.value, NotJsonError)


def test_what_is_allowed_is_read_as_it_is() -> None:
    deep = "[" * 50 + "]" * 50
    assert parse_json(b"\xef\xbb\xbf" + '{"a": [1, 2.5, "ü", "\\ud83d\\ude00"]}'.encode()) == {
        "a": [1, 2.5, "ü", "\U0001f600"]
    }
    assert str(parse_json(deep)) == deep and parse_json(str(-(2**63) + 1)) == -(2**63) + 1
    assert parse_json("[NaN, Infinity]", finite=False)[1] == float("inf")
    assert parse_json('["\\udcff"]', any_text=True) == ["\udcff"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], r"it must hold an object. Received: \[\]"),
        ({}, "name is missing"),
        ({"name": 5}, "name has a value of the wrong type. Received: 5"),
        ({"name": "a", "inner": "bc"}, "inner has a value of the wrong type. Received: 'bc'"),
        ({"name": "a", "inner": [{"size": "1"}]}, "inner.size has a value of the wrong type. Received: '1'"),
        ({"name": "a", "inner": [{"size": 1, "shares": [None]}]}, "inner.shares has a value of the wrong"),
        ({"name": "a", "colour": "blue"}, "blue"),
    ],
)
def test_value_of_another_form_is_refused_by_its_field(value: object, said: str) -> None:
    with pytest.raises(JsonError, match=said):
        structured(Outer, value)


def test_value_of_the_form_becomes_a_dataclass_with_tuples_and_enumerations() -> None:
    value = {"name": "a", "inner": [{"size": 1, "shares": [0.5]}], "colour": "red", "of a newer version": 1}
    assert structured(Outer, value) == Outer("a", (Inner(1, (0.5,)),), Colour.RED)
    with pytest.raises(JsonError, match="of a newer version"):
        structured(Outer, value, exact=True)


def test_file_behind_a_link_a_pipe_a_folder_or_outside_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret.json").write_text('"secret"')
    (root / "link.json").symlink_to("../secret.json")
    (root / "parent").symlink_to("..")
    os.mkfifo(root / "pipe.json")
    for name, said in (
        ("../secret.json", r'leads out of its folder by "\.\."'),
        (str(tmp_path / "secret.json"), "absolute path"),
        ("link.json", "it is a link"),
        ("parent/secret.json", "lies behind parent, which is a link"),
        ("pipe.json", r"is a pipe \(FIFO\)"),
        ("folder", "is a folder"),
        ("a\0b", "zero byte"),
        ("n" * 300, "longer than a path may be"),
        ("", "no name of a file"),
    ):
        with pytest.raises(JsonError, match=said):
            read_json(root, name)
    (tmp_path / "to root").symlink_to("root")  # The user names it, so it may be a link.
    (root / "a.json").write_text("[1]")
    assert read_json(tmp_path / "to root", "a.json") == [1]
    with pytest.raises(JsonError, match="larger than 0 MiB"):
        read_json(root, "a.json", most=2)
    with pytest.raises(FileNotFoundError):
        read_json(root, "none.json")


def test_every_json_file_and_line_goes_through_the_one_reader() -> None:
    found = []
    for package in ("edge", "train", "convert", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
            names = {f"{f.value.id}.{f.attr}" for f in calls
                     if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name)}  # fmt: skip
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                        and node.module == "json" for alias in node.names}  # fmt: skip
            if names & {"json.load", "json.loads", "json.JSONDecoder"} or imported & {"load", "loads"}:
                found.append(path.relative_to(ROOT).as_posix())
    assert sorted(found) == sorted(OF_ITS_PARENT)
