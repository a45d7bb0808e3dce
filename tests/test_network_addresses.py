"""What of an address may be shown, and what the log replaces wherever it turns up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from edge_classify.edge import log
from edge_classify.edge.console import Command, say
from edge_classify.edge.errors import OptionError, SourceError
from edge_classify.edge.sources.addresses import keep_secrets, parse_address, redact
from hypothesis import assume, given
from hypothesis import strategies as st

_EXAMPLE = "https://example.org/x"


@pytest.fixture(autouse=True)
def forgetful_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_log", log._Log())


@given(st.text(min_size=4))
def test_password_is_never_shown_whatever_is_in_it(password: str) -> None:
    url = f"rtsp://user:{password}@cam.local/live"
    assume(password not in "rtsp://***@cam.local/live")
    assert redact(url) == "rtsp://***@cam.local/live"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://cam/x?token=1#y", "http://cam/x?***"),
        ("http://cam/x#token", "http://cam/x#***"),
        ("http://cam/x", "http://cam/x"),
        ("film@home.mp4", "film@home.mp4"),
        ("0", "0"),
    ],
)
def test_query_and_fragment_are_hidden_and_what_is_no_url_is_left_alone(url: str, shown: str) -> None:
    assert redact(url) == shown


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=4))
def test_password_of_an_address_is_replaced_wherever_it_turns_up(password: str) -> None:
    from urllib.parse import quote

    url = f"rtsp://user:{quote(password, safe='')}@cam.local/live?size=640x480&api_key=geheimnis"
    keep_secrets(url)
    assert password not in log.scrub(f"cannot log in with <{password}> today").replace("***", "")
    assert log.scrub(f"opening {url}").count("***") >= 2
    assert "geheimnis" not in log.scrub("geheimnis")
    assert log.scrub("640x480") == "640x480"


def test_short_password_does_not_tear_up_words() -> None:
    keep_secrets("rtsp://user:abc@host/")
    assert log.scrub("abcdef") == "abcdef"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://u:ge/heim@host/x", "In a password, / ? # @ and : are written"),
        ("https://u:ge#heim@host/x", "In a password"),
        ("https://host:0/", "must name a possible host"),
        ("https://host:x/", "impossible host or port"),
        ("https://[::1/", "impossible host or port"),
        ("https://a b/", "must name a possible host"),
        ("https://a\x00b/", "must name a possible host"),
        ("https://" + "a" * 64 + ".org/", "impossible host or port"),
        ("https:u:geheim@host", "must name a possible host"),
        ("http:/u:geheim@host", "must name a possible host"),
        ("u:geheim@host", "must begin with http:// or https://, such as https://example.org/x"),
        ("ssh://u:geheim@host", "must begin with"),
    ],
)
def test_address_that_cannot_be_one_is_refused_without_showing_its_password(url: str, part: str) -> None:
    with pytest.raises(OptionError) as error:
        parse_address(url, "--webhook", ("http", "https"), _EXAMPLE)
    assert part in str(error.value)
    assert "heim" not in str(error.value)


def test_parts_of_an_address_are_unescaped_and_its_representation_shows_no_secret() -> None:
    address = parse_address(
        "https://us%40er:ge%2Fheim@[::1]:8443/geheim?geheim#geheim", "--webhook", ("https",), _EXAMPLE
    )
    assert (address.user, address.password, address.host, address.port) == ("us@er", "ge/heim", "::1", 8443)
    assert address.shown == "https://[::1]:8443"
    assert "heim" not in repr(address)


def test_json_log_holds_time_level_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    log.use_format("json")
    keep_secrets("rtsp://user:geheim@host/")
    say("geheim ist\ngrün", "warning", camera="rtsp://geheim", frames=3)
    line = capsys.readouterr().err
    record = json.loads(line)
    assert line.isascii()
    assert line.count("\n") == 1
    time = record.pop("time")
    assert len(time) == len("2026-01-01T00:00:00.000Z")
    assert record == {
        "level": "warning", "message": "*** ist\ngrün", "camera": "rtsp://***", "frames": 3
    }  # fmt: skip


def test_text_log_has_priorities_only_where_stderr_is_the_journal(tmp_path: Path) -> None:
    code = "from edge_classify.edge.console import say; say('a\\nb', 'warning'); say('c'); say('d', 'error')"

    def output(stream: str | None) -> str:
        path = tmp_path / "stderr"
        with path.open("w") as file:
            status = os.fstat(file.fileno())
            name = stream or f"{status.st_dev}:{status.st_ino}"
            environment = {**os.environ, "JOURNAL_STREAM": name}
            subprocess.run([sys.executable, "-c", code], stderr=file, env=environment, check=True)
        return path.read_text()

    assert output(None) == "<4>a\\x0ab\n<6>c\n<3>d\n"
    assert output("1:1") == output("nonsense") == "a\\x0ab\nc\nd\n"


def test_error_that_ends_a_command_is_a_line_of_the_log_without_the_password() -> None:
    @click.command(cls=Command)
    @click.option("--log", "log_format")
    def fail(log_format: log.Format) -> None:
        log.use_format(log_format)
        keep_secrets("rtsp://user:geheim@host/")
        raise SourceError("rtsp://geheim does not open")

    text = CliRunner().invoke(fail, ["--log", "text"])
    assert (text.exit_code, text.stderr) == (1, "Error: rtsp://*** does not open\n")
    record = json.loads(CliRunner().invoke(fail, ["--log", "json"]).stderr)
    assert (record["level"], record["message"]) == ("error", "Error: rtsp://*** does not open")
