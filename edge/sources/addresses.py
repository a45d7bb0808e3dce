"""URLs that users type, their parts, and how they may be shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import OptionError
from ..log import keep_secret

_SECRET_NAMES = re.compile(r"pass|pwd|token|key|secret|auth|sig|code", re.IGNORECASE)
# What goes over the network as it is, and the same with TLS.
_ENCRYPTED = {"http": "https", "rtsp": "rtsps", "rtmp": "rtmps", "mqtt": "mqtts"}
_NOT_IN_HOSTS = re.compile(r"[^\w.:%-]")


@dataclass(frozen=True)
class Address:
    """The parts of a URL. `user` and `password` are unescaped, `path` and `query` as they were typed."""

    scheme: str
    host: str
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    path: str = field(repr=False)
    query: str = field(repr=False)
    fragment: str = field(repr=False)

    @property
    def place(self) -> str:
        """Host and port as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Scheme, host and port: messages show only these, since a path may hold a token."""
        return f"{self.scheme}://{self.place}"


def redact(name: str) -> str:
    """Return a URL without its login, query and fragment, which may be secret; other text unchanged.

    Everything before the last @ is removed, since people forget to escape the slashes of a password.
    """
    scheme, separator, rest = name.partition("://")
    if not separator:
        return name
    hidden = "***@" if "@" in rest else ""
    address = rest.rpartition("@")[2]
    end = re.search(r"[?#]", address)
    shown = f"{address[: end.start()]}{end[0]}***" if end else address
    return f"{scheme}://{hidden}{shown}"


def keep_secrets(url: str) -> None:
    """Have the log replace the password and the tokens of this URL in all messages."""
    from urllib.parse import parse_qsl, unquote

    rest = url.partition("://")[2]
    login, _, address = rest.rpartition("@")
    user, colon, password = login.partition(":")
    for secret in (password if colon else user, _login_as_parsed(rest)):
        keep_secret(secret)
        keep_secret(unquote(secret))
    query = address.partition("?")[2].partition("#")[0]
    for name, value in parse_qsl(query):
        if _SECRET_NAMES.search(name):
            keep_secret(value)


def parse_address(url: str, option: str, schemes: Sequence[str], example: str) -> Address:
    """Split a URL into its parts, and keep its secrets out of the log.

    Raises OptionError, with the texts `option` and `example`, for another scheme, a missing or impossible
    host or port, and a password whose special characters are not escaped.
    """
    from urllib.parse import unquote, urlsplit

    keep_secrets(url)
    received = f"Received: {_received(url)}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:  # Also UnicodeError; the text is not shown, since it may hold a part of the password.
        hint = ". In a password, / ? # @ and : are written %2F %3F %23 %40 and %3A" if "@" in url else ""
        raise OptionError(f"{option} has an impossible host or port{hint}. {received}") from None
    if parts.scheme not in schemes:
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        raise OptionError(f"{option} must begin with {known}, such as {example}. {received}")
    if not host or port == 0 or _NOT_IN_HOSTS.search(host):
        raise OptionError(f"{option} must name a possible host, such as {example}. {received}")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Address(parts.scheme, host, port, user, password, parts.path, parts.query, parts.fragment)


def unencrypted_remark(url: str, shown: str) -> str | None:
    """Return what to say of an address that sends its password or token unencrypted; None for others.

    `shown` is the option with the address, without its secrets.
    """
    from urllib.parse import parse_qsl

    scheme, _, rest = url.partition("://")
    encrypted = _ENCRYPTED.get(scheme.lower())
    login, at, address = rest.rpartition("@")
    query = address.partition("?")[2].partition("#")[0]
    names = [name for name, value in parse_qsl(query) if value and _SECRET_NAMES.search(name)]
    if encrypted is None or not ((at and login) or names):
        return None
    what = "its password" if at and login else f'the "{names[0]}" in its address'
    return (
        f"{shown} is not encrypted: whoever listens on the way can read {what}. "
        f"Where the other side has it, use {encrypted}://"
    )


def _login_as_parsed(rest: str) -> str:
    """Return the password for a strict parser, for which the login ends at the first slash."""
    return re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[0].partition(":")[2]


def _received(url: str) -> str:
    """Redact also text that is not a URL: a mistyped one may hold a password."""
    return redact(url) if "://" in url else re.sub(r".*@", "***@", url, flags=re.DOTALL)
