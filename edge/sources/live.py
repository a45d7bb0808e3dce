"""A camera, a stream or a video in real time: always the newest frame, day and night."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Condition

from ..errors import SourceError
from .camera import CameraOptions, Idle, OpenCamera, Report, Shot
from .frames import Frame, Picture, RotatedPicture
from .grabber import Grabber, Lost

# Seconds before each attempt to open a lost camera again; the last also before all further ones.
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
# Seconds without a loss after which the pauses begin again with the first.
_STEADY = 60.0
# Seconds between calls of `idle`.
_TICK = 0.5
# The most threads that may hang in a camera's driver; then no further thread is started.
_MAX_STUCK = 3
_CLOSING = 1.0


def ignore(_message: str = "") -> None:
    """Do nothing: the default for `report` and `idle`."""


class LiveSource:
    """Yields the newest frame each time, and opens a lost camera again without end."""

    live = True
    total = None

    def __init__(
        self,
        name: str,
        open_camera: OpenCamera,
        options: CameraOptions = CameraOptions(),  # noqa: B008 - frozen.
        report: Report = ignore,
        idle: Idle = ignore,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Open the camera and wait until that is done.

        `name` is its address without secrets. `report` gets remarks, such as that a camera is back. `idle` is
        called at least once a second while no frame comes, and may raise to end the wait. `pauses` are the
        seconds before each new attempt. Raises SourceError when it cannot be opened, and other errors of
        `open_camera`.
        """
        self.name = name
        self._open = open_camera
        self._options = options
        self._report = report
        self._idle = idle
        self._pauses = pauses
        self._attempts = 0
        self._steady_since = time.monotonic()
        self._damaged = 0
        self._said_damaged = self._has_given = False
        self._stuck: list[Grabber] = []
        self._changed = Condition()
        self._closed = False
        self._grabber = Grabber(open_camera, options, self._changed)
        try:
            self._wait(lambda: self._grabber.is_settled)
            if self._grabber.camera is None:
                self._grabber.check()
            else:
                self.name = self._grabber.camera.name
        except BaseException as error:  # Also Ctrl-C and errors of idle().
            self._grabber.stop()
            if isinstance(error, Lost):
                raise SourceError(f"--camera {name} cannot be opened: {error}") from None
            raise

    @property
    def damaged(self) -> int:
        """The number of incomplete pictures so far, which were left out."""
        return self._damaged + self._grabber.damaged

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until closed, or until the end of a video file.

        For a lost camera one frame with an error is yielded; the next frame comes when it is back. Raises
        SourceError for a camera that is lost before its first frame, as for one that cannot be opened.
        """
        while not self._closed:
            try:
                taken = self._next_shot()
            except Lost as reason:
                camera = self._grabber.camera
                if camera is not None and camera.ends:
                    return
                if not self._has_given:
                    raise SourceError(f"--camera {self.name} gives no pictures: {reason}") from None
                yield self._lost(str(reason))
                taken = self._recover()
            if taken is not None:
                self._has_given = True
                yield self._frame(*taken)

    def close(self) -> None:
        """Release the camera and end the iteration, from any thread; takes a second at most."""
        with self._changed:
            self._closed = True
            self._grabber.stop()
            self._changed.notify_all()
        self._grabber.join(_CLOSING)

    def _next_shot(self) -> tuple[int, Shot] | None:
        """Wait for a shot; return None when closed. Raises Lost."""
        self._wait(lambda: self._grabber.has_news)
        taken = None if self._closed else self._grabber.take()
        if taken is None and not self._closed:
            self._grabber.check()
        if self.damaged and not self._said_damaged:
            self._said_damaged = True
            self._report(
                f"--camera {self.name} sent a damaged picture: it is left out, and so are later ones"
            )
        return taken

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Return when `ready()` or closed, and call `idle` meanwhile; raises Lost."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: ready() or self._closed, _TICK):
                    return
            self._grabber.check()
            self._idle()

    def _lost(self, reason: str) -> Frame:
        text = f"--camera {self.name} was lost: {reason}. Trying again until it is back"
        return Frame(self.name, None, text, grabbed=time.monotonic())

    def _recover(self) -> tuple[int, Shot] | None:
        """Open the camera again until it gives a picture other than the one that stood still."""
        lost = time.monotonic()
        if lost - self._steady_since > _STEADY:
            self._attempts = 0
        stale = self._grabber.newest_picture if self._grabber.stands_still else None
        while not self._closed:
            self._retire()
            self._pause(self._pauses[min(self._attempts, len(self._pauses) - 1)])
            self._attempts += 1
            if not self._start(stale):
                continue
            try:
                taken = self._next_shot()
            except Lost:
                continue
            self._steady_since = time.monotonic()
            if taken is not None:
                self._report(f"--camera {self.name} is back after {self._steady_since - lost:.0f} s")
            return taken
        return None

    def _retire(self) -> None:
        """Stop the present thread without waiting; it closes its camera as soon as it can."""
        self._grabber.stop()
        self._stuck = [grabber for grabber in self._stuck if grabber.is_alive]
        if self._grabber not in self._stuck:
            self._stuck.append(self._grabber)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and (left := until - time.monotonic()) > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, min(left, _TICK))
            self._idle()

    def _start(self, stale: Picture | None) -> bool:
        """Start another thread; return False where the source is closed or too many threads hang."""
        with self._changed:
            if self._closed or sum(grabber.is_alive for grabber in self._stuck) >= _MAX_STUCK:
                return False
            self._damaged += self._grabber.damaged
            self._grabber = Grabber(self._open, self._options, self._changed, self._grabber.next_index, stale)
            return True

    def _frame(self, index: int, shot: Shot) -> Frame:
        picture = shot.picture
        if picture is not None and self._options.rotate:
            picture = RotatedPicture(picture, self._options.rotate)
        return Frame(self.name, picture, None, index, shot.grabbed)
