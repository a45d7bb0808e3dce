"""The system's ssh: its command line, and its messages in plain words."""

from __future__ import annotations

import os
import re
import shlex

from ...edge.errors import BenchmarkError
from ...edge.printable import one_line
from .target import SshTarget

# Holds the command of another client, or ssh with other options.
VARIABLE = "EDGE_CLASSIFY_SSH"
CONNECT_SECONDS = 15
_SHOWN = 300  # Characters of a message of ssh, or of the other machine.
# ssh may ask nothing, since nobody could answer. The user's own configuration decides how host keys are
# checked: no option here changes it.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",  # A master connection would keep our pipes open.
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}


class LinkError(BenchmarkError):
    """A connection cannot be made, or ended; `lasting` where another attempt would not help."""

    def __init__(self, text: str, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


def ssh_command(target: SshTarget, remote: str) -> list[str]:
    """Return the arguments that run `remote`, a line for a shell, on the target."""
    try:
        client = shlex.split(os.environ.get(VARIABLE, "")) or ["ssh"]
    except ValueError as error:
        raise BenchmarkError(f"{VARIABLE} cannot be read as a command ({error})") from None
    options = [f"-o{name}={value}" for name, value in _OPTIONS.items()]
    user = ["-l", target.user] if target.user else []
    port = ["-p", str(target.port)] if target.port else []
    return [*client, *options, *user, *port, "--", target.host, remote]


def explain(target: SshTarget, messages: str) -> LinkError:
    """Return the error for a connection that could not be made, by ssh's messages."""
    for pattern, lasting, text in _REASONS:
        if match := re.search(pattern, messages, re.IGNORECASE | re.DOTALL):
            said = {key: one_line(text)[:_SHOWN] for key, text in match.groupdict("").items()}
            groups = {"name": target.name, "host": target.host, **said}
            return LinkError(text.format(**groups), lasting)
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    reason = one_line(lines[-1])[:_SHOWN] if lines else "ssh ended without a message"
    return LinkError(f"{target.name}: no connection ({reason}). Try: ssh {target.name}")


# A pattern for OpenSSH's message, whether the error lasts, and our message.
_REASONS = (
    (
        r"IDENTIFICATION HAS CHANGED.*?Offending (?P<kind>\S+) key in (?P<file>[^\n\r]+)",
        True,
        "{name}: its host key is not the one in {file} ({kind}). It may be another machine, or an attacker: "
        "the check is never skipped. If you know why the key is new, remove that line with: "
        "ssh-keygen -R {host}",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        True,
        "{name}: its host key is not known here yet. Run `ssh {name}` once, compare the fingerprint, and "
        "accept it",
    ),
    (
        r"Permission denied \((?P<methods>[^)]*)\)|Too many authentication failures",
        True,
        "{name}: it does not accept a login without a password ({methods}), and none can be typed here. "
        "Install a key with: ssh-copy-id {name}",
    ),
    (
        r"Could not resolve hostname",
        False,
        "{name}: no machine with this name was found. Check the name, and that it is on the network",
    ),
    (
        r"Connection refused",
        False,
        "{name}: it refuses the connection: no ssh server runs there, or on another port. On a Raspberry Pi, "
        "switch it on with: sudo raspi-config nonint do_ssh 0",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        False,
        "{name}: it does not answer. Check that it is switched on, and on this network",
    ),
)
