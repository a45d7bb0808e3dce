"""--install-service makes a unit of the command line that was typed, and keeps its secrets apart."""

from __future__ import annotations

import os
import pty
import re
import stat
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import click
import pytest
from edge_classify.edge.cli import main
from edge_classify.edge.errors import OptionError
from edge_classify.edge.outputs.output_names import at_start, with_start
from edge_classify.edge.service.arguments import CommandLine, for_service
from edge_classify.edge.service.confinement import needs_of
from edge_classify.edge.service.install import RULES, find_program
from hypothesis import given
from hypothesis import strategies as st

from .support.commands import BIN, run_command
from .support.pictures import make_picture
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


def _unit(
    folder: Path, *arguments: str, **variables: str
) -> tuple[str, list[str], subprocess.CompletedProcess[str]]:
    """Install a service; return its unit, its command line, and what was printed."""
    result = run_command(
        "edge-classify", *arguments, "--install-service", "cam", "--yes", "--force",
        env={"XDG_CONFIG_HOME": str(folder / "config"), **variables}, cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    unit = (folder / "config/systemd/user/cam.service").read_text()
    (command,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    return unit, parse_command(command)[1:], result


def test_output_of_a_service_is_a_new_file_at_each_start_and_nothing_is_replaced(tmp_path: Path) -> None:
    _, arguments, result = _unit(tmp_path, "--camera", "0", "--json", "--output", "answers.jsonl")
    output = next(each for each in arguments if each.startswith("--output="))
    assert output == f"--output={tmp_path}/answers_{{start}}.jsonl"
    assert "--force" not in arguments
    assert f"Each start writes a file of its own: {tmp_path}/answers_{{start}}.jsonl" in result.stdout
    make_picture("red disc", 1).save(tmp_path / "photo.png")
    for _ in range(3):  # As systemd starts it again and again.
        done = run_command("edge-classify", "--json", output, tmp_path / "photo.png")
        assert done.returncode == 0, done.stderr
    written = list(tmp_path.glob("answers_*.jsonl"))
    assert len(written) == 3
    assert all(
        re.fullmatch(r"answers_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d)?\.jsonl", path.name) for path in written
    )
    assert all(path.read_text().count("\n") == 1 for path in written)


def test_name_that_tells_the_start_already_is_kept() -> None:
    at = datetime(2026, 5, 1, 8, 30)
    assert with_start(Path("/a/b.csv")) == Path("/a/b_{start}.csv")
    assert with_start(Path("/a/{start}.csv")) == Path("/a/{start}.csv")
    assert at_start(Path("/nowhere/{start}-x.csv"), at) == Path("/nowhere/2026-05-01T08-30-00-x.csv")
    assert at_start(Path("/nowhere/x.csv"), at) == Path("/nowhere/x.csv")


def test_folder_of_annotated_pictures_is_added_to_at_each_start(tmp_path: Path) -> None:
    unit, arguments, _ = _unit(tmp_path, "--camera", "0", "--save-annotated", "seen")
    assert "--force" in arguments
    assert f'ReadWritePaths="-{tmp_path}"' in unit


def test_certificates_and_proxies_are_taken_over_and_shown_but_for_passwords(tmp_path: Path) -> None:
    variables = {
        "SSL_CERT_FILE": "own.pem", "SSL_CERT_DIR": "/etc/own", "HTTPS_PROXY": "http://proxy:3128",
        "http_proxy": "http://me:geheim@proxy:3128", "no_proxy": "localhost,.lan",
    }  # fmt: skip
    unit, _, result = _unit(tmp_path, "--camera", "0", "--webhook", "https://h/x", **variables)
    assert "geheim" not in unit + result.stdout + result.stderr
    for line in (
        f"SSL_CERT_FILE={tmp_path}/own.pem", "SSL_CERT_DIR=/etc/own", "https_proxy=http://proxy:3128",
        "no_proxy=localhost,.lan",
    ):  # fmt: skip
        assert f'Environment="{line}"' in unit and line in result.stdout
    secrets = (tmp_path / "config/edge-classify/cam.env").read_text()
    assert 'http_proxy="http://me:geheim@proxy:3128"' in secrets
    assert "http_proxy=***" in result.stdout
    local, _, _ = _unit(tmp_path, "--camera", "0", **variables)
    assert "proxy" not in local and "SSL_CERT" not in local


@pytest.mark.parametrize(
    ("arguments", "there", "absent"),
    [
        (("--camera", "0"), ["PrivateNetwork=yes", "AF_UNIX$"], ["PrivateDevices"]),
        (("--camera", "rtsp://cam/x"), ["PrivateDevices=yes", "AF_INET AF_INET6"], ["PrivateNetwork"]),
        (("--camera", "0", "--publish", "mqtt://h/t"), ["AF_INET "], ["PrivateNetwork", "PrivateDevices"]),
        (("--camera", "0", "--collect", "kept", "--top", "1"), [], ["geheim"]),
    ],
)
def test_service_may_do_what_its_options_need_and_no_more(
    arguments: tuple[str, ...], there: list[str], absent: list[str], tmp_path: Path
) -> None:
    unit, _, _ = _unit(tmp_path, *arguments)
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=read-only", *there):
        assert re.search(line, unit, re.MULTILINE), line
    assert not [name for name in absent if name in unit]


def test_temporary_folder_is_the_systems_only_where_something_lies_in_it() -> None:
    def lines(options: dict[str, object], *arguments: str) -> tuple[str, ...]:
        return needs_of(options, arguments).lines()

    assert "PrivateTmp=yes" in lines({"camera": "0"}, "--camera=0", "--model=/home/x/m.tflite")
    assert "PrivateTmp=yes" not in lines({"camera": "0"}, "--model=/tmp/m.tflite")
    assert "PrivateTmp=yes" not in lines({"paths": ("/tmp/x",)}, "/tmp/x")
    assert "PrivateTmp=yes" not in lines({"camera": "0", "show": True})
    assert "PrivateTmp=yes" not in lines({"output": Path("/var/tmp/o.json")})
