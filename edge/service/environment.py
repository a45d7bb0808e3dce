"""The environment that a service takes over from the shell in which it was installed: what our code reads."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..sources.addresses import redact

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# As urllib looks for them: the lower case comes first, so that it alone is taken where there are both.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def taken_over(environment: Mapping[str, str], network: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return variables for everybody to read, and secret ones, such as a proxy with a password.

    Where nothing goes through a network there are none. Paths become absolute.
    """
    if not network:
        return {}, {}
    found = {name: os.path.abspath(environment[name]) for name in _CERTIFICATES if environment.get(name)}  # noqa: PTH100
    for name in _PROXIES:
        if value := environment.get(name) or environment.get(name.upper()):
            found[name] = value
    secret = {name: value for name, value in found.items() if redact(value) != value or "@" in value}
    return {name: value for name, value in found.items() if name not in secret}, secret
