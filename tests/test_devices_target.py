"""What --on may name."""

from __future__ import annotations

import pytest
from edge_classify.benchmarks.devices.ssh import ssh_command
from edge_classify.benchmarks.devices.target import AdbTarget, SshTarget, Target
from edge_classify.edge.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("raspberrypi", "raspberrypi", None, None),
        ("pi@raspberrypi.local", "raspberrypi.local", "pi", None),
        ("pi@10.0.0.7:2222", "10.0.0.7", "pi", 2222),
        ("ssh://pi@host:2222/", "host", "pi", 2222),
        ("fe80::1%eth0", "fe80::1%eth0", None, None),
        ("pi@[fe80::1]:22", "fe80::1", "pi", 22),
        ("[::1]", "::1", None, None),
        ("me@company.org@host", "host", "me@company.org", None),
        ("ssh://adb", "adb", None, None),
    ],
)
def test_ssh_targets_are_read_as_ssh_users_write_them(
    text: str, host: str, user: str | None, port: int | None
) -> None:
    assert Target.parse(text) == SshTarget(text, host, user, port)


@pytest.mark.parametrize(
    "text",
    ["", "@", "pi@", "@host", "-oProxyCommand=x", "pi@-oProxyCommand=x", "-l@host", "ssh://-v", "a b",
     "pi@a b", "host\n", "ho\x1bst", "host;id", "$(id)", "`id`@host", "host:0", "host:65536", "host:x",
     "host:", "[::1]:", "../host", "[-v]", "adb:", "adb:-s", "adb:a b", "adb:$(id)"],
)  # fmt: skip
def test_targets_that_could_be_options_or_commands_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--on"):
        Target.parse(text)


def test_android_devices_are_named_by_serial() -> None:
    assert Target.parse("adb") == AdbTarget("adb", None)
    assert Target.parse("adb:192.168.1.5:5555") == AdbTarget("adb:192.168.1.5:5555", "192.168.1.5:5555")


@given(st.text(max_size=30))
def test_whatever_is_accepted_stays_behind_the_options_of_ssh(text: str) -> None:
    try:
        target = Target.parse(text)
    except OptionError:
        return
    if isinstance(target, AdbTarget):
        assert not (target.serial or "").startswith("-")
        return
    command = ssh_command(target, "remote")
    assert command[-3:] == ["--", target.host, "remote"]
    assert not target.host.startswith("-")
    assert not (target.user or "").startswith("-")
    assert not set(f"{target.host}{target.user}") & set(" \n\t;'\"`$|&<>")


def test_ssh_gets_no_options_about_host_keys() -> None:
    options = " ".join(ssh_command(SshTarget("pi", "pi"), "remote")).lower()
    assert "batchmode=yes" in options
    assert "connecttimeout=" in options
    assert not [name for name in ("hostkey", "known", "hostip") if name in options]
