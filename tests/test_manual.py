"""The manual's pages can be read as steps, name only options that exist, and are compared strictly enough."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from manual.commands import ROOT, PageError, pages, steps_of
from manual.links import wrong_links
from manual.options import PACKAGES, command_of, options_of, reference_of
from manual.run import StepError, difference, run_page, shown_part

PAGE = """
<!-- setup: echo first > file -->
<!-- status: 3 -->
```sh
cat file
seq 50
printf 'busy\\rdone\\n'
exit 3
```
<!-- output: from "first" to "7" -->
```text
```
<!-- output: from "48" -->
```text
```
<!-- not run: needs a camera -->
```sh
exit 1
```
"""


def page_of(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_steps_of_a_page_print_what_a_terminal_shows(tmp_path: Path) -> None:
    (printed,) = run_page(page_of(tmp_path, PAGE), tmp_path)
    first, last = (shown_part(printed, shown) for shown in printed.step.shown)
    assert first.splitlines() == ["first", *"1234567"]
    assert last.splitlines() == ["48", "49", "50", "done"]


def test_step_that_ends_otherwise_than_its_page_says_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"line 2: exit status 1, expected 0\n\$ false"):
        list(run_page(page_of(tmp_path, "\n```sh\nfalse\n```\n"), tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<!-- not run: -->\n```sh\nx\n```\n", "no step|say why"),
        ("<!-- not run: no -->\n```sh\nx\n```\n", "say why it is not run"),
        ("<!-- output -->\n```text\n```\n", "without a step"),
        ("<!-- status: 1 -->\ntext\n", "comes no block"),
        ("```sh\nx\n", "no end"),
    ],
)
def test_page_that_is_no_list_of_steps_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(PageError, match=reason):
        steps_of(page_of(tmp_path, text))


def test_outputs_differ_by_words_and_columns_but_not_by_numbers_and_times() -> None:
    page = "cnn: accuracy 94.4% (81.9% to 98.5%) on 36 images; trained in 59 s\n ─────\n a  1.20 ms"
    same = "cnn: accuracy 100.0% (90.4% to 100.0%) on 48 images;\ntrained in 1.5 min\n ──\n a  900 µs"
    assert difference(page, same) == ""
    assert "test images" in difference(page, same.replace("images", "test images"))
    assert difference(page, same.replace("a  900", "a  b  900")) != ""
    busy = (
        "\nNote: Other programs kept 1.5 cores busy (a 1,\nb 0.2), 1 at times. --details tells what to do.\n"
    )
    assert difference(f"{page}\nNext: x", f"{page}{busy}Next: x") == ""
    assert difference(f"{page}\nNext: x", f"{page}{busy}Next: y") != ""
    pattern = "golden_0.png differs by 0.00; answer mug, as it was"
    assert difference(pattern, pattern.replace("mug", "spoon")) == ""
    assert difference(pattern, pattern.replace("mug, as it was", "mug instead of spoon")) != ""


def test_which_file_is_the_fastest_may_differ_and_another_column_may_not() -> None:
    page = """Ship cnn_int8.tflite: the smallest of the fastest of 2 files, none of which is worse.
        file                median  memory
        ──────────────────────────────────
        cnn_dynamic.tflite  0.49 ms  51 MB
        cnn_int8.tflite     0.48 ms  50 MB

        file                verdict
        ──────────────────────────────────────────
        cnn_dynamic.tflite  as fast within 10 %, and its p99 is 0.57 ms
        cnn_int8.tflite     ship this
        Next: edge-classify -m cnn_int8.tflite"""
    slower = """Ship cnn_dynamic.tflite: the fastest of 2 files, none of which is worse.
        file                 median  memory  verdict
        ──────────────────────────────────────────────────────
        cnn_dynamic.tflite  0.49 ms   51 MB  ship this
        cnn_int8.tflite     0.58 ms   50 MB  1.2 times as slow
        Next: edge-classify -m cnn_dynamic.tflite"""
    assert difference(page, slower) == ""
    assert difference(page, slower.replace("memory", "load")) != ""
    assert difference(page, slower.replace("Next", "Then")) != ""


def _as_json(*labels: str) -> str:
    return json.dumps([{"label": label, "index": 0, "score": 0.1} for label in labels])


@pytest.mark.parametrize(
    ("shown", "printed", "other"),
    [
        ("1.jpg  mug 99%, spoon 1%, plate 0%", "1.jpg  mug 98%, plate 1%, spoon 1%", "1.jpg  cup 9%, mug 2%"),
        ("1.jpg  unsure (mug 94%, cup 6%)", "1.jpg  mug 96%, cup 4%", "1.jpg  unsure (cup 94%, mug 6%)"),
        ("a: 98%\nb: 1%\nc: 1%", "a: 99%\nc: 1%\nb: 0%", "b: 98%\na: 1%\nc: 1%"),
        (_as_json("a", "b", "c"), _as_json("a", "c", "b"), _as_json("b", "a", "c")),
        (
            "1.jpg,,,cnn_int8,a,1,b,0,c,0,x",
            "1.jpg,,,cnn_int8,a,1,c,0,b,0,x",
            "1.jpg,,,cnn_int8,b,1,a,0,c,0,x",
        ),
    ],
)
def test_alternatives_may_change_places_with_the_processor_and_the_answer_may_not(
    shown: str, printed: str, other: str
) -> None:
    assert difference(shown, printed) == ""
    assert difference(shown, other) != ""


@pytest.mark.parametrize("page", pages())
def test_commands_of_a_page_name_only_options_that_exist(page: str) -> None:
    known = {
        name: {opt for group in options_of(name).values() for option in group for opt in option.opts}
        for name in PACKAGES
    }
    for step in steps_of(ROOT / page):
        for name, arguments in re.findall(
            r"(?<![\w-])(edge-\w+) ([^|;&\n]*)", step.code.replace("\\\n", " ")
        ):
            used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", arguments))
            assert name in known and used <= {*known[name], "--help", "--version"}, (step.line, arguments)


def _variables_of_the_code() -> set[str]:
    """Return the names of environment variables that the four packages read or set."""
    forms = (
        r'environ(?:ment)?(?:\.get|\.setdefault)?[\[(]\s*"(\w+)"',
        r'"(\w+)" (?:not )?in os\.environ',
        r'envvar="(\w+)"',
        r'"(EDGE_C\w+_\w+)"',
        r'"(OPENCV_FFMPEG_\w+)"',
    )
    texts = [
        path.read_text(encoding="utf-8") for name in PACKAGES.values() for path in (ROOT / name).rglob("*.py")
    ]
    found = {name for text in texts for form in forms for name in re.findall(form, text)}
    return {name for name in found if not name.endswith("_")}


def test_page_of_environment_variables_has_those_that_the_code_reads() -> None:
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    code = _variables_of_the_code()
    assert "EDGE_CLASSIFY_CACHE_LIMIT" in code
    assert code - named == set()
    # Through loops over names, platformdirs, OpenSSL, and what rich and click ask for the width.
    others = {
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "COLUMNS",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GLIBC_TUNABLES",
        "LD_PRELOAD",
        "MALLOC_ARENA_MAX",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TOP_PAD_",
        "MALLOC_TRIM_THRESHOLD_",
    }
    assert named - code - others == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_reference_of_a_command_shows_what_its_whole_help_shows(name: str) -> None:
    shown = CliRunner().invoke(command_of(name), ["--help-all"], prog_name=name)
    assert shown.exit_code == 0, shown.output
    reference = re.sub(r"\\(.)", r"\1", html.unescape(reference_of(name)))
    headings = re.split(r"^#{2,3} ", reference, flags=re.MULTILINE)[1:]
    sections = re.split(r"^(?=\S.*:$)", shown.output, flags=re.MULTILINE)[1:]
    # Without colons, which end a section's name in the help alone; it also breaks words at hyphens.
    whole, entries = "".join(sections), re.sub(r"`|\{#[\w-]+\}", "", "".join(headings))
    assert len(whole) > 1500
    assert re.sub(r"[\s:]", "", whole) == re.sub(r"[\s:]", "", entries)


# The changelog tells of files as they were.
DOCUMENTS = [
    *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"), *(ROOT / "docs").rglob("*.md"),
    ROOT / "manual/README.md",
]  # fmt: skip


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_a_document_lead_to_files_and_headings(path: Path) -> None:
    assert wrong_links(path, ROOT) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A `b`: c\n", encoding="utf-8")
    page = page_of(
        tmp_path,
        "[a](there.md) [b](there.md#a-b-c) [c](https://example.org/x)\n"
        "[d](gone.md) [e](there.md#c) [f](../up.md) [g](http://example.org) ![h](no.png)\n"
        "`[i](code.md)`\n```\n[j](block.md)\n```\n",
    )
    assert wrong_links(page, tmp_path) == [
        "gone.md",
        "there.md#c",
        "../up.md",
        "http://example.org",
        "no.png",
    ]


def test_every_page_is_in_the_list_of_the_site() -> None:
    listed = re.findall(
        r"^ +- .*?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(there)
