"""A window with the picture and its answers: `--show`."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from PIL import Image

from ..answers.result import FrameResult
from ..children import ask
from ..errors import ImageError, OptionError
from ..sources.opencv import import_opencv
from .drawing import draw_answers
from .frame_rate import FrameRate
from .output import StopRunning

_LARGEST = (1280, 960)  # Larger pictures are shrunk: few screens show more, and drawing costs time.
_SHORTEST = 480  # Smaller pictures are enlarged, so that letters can be read.
_EMPTY = (640, 480)
_QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc.
_NO_KEY = -1
_PROBE = "import cv2, json; cv2.namedWindow('edge-classify'); cv2.destroyAllWindows(); print(json.dumps({}))"
_PROBE_SECONDS = 60  # A busy Raspberry Pi takes several seconds to load OpenCV.


class Window:
    """Shows each result; all methods must be called in the main thread.

    q, Esc and the window's close button end the run: they raise StopRunning.
    """

    failed = 0

    def __init__(self, title: str = "edge-classify") -> None:
        """Open the window.

        Raises OptionError where no window can be opened, MissingPackageError without OpenCV, and SourceError
        where OpenCV cannot be loaded.
        """
        _require_display()
        self._cv2 = import_opencv("--show")
        _try_window(self._cv2)
        self._title = title
        self._rate = FrameRate()
        self._picture: Image.Image | None = None
        self._size = (0, 0)
        self._stopped = False
        # WINDOW_GUI_NORMAL: without the buttons and bars of Qt.
        flags = self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO | self._cv2.WINDOW_GUI_NORMAL
        self._cv2.namedWindow(title, flags)

    def show(self, result: FrameResult) -> None:
        """Show the picture, or the last picture with the error; raises StopRunning as refresh does."""
        error = result.frame.error
        if result.frame.picture is not None:
            try:
                self._picture = _fit(result.frame.picture.image(_LARGEST))
            except ImageError as problem:  # The file has changed since it was classified.
                error = str(problem)
        if error is not None:
            self._draw(draw_answers(self._picture or Image.new("RGB", _EMPTY), (), error))
        elif self._picture is not None:
            self._draw(draw_answers(self._picture, result.answers, self._note(result)))
        self.refresh()

    def refresh(self) -> None:
        """Handle the window's events, also while no frame comes; raises StopRunning when the user ends it."""
        if self._cv2.waitKey(1) & 0xFF in _QUIT_KEYS or self._is_closed():
            self._stopped = True
            raise StopRunning

    def wait_for_key(self) -> None:
        """Keep the last picture of files until a key is pressed or the window is closed."""
        while not (self._stopped or self._is_closed()) and self._cv2.waitKey(50) == _NO_KEY:
            pass

    def close(self) -> None:
        """Close the window, unless the user has closed it."""
        self._cv2.destroyAllWindows()

    def _draw(self, image: Image.Image) -> None:
        if image.size != self._size:
            self._size = image.size
            self._cv2.resizeWindow(self._title, *image.size)
        self._cv2.imshow(self._title, np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))

    def _note(self, result: FrameResult) -> str:
        if result.frame.grabbed is None:
            return ""
        rate = f"{self._rate.tick():.1f} frames/s"
        return rate if result.age_ms is None else f"{rate}, {result.age_ms:.0f} ms old"

    def _is_closed(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) < 1)
        except self._cv2.error:  # Qt raises it after the last window is closed.
            return True


def _fit(image: Image.Image) -> Image.Image:
    """Return the picture in a size that fits a screen."""
    factor = min(1.0, _LARGEST[0] / image.width, _LARGEST[1] / image.height)
    if min(image.size) < _SHORTEST:
        factor = min(_SHORTEST / min(image.size), _LARGEST[0] / image.width, _LARGEST[1] / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _require_display() -> None:
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return
    raise OptionError(
        "--show needs a screen, and this session has none (neither DISPLAY nor WAYLAND_DISPLAY is set). "
        "Log in on the machine itself or with ssh -X, or keep the pictures with --save-annotated DIR"
    )


def _try_window(cv2: Any) -> None:
    """Raise OptionError unless a child process can open a window: without a screen OpenCV aborts."""
    try:
        cv2.destroyAllWindows()
    except cv2.error:
        raise OptionError(
            "--show needs windows, and this OpenCV was built without them. "
            "Run: pip uninstall opencv-python-headless; then: pip install --force-reinstall opencv-python"
        ) from None
    reply = ask(_PROBE, timeout=_PROBE_SECONDS)
    if reply.answer is None:
        names = [name for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
        where = " on " + ", ".join(f"{name}={os.environ[name]}" for name in names) if names else ""
        raise OptionError(
            f"--show cannot open a window{where}: trying it {reply.reason}. Is the screen there, and may you "
            "use it? Without one, keep the pictures with --save-annotated DIR"
        )
