"""Accelerators for .tflite files: Coral's Edge TPU, as a USB stick or a PCIe card."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..children import ask
from ..procfs import read_text
from .finding import ERROR, OK, WARNING, Finding

_LIBRARY = "libedgetpu.so.1"
_LOAD = "import ctypes, json, sys; ctypes.CDLL(sys.argv[1]); print(json.dumps({}))"
_SECONDS = 10
# Vendor and product before and after the library has loaded the stick's firmware:
# https://coral.ai/docs/accelerator/get-started
_USB_IDS = (("1a6e", "089a"), ("18d1", "9302"))
_REMEDY = (
    "Install Coral's library, as https://coral.ai/docs/accelerator/get-started says: "
    "sudo apt install libedgetpu1-std; then use --delegate libedgetpu.so.1"
)


def check_edge_tpu(root: Path) -> Iterator[Finding]:
    """Report the device and its library; a machine without both is fine."""
    usb = _usb_device(root)
    cards = sorted((root / "dev").glob("apex_*"))
    device = "a Coral USB Accelerator" if usb else "a Coral PCIe card" if cards else None
    reply = ask(_LOAD, _LIBRARY, timeout=_SECONDS)
    missing = reply.answer is None
    if device is None:
        detail = "no Edge TPU" if missing else f"{_LIBRARY} is installed, but there is no Edge TPU"
        yield Finding("accelerator", OK, detail)
    elif missing:
        yield Finding("accelerator", WARNING, f"{device}, but loading {_LIBRARY} {reply.reason}", _REMEDY)
    elif (node := cards[0] if cards and not usb else usb) and not os.access(node, os.R_OK | os.W_OK):
        group = "apex" if not usb else "plugdev"
        remedy = f"Run: sudo usermod -aG {group} $USER and log in again"
        yield Finding("accelerator", ERROR, f"{device}, but {node} may not be opened", remedy)
    else:
        yield Finding("accelerator", OK, f"{device}, with {_LIBRARY}: use --delegate {_LIBRARY}")


def _usb_device(root: Path) -> Path | None:
    """Return the stick's device under /dev/bus/usb, or None where no stick is plugged in."""
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        if (read_text(folder / "idVendor"), read_text(folder / "idProduct")) in _USB_IDS:
            bus, number = (read_text(folder / name) or "0" for name in ("busnum", "devnum"))
            return root / f"dev/bus/usb/{bus:0>3}/{number:0>3}"
    return None
