"""What a service may do: systemd's sandbox, as far as the options leave it room.

A user's manager sets most of it up in a user namespace of its own, which some systems forbid; then systemd
says 226/NAMESPACE, and the lines behind that remark are to be removed. MemoryDenyWriteExecute is left out,
since libffi and delegates write code that they run; and DevicePolicy, which a user's manager cannot set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Of a command line: those that name what is written, what needs devices, and what needs a screen.
_WRITTEN = ("output", "save_annotated", "collect")
_TEMPORARY = ("/tmp", "/var/tmp")
_ALWAYS = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
RestrictAddressFamilies={families}
# The rest needs user namespaces. Where the service ends with 226/NAMESPACE, remove it.
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProtectControlGroups=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
"""
# Networks need AF_NETLINK to find out which addresses the machine has.
_LOCAL, _NETWORK = "AF_UNIX", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"


@dataclass(frozen=True)
class Confinement:
    """What a service needs: folders to write into, the network, devices, and other programs' /tmp."""

    writable: Sequence[Path] = ()
    network: bool = False
    devices: bool = False
    shared_tmp: bool = False

    def lines(self) -> tuple[str, ...]:
        """Return the lines of the unit, without paths."""
        text = _ALWAYS.format(families=_NETWORK if self.network else _LOCAL)
        more = [] if self.shared_tmp else ["PrivateTmp=yes"]
        more += [] if self.devices else ["PrivateDevices=yes"]
        more += [] if self.network else ["PrivateNetwork=yes"]
        return (*text.splitlines(), *more)


def needs_of(options: Mapping[str, Any], arguments: Sequence[str]) -> Confinement:
    """Return what a command line needs; `options` are click's parameters, `arguments` what the unit runs."""
    camera = str(options.get("camera") or "")
    address = "://" in camera
    written = [Path(os.path.abspath(options[name])) for name in _WRITTEN if options.get(name) is not None]  # noqa: PTH100
    folders = [path if path.is_dir() else path.parent for path in written]
    named = [argument.partition("=")[2] or argument for argument in arguments]
    return Confinement(
        writable=tuple(dict.fromkeys(folders)),
        network=address or bool(options.get("publish") or options.get("webhooks")),
        devices=(bool(camera) and not address) or bool(options.get("delegate")) or bool(options.get("show")),
        shared_tmp=bool(options.get("show"))
        or any(name == place or name.startswith(f"{place}/") for name in named for place in _TEMPORARY)
        or any(str(folder).startswith(_TEMPORARY) for folder in folders),
    )
