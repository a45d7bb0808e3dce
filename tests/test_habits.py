"""What GitHub, Docker and coding agents read names only what this repository has."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]
from edge_classify.benchmarks.cli import main as benchmark
from edge_classify.convert.cli import main as convert
from edge_classify.edge.cli import main as classify
from edge_classify.train.cli import main as train
from PIL import Image

ROOT = Path(__file__).parent.parent
COMMANDS: dict[str, click.Command] = {
    "edge-train": train,
    "edge-convert": convert,
    "edge-classify": classify,
    "edge-benchmark": benchmark,
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def setup() -> configparser.RawConfigParser:
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def unknown_options(text: str) -> list[str]:
    """Return the commands in a text with the options that they don't have."""
    wrong = []
    for name, arguments in re.findall(r"(edge-(?:train|convert|classify|benchmark))\b([^\n`|;&)]*)", text):
        known = {option for each in COMMANDS[name].params for option in (*each.opts, *each.secondary_opts)}
        used = re.findall(r"(?<!\S)(--?[a-zA-Z][a-z0-9-]*)", arguments)
        wrong += [f"{name} {option}" for option in used if option not in known | {"--help", "-h"}]
    return wrong


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_calls_targets_and_scripts_that_exist_and_gives_no_job_more_than_it_needs(
    path: Path,
) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 60
        for step in job["steps"]:
            commands = step.get("run", "")
            assert set(re.findall(r"\bmake ([a-z-]+)", commands)) <= make_targets(), commands
            assert all((ROOT / name).is_file() for name in re.findall(r"\.ci/\w+", commands)), commands
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False


def test_workflow_tests_every_python_that_training_runs_on_and_both_processors() -> None:
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    classifiers = re.findall(r":: (3\.\d+)$", setup()["metadata"]["classifiers"], re.MULTILINE)
    assert matrix["python"] == [version for version in classifiers if version != "3.14"]
    assert "TensorFlow needs Python 3.10 to 3.13" in read("Makefile")
    assert matrix["system"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]


def test_release_publishes_by_trust_alone_and_nothing_else_may_ask_for_identities() -> None:
    jobs = yaml.safe_load(read(".github/workflows/release.yml"))["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert not any("secrets." in path.read_text(encoding="utf-8") for path in WORKFLOWS)
    made = read("Makefile") + read("release/sbom.py")
    assert "dist/edge-classify.cdx.json" in made
    assert any("dist/edge-classify.cdx.json" in str(step) for step in jobs["attest"]["steps"])


@pytest.mark.parametrize(
    "path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name
)
def test_form_asks_for_what_the_commands_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    fields = {each.get("id") for each in yaml.safe_load(text)["body"]}
    assert unknown_options(text) == []
    assert "board" in fields
    if path.name != "wish.yml":
        assert {"version", "doctor"} <= fields
        assert "edge-classify --doctor" in text


def test_dockerfile_installs_extras_that_exist_from_what_its_context_holds() -> None:
    text = read("Dockerfile")
    extras = {name for names in re.findall(r'"\.\[([a-z,]+)\]"', text) for name in names.split(",")}
    assert extras and extras <= set(setup()["options.extras_require"])
    held = set(re.findall(r"^!(\S+)$", read(".dockerignore"), re.MULTILINE))
    locks = re.findall(r"(?:requirements|benchmarks)/\S+\.txt", text)
    assert locks and all((ROOT / lock).is_file() and lock.split("/")[0] in held for lock in locks)
    assert {"train", "convert", "edge", "benchmarks", "setup.cfg", "README.md", "LICENSE", "NOTICE"} <= held
    assert all((ROOT / name).exists() for name in held)
    assert re.search(r"^USER \d+$", text, re.MULTILINE)


def test_dockerfile_finds_every_version_of_the_lock() -> None:
    (pattern,) = re.findall(r"sed -n 's/(.*)/\\1/p'", read("Dockerfile"))
    python = pattern.replace(r"\(", "(").replace(r"\)", ")")
    lines = [line for line in read("requirements/everything.txt").splitlines() if "==" in line]
    assert len(lines) > 50 and all(re.match(python, line) for line in lines)


def test_other_files_say_what_setup_and_ruff_say() -> None:
    metadata = setup()["metadata"]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == metadata["version"]
    assert citation["license"] == metadata["license"]
    assert citation["abstract"] == metadata["description"]
    assert [author["name"] for author in citation["authors"]] == [metadata["author"]]
    assert citation["keywords"] == metadata["keywords"].split(", ")
    (length,) = re.findall(r"^line-length = (\d+)", read("pyproject.toml"), re.MULTILINE)
    assert f"max_line_length = {length}\n" in read(".editorconfig")
    (mypy,) = re.findall(r"\$\(BIN\)/(mypy .*)", read("Makefile"))
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert f".venv/bin/{mypy}" in [hook["entry"] for hook in hooks]
    assert json.loads(read(".devcontainer/devcontainer.json"))["postCreateCommand"] == "make .venv/installed"


def pages_of(text: str) -> set[str]:
    """Return the files of the repository that a page's links lead to, without addresses."""
    return {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}


@pytest.mark.parametrize("name", ["SKILL.md", "llms.txt"])
def test_links_for_agents_lead_to_files_that_exist(name: str) -> None:
    assert [target for target in pages_of(read(name)) if not (ROOT / target).is_file()] == []


def test_llms_names_each_page_of_the_manual_once_with_a_line_about_it() -> None:
    text = read("llms.txt")
    entries = re.findall(r"^- \[[^\]]+\]\((\S+)\): \S.*$", text, re.MULTILINE)
    assert len(entries) == len(set(entries)) == len(re.findall(r"^- ", text, re.MULTILINE))
    assert set(entries) - {"SKILL.md", "README.md"} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")
    }
    assert re.match(r"# edge-classify\n\n> \S", text)


def test_skill_says_when_to_use_it_and_shows_options_that_exist() -> None:
    text = read("SKILL.md")
    head = yaml.safe_load(text.split("---")[1])
    assert head["name"] == "edge-classify"
    assert 50 < len(head["description"]) <= 1024
    assert unknown_options(text) == []


def test_ten_task_cards_have_their_parts_and_stand_in_skill_llms_and_manual() -> None:
    cards = sorted(path for path in (ROOT / "docs" / "tasks").glob("*.md") if path.name != "index.md")
    assert len(cards) == 10
    for card in cards:
        text = card.read_text(encoding="utf-8")
        for part in ("\n**Goal:** ", "\n```sh\n", "\n| exit status |", "\n**Pitfalls**\n"):
            assert part in text, (card.name, part)
        for place, start in (
            ("SKILL.md", "docs/tasks/"),
            ("mkdocs.yml", "tasks/"),
            ("docs/tasks/index.md", ""),
        ):
            assert f"{start}{card.name}" in read(place), (place, card.name)


def test_moving_picture_of_the_readme_loops_and_stays_below_two_megabytes() -> None:
    path = ROOT / "docs" / "pictures" / "demo.webp"
    assert path.stat().st_size < 2_000_000
    with Image.open(path) as picture:
        assert picture.width == 800
        assert picture.info["loop"] == 0
        assert getattr(picture, "n_frames", 1) > 50
