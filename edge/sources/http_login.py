"""How a client shows that it knows a password: Basic (RFC 7617), Digest (RFC 7616, without qop RFC 2069)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import parse_http_list

# From the strongest on. What a server names with "-sess" uses the same hash.
_HASHES = ("SHA-512-256", "SHA-256", "MD5")
_HASHLIB = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
SUPPORTED = "Basic, and Digest with MD5, SHA-256 or SHA-512-256"
# A header may go on in the next line: RFC 9110, 5.5. In an answer it would be a line of its own.
_FOLD = re.compile(r"[ \t]*[\r\n]+[ \t]*")


@dataclass(frozen=True)
class Login:
    """A user name and a password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Challenge:
    """What a server asks for: a scheme, and its parameters with names in lower case."""

    scheme: str
    parameters: dict[str, str]

    @property
    def is_stale(self) -> bool:
        """Whether only the nonce was too old, and not the password wrong."""
        return self.parameters.get("stale", "").lower() == "true"

    @property
    def algorithm(self) -> str:
        """The hash of Digest, in upper case."""
        return self.parameters.get("algorithm", "MD5").upper()

    @property
    def rank(self) -> int | None:
        """How strong it is, 0 the strongest; None where it is not supported."""
        scheme = self.scheme.lower()
        if scheme == "basic":
            return len(_HASHES)
        name = self.algorithm.removesuffix("-SESS")
        known = scheme == "digest" and name in _HASHES and _HASHLIB[name] in hashlib.algorithms_available
        qop = _listed(self.parameters.get("qop", ""))
        usable = (
            known and {"realm", "nonce"} <= self.parameters.keys() and (not qop or {"auth", "auth-int"} & qop)
        )
        return _HASHES.index(name) if usable else None

    def __str__(self) -> str:
        return f"Digest with {self.algorithm}" if self.scheme.lower() == "digest" else self.scheme

    def answer(self, login: Login, url: str, cnonce: str | None = None) -> str:
        """Return the value of the header Authorization for a GET of `url`; `cnonce` is random by default."""
        if self.scheme.lower() == "basic":
            return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        return _digest(self, login, url, cnonce or secrets.token_hex(16))


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges in the headers WWW-Authenticate, of which each may hold several."""
    found: list[Challenge] = []
    whole = (_FOLD.sub(" ", header) for header in headers)
    for item in (item for header in whole for item in parse_http_list(header)):
        name, _, value = item.partition("=")
        *scheme, name = name.split() or [""]
        if scheme or "=" not in item:
            found.append(Challenge((scheme or [name])[0], {}))
        if found and "=" in item:
            found[-1].parameters[name.lower()] = _unquoted(value.strip())
    return found


def strongest(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return the strongest challenge that can be answered."""
    known = [
        (rank, number, each) for number, each in enumerate(challenges) if (rank := each.rank) is not None
    ]
    return min(known)[2] if known else None


def _digest(challenge: Challenge, login: Login, url: str, cnonce: str) -> str:
    given = challenge.parameters
    digest = _hash_of(challenge.algorithm)
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    realm, nonce, qop = given["realm"], given["nonce"], _listed(given.get("qop", ""))
    first = digest(f"{login.user}:{realm}:{login.password}")
    if challenge.algorithm.endswith("-SESS"):
        first = digest(f"{first}:{nonce}:{cnonce}")
    protection = "auth" if "auth" in qop else "auth-int" if qop else None
    body = f":{digest('')}" if protection == "auth-int" else ""
    second = digest(f"GET:{target}{body}")
    count = "00000001"
    middle = f"{nonce}:{count}:{cnonce}:{protection}" if protection else nonce
    texts = {"username": login.user, "realm": realm, "nonce": nonce, "uri": target}
    texts["response"] = digest(f"{first}:{middle}:{second}")
    words = [f'{name}="{_escaped(text)}"' for name, text in texts.items()]
    if "algorithm" in given:
        words.append(f"algorithm={given['algorithm']}")
    if "opaque" in given:
        words.append(f'opaque="{_escaped(given["opaque"])}"')
    if protection:
        words += [f"qop={protection}", f"nc={count}"]
    if protection or challenge.algorithm.endswith("-SESS"):
        words.append(f'cnonce="{cnonce}"')
    # http.client writes headers in Latin-1, and servers read UTF-8.
    return "Digest " + ", ".join(words).encode().decode("latin-1")


def _hash_of(algorithm: str) -> Callable[[str], str]:
    name = _HASHLIB[algorithm.removesuffix("-SESS")]
    return lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _listed(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",") if word.strip()}


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            return text[1:-1]  # parse_http_list has removed the backslashes.
    return text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
