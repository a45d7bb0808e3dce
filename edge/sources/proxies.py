"""Proxies: which one the environment names for an address, and when there is none."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from http.client import HTTPResponse
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, proxy_bypass

from ..errors import SourceError
from .addresses import keep_secrets

_KINDS = ("", "http", "https")


@dataclass(frozen=True)
class ProxyName:
    """A proxy's address without its login, where that is named, and the host that was asked for."""

    shown: str
    variable: str
    host: str

    @property
    def remedy(self) -> str:
        """How to do without it."""
        return f"To reach the camera without it: no_proxy={self.host}"

    def __str__(self) -> str:
        return f"the proxy {self.shown} (from {self.variable})"


class CameraProxies(ProxyHandler):
    """Sends requests through the proxy that the environment names, but never to the own network.

    `used` is the proxy of the last request.
    """

    def __init__(self) -> None:
        super().__init__()
        self.used: ProxyName | None = None

    def proxy_open(self, req: Request, proxy: str, type: str) -> HTTPResponse | None:
        """Choose the way of a request, as urllib's handlers do."""
        self.used = None
        host = host_of(req.full_url)
        if is_in_own_network(host) or proxy_bypass(req.host):
            return None
        keep_secrets(proxy)
        scheme, _, rest = proxy.rpartition("://")
        place = rest.rpartition("@")[2].partition("/")[0]
        named = ProxyName(f"{scheme or 'http'}://{place}", _variable(type), host)
        if scheme.lower() not in _KINDS or not place:
            raise SourceError(f"{named} is no http:// proxy, and no other can be used. {named.remedy}")
        self.used = named
        opened: HTTPResponse | None = super().proxy_open(req, proxy, type)
        self.used = named  # Where it was opened by another request.
        return opened


def host_of(url: str) -> str:
    """Return the host that a URL names, without its port; empty where it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_in_own_network(host: str) -> bool:
    """Return whether a host is not in the internet: a private address, or a name of the local network."""
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith((".local", ".localhost"))


def _variable(scheme: str) -> str:
    """Return the environment variable that names the proxy of a scheme; urllib reads the lower case first."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    named = next((name for name in names if os.environ.get(name)), None)
    return f"the environment variable {named}" if named else "the system's settings"
