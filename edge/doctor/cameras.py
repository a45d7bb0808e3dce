"""Cameras: which ones the system has, whether this user may open them, and whether one gives a picture."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..children import ask
from ..errors import EdgeClassifyError
from ..procfs import read_number, read_text
from ..sources.addresses import redact
from ..sources.camera import CameraOptions
from ..sources.frames import Frame
from ..sources.opening import open_source
from .finding import ERROR, OK, WARNING, Finding

# Names of a Raspberry Pi's devices that are no cameras: codecs, image processors, embedded data.
_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "rpi-hevc", "rpivid", "pispbe")
# Names of its CSI connectors, up to Pi 4 and of Pi 5, whose raw sensor data need libcamera.
_CSI = ("unicam", "rp1-cfe")
_LIST_CSI = (
    "import json; from picamera2 import Picamera2; "
    "print(json.dumps({'cameras': [c.get('Model', '?') for c in Picamera2.global_camera_info()]}))"
)
_PICAMERA_SECONDS = 30
_FRAME_SECONDS = 10.0
_DARK = 6  # Mean of 0..255; the noise under a lens cap has about this level.
_PICAMERA_REMEDY = (
    "Run: sudo apt install python3-picamera2, and make the environment with: "
    "python3 -m venv --system-site-packages venv"
)


@dataclass(frozen=True)
class _Node:
    path: Path
    name: str

    @property
    def is_csi(self) -> bool:
        return self.name.startswith(_CSI)


def check_devices(root: Path) -> Iterator[Finding]:
    """Report the devices under /dev, and picamera2 where a CSI camera needs it."""
    nodes = list(_nodes(root))
    for node in nodes:
        if not node.is_csi:
            yield _check_permission(node)
    csi = [node for node in nodes if node.is_csi]
    if csi:
        yield _check_picamera(csi[0].name)
    if not nodes:
        yield Finding("cameras", OK, "none is connected")


def check_camera(name: str, options: CameraOptions) -> Iterator[Finding]:
    """Open the camera of --camera and take one frame; a password in `name` is not shown."""
    title, started = f"camera {redact(name)}", time.monotonic()

    def give_up() -> None:
        if time.monotonic() - started > _FRAME_SECONDS:
            raise TimeoutError

    try:
        source = open_source(name, options, idle=give_up)
        try:
            frame = next(iter(source), None)
            yield _describe(name, frame, time.monotonic() - started)
        finally:
            source.close()
    except TimeoutError:
        yield Finding(
            title,
            ERROR,
            f"it gave no picture within {_FRAME_SECONDS:g} seconds",
            "Unplug it, or restart it",
        )
    except EdgeClassifyError as error:
        tried = "; ".join(line.strip() for line in str(error).splitlines())
        yield Finding(title, ERROR, tried, _remedy(name))


def _remedy(name: str) -> str:
    if "://" in name:
        return "Open the address in a browser or a player on this machine"
    return "See --list-cameras for what is there"


def _describe(name: str, frame: Frame | None, seconds: float) -> Finding:
    title = f"camera {redact(name)}"
    if frame is None or frame.picture is None:
        reason = frame.error if frame else "it ended before its first frame"
        return Finding(title, ERROR, str(reason), _remedy(name))
    image = frame.picture.image()
    detail = f"{image.width}x{image.height} pixels, the first after {seconds:.1f} s"
    brightness = image.convert("L").resize((1, 1), reducing_gap=None).getpixel((0, 0))
    if isinstance(brightness, (int, float)) and brightness < _DARK:
        return Finding(
            title, WARNING, f"{detail}, but all black", "Remove the lens cap, or switch a light on"
        )
    return Finding(title, OK, detail)


def _nodes(root: Path) -> Iterator[_Node]:
    """Yield the cameras among /dev/video*: the first node of each device that is no codec."""
    for folder in sorted(
        (root / "sys/class/video4linux").glob("video*"), key=lambda p: (len(p.name), p.name)
    ):
        name = read_text(folder / "name") or "unnamed"
        if not name.startswith(_NO_CAMERAS) and read_number(folder / "index") in (0, None):
            yield _Node(root / "dev" / folder.name, name)


def _check_permission(node: _Node) -> Finding:
    title = f"camera {node.path.name.removeprefix('video')}"
    detail = f"{node.name}, {node.path}"
    if not node.path.exists():
        return Finding(
            title, ERROR, f"{detail} is missing", "In a container, pass the device on: --device /dev/video0"
        )
    if os.access(node.path, os.R_OK | os.W_OK):
        return Finding(title, OK, detail)
    group, joined = _group_of(node.path)
    if joined:
        return Finding(
            title,
            ERROR,
            f"{detail}: not permitted yet",
            f"Log out and in again: you are in the group {group} now",
        )
    remedy = f"Run: sudo usermod -aG {group} $USER, then log out and in again"
    return Finding(title, ERROR, f"{detail}: this user may not open it", remedy)


def _group_of(path: Path) -> tuple[str, bool]:
    """Return the group of a device, and whether the user is in it by the system's list."""
    import grp
    import pwd

    try:
        group = grp.getgrgid(path.stat().st_gid)
        return group.gr_name, pwd.getpwuid(os.getuid()).pw_name in group.gr_mem
    except KeyError:  # A user or group without a name, as in containers.
        return "video", False


def _check_picamera(node: str) -> Finding:
    reply = ask(_LIST_CSI, timeout=_PICAMERA_SECONDS)
    title = "CSI camera"
    if reply.answer is None:
        return Finding(
            title,
            ERROR,
            f"the system has one ({node}), but loading picamera2 {reply.reason}",
            _PICAMERA_REMEDY,
        )
    found = reply.answer["cameras"]
    if not found:
        remedy = "Check its cable and rpicam-hello --list-cameras"
        return Finding(title, ERROR, f"the system has one ({node}), but libcamera finds none", remedy)
    return Finding(title, OK, f"{', '.join(found)}: use --camera picamera")
