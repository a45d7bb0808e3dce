"""--install-service makes a unit of the command line that was typed, and keeps its secrets apart."""

from __future__ import annotations

import os
import pty
import re
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from edge_classify.edge.cli import main
from edge_classify.edge.errors import OptionError
from edge_classify.edge.service.arguments import CommandLine, for_service
from edge_classify.edge.service.install import RULES, find_program
from hypothesis import given
from hypothesis import strategies as st

from .support.commands import BIN, run_command
from .support.systemd import parse_command, parse_environment

_CAMERA = "rtsp://us er:geheim 1$@cam.local/live?token=geheim2"


def _rewrite(*arguments: str) -> CommandLine:
    with click.Context(main) as context:
        main.parse_args(context, list(arguments))
        return for_service(context, RULES)


def _parameters(arguments: tuple[str, ...]) -> dict[str, object]:
    with click.Context(main) as context:
        main.parse_args(context, list(arguments))
        return context.params


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type commands in."""
    monkeypatch.chdir(tmp_path)
    for name in ("film.mp4", "0", "auto.txt"):
        (tmp_path / name).touch()
    return tmp_path


def test_command_line_means_the_same_as_the_one_typed_wherever_it_runs(folder: Path) -> None:
    typed = (
        "-m", "a.tflite", "--model=sub/../b.tflite", "-rk5", "--json", "pictures", "--top", "7", "/x/y.jpg",
        "--delegate-option", "device=usb", "--delegate-option=-a=-b", "--install-service", "cam", "--yes",
    )  # fmt: skip
    line = _rewrite(*typed)
    assert line.secrets == {}
    given_, kept = _parameters(typed), _parameters(line.arguments)
    assert kept.pop("models") == (folder / "a.tflite", folder / "b.tflite")
    assert kept.pop("paths") == (str(folder / "pictures"), "/x/y.jpg")
    assert (kept.pop("service"), kept.pop("yes")) == (None, False)
    assert kept == {name: given_[name] for name in kept}


@pytest.mark.parametrize(
    ("camera", "meant"),
    [
        ("film.mp4", "{folder}/film.mp4"),
        ("0", "0"),
        ("auto", "auto"),
        ("http://cam/x.mjpg", "http://cam/x.mjpg"),
    ],
)
def test_camera_that_is_a_file_becomes_absolute_and_others_stay(
    camera: str, meant: str, folder: Path
) -> None:
    assert _rewrite("--camera", camera).arguments == (f"--camera={meant.format(folder=folder)}",)


def test_urls_with_secrets_leave_the_command_line(folder: Path) -> None:
    hooks = ("https://hooks.example.org/geheim", "https://other.example.org/a b")
    line = _rewrite(
        "--camera", _CAMERA, "--publish", "mqtt://u:geheim@h/t", "--webhook", hooks[0], "--webhook", hooks[1]
    )
    assert line.arguments == ()
    assert line.secrets == {
        "EDGE_CLASSIFY_CAMERA": _CAMERA,
        "EDGE_CLASSIFY_PUBLISH": "mqtt://u:geheim@h/t",
        "EDGE_CLASSIFY_WEBHOOK": f"{hooks[0]} {quote(hooks[1], safe='/:')}",
    }


def test_fingerprint_of_a_camera_stays_on_the_command_line_where_its_address_is_secret(folder: Path) -> None:
    digits = "0a" * 32
    line = _rewrite("--camera", "https://me:geheim@cam.local/live", "--tls-fingerprint", digits)
    assert line.arguments == ("--tls-fingerprint=" + ":".join(["0A"] * 32),)
    assert line.secrets == {"EDGE_CLASSIFY_CAMERA": "https://me:geheim@cam.local/live"}


def test_broker_without_a_password_stays_on_the_command_line(folder: Path) -> None:
    assert _rewrite("--publish", "mqtt://h/t") == CommandLine(("--publish=mqtt://h/t",), {})


def test_what_came_from_the_environment_is_written_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_MODEL", "a.tflite")
    monkeypatch.setenv("EDGE_CLASSIFY_WEBHOOK", "https://a/geheim https://b/")
    line = _rewrite("--camera", "0")
    assert line.arguments == ("--camera=0", f"--model={folder / 'a.tflite'}")
    assert line.secrets == {"EDGE_CLASSIFY_WEBHOOK": "https://a/geheim https://b/"}


def test_list_on_stdin_is_refused() -> None:
    with pytest.raises(OptionError, match="instead of -"):
        _rewrite("-")


def test_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match="not found"):
        find_program("/nowhere/edge-classify")


@given(
    st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), min_size=1), min_size=1, max_size=3)
)
def test_webhooks_come_back_from_the_variable_as_click_splits_it(names: list[str]) -> None:
    hooks = [f"https://host/{name}" for name in names]
    line = _rewrite(*(f"--webhook={hook}" for hook in hooks))
    text = line.secrets["EDGE_CLASSIFY_WEBHOOK"]
    assert click.STRING.split_envvar_value(text) == hooks


def _install(config: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run_command(
        "edge-classify", "--camera", _CAMERA, "--top", "2", "--install-service", "cam", *more,
        env={"XDG_CONFIG_HOME": str(config)}, cwd=config,
    )  # fmt: skip


def test_unit_and_secrets_are_shown_written_and_what_to_do_next_is_said(tmp_path: Path) -> None:
    result = _install(tmp_path, "--yes")
    assert result.returncode == 0, result.stderr
    assert "geheim" not in result.stdout + result.stderr
    unit = (tmp_path / "systemd/user/cam.service").read_text()
    assert unit in result.stdout
    (command,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    assert parse_command(command) == [str(BIN / "edge-classify"), "--top=2"]
    secrets = tmp_path / "edge-classify/cam.env"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert parse_environment(secrets.read_text()) == {"EDGE_CLASSIFY_CAMERA": _CAMERA}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["cam.env", "cam.service"]
    assert "systemctl --user enable --now cam" in result.stdout
    assert "loginctl enable-linger" in result.stdout


def test_service_that_exists_is_replaced_only_with_force(tmp_path: Path) -> None:
    assert _install(tmp_path, "--yes").returncode == 0
    path = tmp_path / "systemd/user/cam.service"
    path.write_text("mine")
    refused = _install(tmp_path, "--yes")
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert path.read_text() == "mine"
    assert _install(tmp_path, "--yes", "--force").returncode == 0
    assert "ExecStart=" in path.read_text()
    assert "--force" not in path.read_text()


def test_without_a_terminal_nothing_is_written_unless_it_was_agreed_to(tmp_path: Path) -> None:
    result = _install(tmp_path)
    assert result.returncode == 1
    assert "ExecStart=" in result.stdout
    assert "--yes" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1)])
def test_at_a_terminal_it_is_asked(answer: str, status: int, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [str(BIN / "edge-classify"), "--camera", "0", "--install-service", "cam"]
    os.write(ours, f"{answer}\n".encode())
    result = subprocess.run(
        command, stdin=theirs, capture_output=True, timeout=60, check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert result.returncode == status, result.stderr
    assert bool(list(tmp_path.iterdir())) == (status == 0)
