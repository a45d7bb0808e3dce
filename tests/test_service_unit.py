"""systemd reads from a unit what was meant: read back by systemd itself, and by the rules of its manual."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from edge_classify.edge.errors import OptionError
from edge_classify.edge.service.confinement import Confinement
from edge_classify.edge.service.unit import build_unit
from hypothesis import example, given
from hypothesis import strategies as st

from .support import system
from .support.systemd import parse_command, parse_environment

# Everything that systemd.service(5), systemd.unit(5) or systemd.syntax(7) gives a meaning to.
AWKWARD = (
    "$HOME", "${HOME}", "$$", "100%", "%h %%", "a b", "tab's \"quotes\"", "back\\slash\\", "\\x41", ";", "#",
    "", "-m=ü ñ/日本.tflite", "'", "\\", "@-:+!", "|", "a;b", "*", "~/x", "{}", " leading and trailing ",
)  # fmt: skip
_arguments = st.lists(
    st.text(st.characters(exclude_categories=("Cc", "Cs"))) | st.text("$%\\\"' ;{}:ah", max_size=8),
    max_size=6,
)


def _setting(text: str, name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return str(value)


@given(_arguments)
@example(list(AWKWARD))
def test_command_line_comes_back_as_it_was_by_the_manuals_rules(arguments: list[str]) -> None:
    command = ["/opt/my $venv/100%/edge-classify", *arguments]
    assert parse_command(_setting(build_unit("cam", command, {}).text, "ExecStart")) == command


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
@example("rtsp://user:$(id)`id`\"'\\${HOME}%h#;@host/x?a=b&c=d")
def test_secret_comes_back_as_it_was(value: str) -> None:
    unit = build_unit("cam", ["/bin/true"], {"EDGE_CLASSIFY_CAMERA": value})
    assert unit.environment is not None
    assert parse_environment(unit.environment) == {"EDGE_CLASSIFY_CAMERA": value}
    assert _setting(unit.text, "EnvironmentFile") == "%E/edge-classify/cam.env"


def _verify(path: Path) -> subprocess.CompletedProcess[str]:
    """Have systemd load the unit; with its debug log it prints what it understood."""
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "debug", "XDG_RUNTIME_DIR": str(path.parent)}
    command = [system.require("systemd-analyze"), "--user", "verify", str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_systemd_itself_finds_nothing_to_complain_about_and_reads_the_same_command(tmp_path: Path) -> None:
    program = tmp_path / "bin with $pace" / "edge-classify"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = build_unit("cam", [str(program), *AWKWARD], {"EDGE_CLASSIFY_CAMERA": "rtsp://u:p@h"})
    path = tmp_path / "cam.service"
    path.write_text(unit.text)
    result = _verify(path)
    assert result.returncode == 0, result.stderr
    about_us = [line for line in result.stderr.splitlines() if "cam.service:" in line and "job" not in line]
    assert not [line for line in about_us if re.search("unknown|ignoring|invalid|fail", line, re.IGNORECASE)]
    assert "Restart: always" in result.stdout
    shown = re.search(r"Command Line: (.*)", result.stdout)
    assert shown is not None
    assert _as_shown_by_systemd(shown[1]) == [str(program), *AWKWARD]


def _as_shown_by_systemd(text: str) -> list[str]:
    """Split a command line as systemd prints it: in double quotes, with \\ before what a shell would read."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    return [plain or re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in words]


@pytest.mark.parametrize(
    "argument", ["a\nExecStartPre=/bin/rm", "a\rb", "a\x00b", "\x1b[2J", "\x85", "\udcff"]
)
def test_argument_that_no_unit_can_hold_is_refused(argument: str) -> None:
    with pytest.raises(OptionError, match="control characters") as error:
        build_unit("cam", ["/bin/true", argument], {})
    assert str(error.value).isprintable()
    with pytest.raises(OptionError) as error:
        build_unit("cam", ["/bin/true"], {"EDGE_CLASSIFY_CAMERA": f"rtsp://u:geheim@h/{argument}"})
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a.service", "a@b", "-a", "ü", "x" * 65, "a\n"])
def test_name_that_no_service_can_have_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="a service's name"):
        build_unit(name, ["/bin/true"], {})


@pytest.mark.parametrize("needs", [Confinement(), Confinement((Path("/home/a b/100%"),), True, True, True)])
def test_systemd_knows_every_setting_and_finds_little_to_say_about_the_exposure(
    needs: Confinement, tmp_path: Path
) -> None:
    unit = build_unit("cam", ["/bin/true"], {}, {"https_proxy": 'http://p/"%h"'}, needs)
    path = tmp_path / "cam.service"
    path.write_text(unit.text)
    result = _verify(path)
    assert result.returncode == 0, result.stderr
    about_us = [line for line in result.stderr.splitlines() if "cam.service:" in line and "job" not in line]
    assert not [line for line in about_us if re.search("unknown|ignoring|invalid|fail", line, re.IGNORECASE)]
    command = [system.require("systemd-analyze"), "security", "--offline=true", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    (exposure,) = re.findall(r"Overall exposure level for cam.service: ([0-9.]+)", said)
    assert float(exposure) < 5.5  # It was 9.0 without these settings.
