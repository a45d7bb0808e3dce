"""Many frames, all cores: one worker a core, each with interpreters of its own, answers in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..classifier import Classifier
from ..sources.frames import Frame
from .classify import ClassifiedFrame, classify_frame

# Frames under way for each worker: enough to even out large and small pictures, few enough for memory.
_AHEAD = 4
_IDLE_SECONDS = 1.0


def classify_in_parallel(
    frames: Iterable[Frame],
    classifiers: Sequence[Classifier],
    workers: int,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[ClassifiedFrame]:
    """Classify frames in `workers` threads, and yield in the order of the frames.

    Decoding and inference release Python's lock, so that threads suffice. Workers take frames from the source
    themselves, and only so many ahead of what was yielded: memory doesn't grow with their number, and no
    answer waits for the next frame. What the source or a worker raises is raised here, in its turn. `idle` is
    called once a second while there is nothing to yield.
    """
    pool = _Pool(frames, classifiers, workers)
    try:
        while (classified := pool.next(idle)) is not None:
            yield classified
    finally:
        pool.close()


class _Pool:
    """The workers and the frames that they have classified, by the frames' numbers."""

    def __init__(self, frames: Iterable[Frame], classifiers: Sequence[Classifier], workers: int) -> None:
        self._frames = iter(frames)
        self._room = threading.Semaphore(workers * _AHEAD)
        self._source = threading.Lock()  # Guards _frames, _taken and _ended.
        self._taken = 0
        self._ended = False
        self._changed = threading.Condition()  # Guards the next four.
        self._found: dict[int, ClassifiedFrame | BaseException | None] = {}
        self._wanted = 0
        self._working = 0
        self._stopped = False
        # Made before any answer is printed: what the process prints while an interpreter loads is dropped.
        sets = [classifiers, *([each.clone() for each in classifiers] for _ in range(workers - 1))]
        for own in sets:
            threading.Thread(target=self._work, args=(own,), name="classify", daemon=True).start()

    def next(self, idle: Callable[[], None]) -> ClassifiedFrame | None:
        """Wait for the next frame, None after the last; raises what the source or a worker raised."""
        while not self._is_there():
            idle()
        with self._changed:
            found = self._found.pop(self._wanted)
            self._wanted += 1
        self._room.release()
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Let the workers end, and wait for those in native code; one may be stuck in a pipe for ever."""
        self._ended = True
        self._room.release()
        with self._changed:
            self._stopped = True
            self._changed.wait_for(lambda: self._working == 0)

    def _is_there(self) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._wanted in self._found, _IDLE_SECONDS)

    def _work(self, classifiers: Sequence[Classifier]) -> None:
        while (taken := self._take()) is not None:
            number, found = taken
            if isinstance(found, Frame):
                try:
                    self._hand_over(number, classify_frame(found, classifiers))
                except BaseException as error:  # Handed to the thread that waits for it.
                    self._hand_over(number, error)
            else:
                self._hand_over(number, found)

    def _take(self) -> tuple[int, Frame | BaseException | None] | None:
        """Return the next frame and its number, or the source's end or error; None when all is taken."""
        self._room.acquire()
        with self._source:
            if not self._ended:
                number, self._taken = self._taken, self._taken + 1
                frame = self._next_frame()
                self._ended |= not isinstance(frame, Frame)
                with self._changed:
                    if not self._stopped:
                        self._working += 1
                        return number, frame
        self._room.release()  # For the next worker to end, too.
        return None

    def _next_frame(self) -> Frame | BaseException | None:
        try:
            return next(self._frames, None)
        except BaseException as error:  # As above.
            return error

    def _hand_over(self, number: int, found: ClassifiedFrame | BaseException | None) -> None:
        with self._changed:
            self._working -= 1
            self._found[number] = found
            if number == self._wanted or not self._working:
                self._changed.notify()
