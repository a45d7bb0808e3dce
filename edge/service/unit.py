"""The text of a systemd user unit, and of the file with its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import OptionError
from .confinement import Confinement

# Words that systemd takes as they are, outside of quotes.
_PLAIN = re.compile(r"[A-Za-z0-9_/.,:=+@^~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# Restarted for ever, but not after a usage error (2), which no restart heals. Pauses that grow need systemd
# 254, and Debian 12 has 252; the runner itself waits longer and longer for lost cameras and brokers. 143 is
# a stop by systemd before the camera's first picture.
# A user's manager knows no network-online.target, which is why nothing is said about the network here.
_TEMPLATE = """\
[Unit]
Description=edge-classify: {name}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory=%h
Environment=PYTHONUNBUFFERED=1
{environment}{secrets}TimeoutStartSec=300
TimeoutStopSec=30
WatchdogSec=60
Restart=always
RestartSec=10
RestartPreventExitStatus=2
SuccessExitStatus=143
KillMode=mixed
{confinement}

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True)
class Unit:
    """The text of a unit, and of its EnvironmentFile; None where there are no secrets."""

    name: str
    text: str
    environment: str | None


def build_unit(
    name: str,
    command: Sequence[str],
    secrets: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    confinement: Confinement = Confinement(),  # noqa: B008 - frozen.
) -> Unit:
    """Return the unit that runs `command`, a program's absolute path and its arguments, as they are.

    `environment` are variables that everybody may read; `confinement` says what the program needs.

    `secrets` are environment variables that stand in a file beside it, NAME.env. `%h` and `%E` are the user's
    home and configuration folder, see systemd.unit(5). Raises OptionError for a broken name, and
    for arguments with control characters or bytes that are not UTF-8, which no unit can hold.
    """
    if not _NAME.fullmatch(name):
        raise OptionError(
            "a service's name is made of up to 64 letters, digits, - and _, and does not begin with - or _. "
            f"Received: {name}"
        )
    # The colon keeps systemd from replacing $VARIABLES in the arguments (systemd.service(5), since 244).
    words = [quote_argument(word) for word in (f":{command[0]}", *command[1:])]
    line = f"EnvironmentFile=%E/edge-classify/{name}.env\n" if secrets else ""
    private = "".join(f"{variable}={quote_value(value)}\n" for variable, value in secrets.items())
    public = "".join(
        f"Environment={quote_word(f'{variable}={value}')}\n"
        for variable, value in (environment or {}).items()
    )
    paths = [f"ReadWritePaths={quote_word(f'-{path}')}" for path in confinement.writable]
    text = _TEMPLATE.format(
        name=name,
        command=" ".join(words),
        environment=public,
        secrets=line,
        confinement="\n".join([*confinement.lines(), *paths]),
    )
    return Unit(name, text, private or None)


def quote_argument(text: str) -> str:
    """Return a word of a command line as systemd.syntax(7) quotes it, with its %specifiers off."""
    _refuse_unwritable(text, ascii(text))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else f'"{escaped}"'


def quote_word(text: str) -> str:
    """Return a word of a setting other than a command line: always in quotes, with %specifiers off."""
    _refuse_unwritable(text, ascii(text))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def quote_value(text: str) -> str:
    r"""Return a value of an EnvironmentFile, in double quotes, with \ ` $ and " escaped: systemd.exec(5)."""
    _refuse_unwritable(text, "a URL with a password or token")
    return '"' + re.sub(r'([\\`$"])', r"\\\1", text) + '"'


def _refuse_unwritable(text: str, shown: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        utf8 = False
    else:
        utf8 = True
    if not utf8 or _CONTROL.search(text):
        raise OptionError(
            "a service's command line may hold no line breaks or other control characters, and no names that "
            f"are not UTF-8. Received: {shown}"
        )
