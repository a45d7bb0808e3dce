"""Whether --show can open a window: a display, and an OpenCV that was built with windows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from ..children import ask
from ..extras import pip_install
from .finding import ERROR, OK, WARNING, Finding
from .packages import is_installed

# OpenCV's version and the window toolkit that it was built with.
_DESCRIBE = (
    "import cv2, json, re; gui = re.search(r'^ +GUI: +(\\S+)', cv2.getBuildInformation(), re.M); "
    "print(json.dumps({'version': cv2.__version__, 'gui': gui[1] if gui else 'NONE'}))"
)
# A display that cannot be opened aborts the process, and there is no way to ask before.
_WINDOW = "import cv2, json; cv2.namedWindow('doctor'); cv2.destroyAllWindows(); print(json.dumps({}))"
_SECONDS = 20
_DISTRIBUTIONS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)


def check_display() -> Iterator[Finding]:
    """Report the display, OpenCV, and whether the two give a window."""
    display = _find_display()
    yield Finding("display", OK, display or "none: everything works except --show")
    reply = ask(_DESCRIBE, timeout=_SECONDS)
    if reply.answer is None:
        yield _explain_missing(reply.reason)
        return
    version, gui = reply.answer["version"], reply.answer["gui"]
    several = [name for name in _DISTRIBUTIONS if is_installed(name)]
    if len(several) > 1:
        remedy = f"Run: pip uninstall {' '.join(several)}; then: pip install opencv-python"
        yield Finding("OpenCV", WARNING, f"{' and '.join(several)} overwrite each other's files", remedy)
    if gui == "NONE":
        yield _explain_headless(version, display)
        return
    yield Finding("OpenCV", OK, f"{version}, windows by {gui}")
    if display is not None:
        opened = ask(_WINDOW, timeout=_SECONDS)
        if opened.answer is None:
            remedy = "Unset DISPLAY, or log in on the machine's own screen, or with ssh -X"
            yield Finding("window", WARNING, f"opening one {opened.reason}: no --show on {display}", remedy)
        else:
            yield Finding("window", OK, "--show can open one")


def _find_display() -> str | None:
    if sys.platform in ("darwin", "win32"):
        return "the system's own"
    names = ("WAYLAND_DISPLAY", "DISPLAY")
    return next((f"{name}={os.environ[name]}" for name in names if os.environ.get(name)), None)


def _explain_headless(version: str, display: str | None) -> Finding:
    detail = f"{version}, built without windows: no --show"
    if display is None:  # Without a display this build is the right one.
        return Finding("OpenCV", OK, detail)
    remedy = "Run: pip uninstall opencv-python-headless; then: pip install opencv-python"
    return Finding("OpenCV", WARNING, detail, remedy)


def _explain_missing(reason: str) -> Finding:
    if "No module named 'cv2'" in reason:
        return Finding(
            "OpenCV",
            OK,
            f"not installed: needed for USB cameras, RTSP, videos and --show. {_how_to_install()}",
        )
    remedy = "Run: sudo apt install libgl1 libglib2.0-0" if ".so" in reason else _how_to_install()
    return Finding("OpenCV", ERROR, f"loading it {reason}", remedy)


def _how_to_install() -> str:
    return f"Run: {pip_install('camera')} (on a 32-bit Pi: sudo apt install python3-opencv)"
