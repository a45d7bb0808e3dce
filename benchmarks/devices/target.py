"""The machine that --on names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...edge.errors import OptionError

_HELP = "Give --on USER@HOST, an alias of ~/.ssh/config, ssh://USER@HOST:PORT, adb, or adb:SERIAL"
# Special characters of shells: a ProxyCommand of ~/.ssh/config may pass the name to one. OpenSSH refuses
# them too.
_UNSAFE = re.compile(r"""[\s'"`$\\;&<>|(){},*?!#]""")


@dataclass(frozen=True)
class Target:
    """A machine; `name` is the value of --on, which results and messages show."""

    name: str

    @staticmethod
    def parse(text: str) -> SshTarget | AdbTarget:
        """Read the value of --on. Raises OptionError for a text that cannot name a machine."""
        if text == "adb" or text.startswith("adb:"):
            return _parse_adb(text)
        return _parse_ssh(text)


@dataclass(frozen=True)
class SshTarget(Target):
    """A machine with an ssh server. `host` may be an alias of ~/.ssh/config; None is decided there."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class AdbTarget(Target):
    """An Android device; `serial` as `adb devices` lists it, None for the only one."""

    serial: str | None = None


def _parse_adb(text: str) -> AdbTarget:
    if text == "adb":
        return AdbTarget(text)
    serial = text.removeprefix("adb:")
    # Emulators, USB serials, HOST:PORT, and adb-XXXX._adb-tls-connect._tcp.
    if not re.fullmatch(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]%-]*", serial):
        raise OptionError(
            f"--on adb:SERIAL takes a serial number as `adb devices` lists it. Received: {text!r}"
        )
    return AdbTarget(text, serial)


def _parse_ssh(text: str) -> SshTarget:
    address = text.removeprefix("ssh://").removesuffix("/") if text.startswith("ssh://") else text
    user, at, place = address.rpartition("@")
    host, port = _split_port(place)
    for part, what in ((host, "host"), *(((user, "user"),) if at else ())):
        if not part or not part.isprintable() or _UNSAFE.search(part) or "/" in part:
            raise OptionError(f"--on {text!r} names no usable {what}. {_HELP}")
        if part.startswith("-"):
            raise OptionError(f"--on {text!r}: a {what} cannot begin with '-', as options do. {_HELP}")
    if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise OptionError(f"--on {text!r}: the port must be 1 to 65535. Received: {port!r}")
    return SshTarget(text, host, user or None, int(port) if port else None)


def _split_port(place: str) -> tuple[str, str | None]:
    """Split HOST, HOST:PORT, IPV6, [IPV6] and [IPV6]:PORT."""
    if match := re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?", place):
        return match[1], match[2]
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return host, port
    return place, None
