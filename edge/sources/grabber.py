"""The thread that opens a camera, reads it, and keeps its newest picture."""

from __future__ import annotations

import time
from threading import Condition, Thread

import numpy as np

from ..errors import SourceError
from .camera import Camera, CameraOptions, Interruptible, OpenCamera, Receiving, Shot
from .frames import EncodedPicture, Picture, PixelPicture

OPEN_LIMIT = 30.0  # Seconds after which a camera that is still being opened counts as stuck.
_SAMPLE = 16  # Every 16th row and column is compared first.


class Lost(Exception):
    """A camera gives no more pictures; the text is the reason."""


class Grabber:
    """Opens and reads a camera once, in its own thread, which may hang in native code.

    `changed` guards all attributes, and is notified of every picture and of the end.
    """

    def __init__(
        self,
        open_camera: OpenCamera,
        options: CameraOptions,
        changed: Condition,
        first_index: int = 0,
        stale: Picture | None = None,
    ) -> None:
        """Start the thread; indices begin at `first_index`, and pictures equal to `stale` are held back."""
        self.camera: Camera | None = None
        self.next_index = first_index
        self.damaged = 0
        self.newest_picture = stale
        self.stands_still = False
        self._open = open_camera
        self._options = options
        self._changed = changed
        self._shot: tuple[int, Shot] | None = None
        self._error: Exception | None = None
        self._ended = self._stopped = False
        self._arrived = self._altered = time.monotonic()
        self._fresh = False
        self._may_stand_still = options.frozen_after == 0
        self._due = 0.0
        self._thread = Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def is_settled(self) -> bool:
        """Whether the camera is open, or could not be opened."""
        return self.camera is not None or self._ended

    @property
    def has_news(self) -> bool:
        """Whether a new picture has arrived, or the thread has ended."""
        return self._shot is not None or self._ended

    def take(self) -> tuple[int, Shot] | None:
        """Return the newest shot and its index, once; None where there is no new shot."""
        with self._changed:
            shot, self._shot = self._shot, None
            return shot

    def check(self) -> None:
        """Raise Lost when the camera has ended, hangs or stands still, and other errors as they are."""
        with self._changed:
            now = time.monotonic()
            if isinstance(self._error, SourceError):
                raise Lost(str(self._error))
            if self._error is not None:
                raise self._error
            if self._ended:
                raise Lost(f"it ended after {self.next_index} pictures")
            if self.camera is None:
                if now - self._arrived > OPEN_LIMIT:
                    raise Lost(f"opening it takes longer than {OPEN_LIMIT:g} s")
                return
            if not self.camera.ends:
                self._check_silence(now)

    def stop(self) -> None:
        """Have the thread end: after its present read, or at once where the camera allows it."""
        self._stopped = True
        camera: object = self.camera
        if isinstance(camera, Interruptible):
            camera.interrupt()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(seconds)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs, or hangs."""
        return self._thread.is_alive()

    def _check_silence(self, now: float) -> None:
        patience = self._options.patience
        if now - self._arrived > patience:
            damaged = f", only {self.damaged} damaged ones" if self.damaged else ""
            received = self.camera.received() if isinstance(self.camera, Receiving) else ""
            other = f": {received}" if received else ""
            raise Lost(f"it gave no picture for {patience:g} s{damaged}{other}")
        if not self._may_stand_still and now - self._altered > patience:
            self.stands_still = True
            raise Lost(
                f"it has shown the same picture for {patience:g} s (if it may stand still: --frozen-after 0)"
            )

    def _run(self) -> None:
        try:
            camera = self._open()
            try:
                with self._changed:
                    self.camera = camera
                    self._may_stand_still |= camera.ends
                    self._arrived = self._altered = time.monotonic()
                    self._changed.notify_all()
                while not self._stopped and (shot := camera.read()) is not None:
                    self._keep(shot)
            finally:
                camera.close()
        except SourceError as error:
            self._error = SourceError(str(error))  # Without its traceback, which holds what was read.
        except Exception as error:  # `check` raises it in the thread that waits.
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _keep(self, shot: Shot) -> None:
        altered = self._may_stand_still or not _same(self.newest_picture, shot.picture)
        with self._changed:
            index = self.next_index + shot.skipped
            self.next_index = index + 1
            if shot.picture is None:
                self.damaged += 1
                return
            self._arrived = shot.grabbed
            self.newest_picture = shot.picture
            if altered:
                self._altered = shot.grabbed
                self._fresh = True
            # A picture that has stood still for too long is held back, and `check` raises.
            wanted = self._fresh and shot.grabbed - self._altered <= self._options.patience
            if wanted and self._is_due(shot.grabbed):
                self._shot = index, shot
                self._changed.notify_all()

    def _is_due(self, now: float) -> bool:
        """Return whether the next frame is due at the frame rate of the options."""
        if self._options.fps is None:
            return True
        interval = 1 / self._options.fps
        if now < self._due - interval / 4:  # Frames don't come at exact times.
            return False
        self._due = (self._due if now - self._due < interval else now) + interval
        return True


def _same(first: Picture | None, second: Picture | None) -> bool:
    """Return whether two pictures are equal in every bit, without decoding them."""
    if isinstance(first, EncodedPicture) and isinstance(second, EncodedPicture):
        return first.data == second.data
    if isinstance(first, PixelPicture) and isinstance(second, PixelPicture):
        a, b = first.bgr[::_SAMPLE, ::_SAMPLE], second.bgr[::_SAMPLE, ::_SAMPLE]
        return np.array_equal(a, b) and np.array_equal(first.bgr, second.bgr)
    return False
