"""Many frames, all cores: one worker a core, each with interpreters of its own, answers in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Queue

from ..classifier import Classifier
from ..sources.frames import Frame
from .look import Seen, look

# Frames under way for each worker: enough to even out large and small pictures, few enough for memory.
_AHEAD = 4
_IDLE_SECONDS = 1.0


def look_in_parallel(
    frames: Iterable[Frame],
    classifiers: Sequence[Classifier],
    workers: int,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[Seen]:
    """Classify frames in `workers` threads, and yield in the order of the frames.

    Decoding and inference release Python's lock, so that threads suffice. Frames are taken from the source,
    in a thread of its own, only as workers get to them: memory doesn't grow with their number, and an answer
    doesn't wait for the next frame. What the source or a worker raises is raised here, in its turn. `idle` is
    called once a second while there is nothing to yield.
    """
    pool = _Pool(frames, classifiers, workers)
    try:
        while (future := pool.next(idle)) is not None:
            yield future.result()
            pool.room.release()
    finally:
        pool.close()


class _Pool:
    """The workers, and the thread that hands them frames; `room` bounds how many are under way."""

    def __init__(self, frames: Iterable[Frame], classifiers: Sequence[Classifier], workers: int) -> None:
        self.room = threading.Semaphore(workers * _AHEAD)
        self._frames = frames
        # Made before any answer is told: while an interpreter is loaded, what the process prints is dropped.
        self._idle_sets = Queue[Sequence[Classifier]]()
        self._idle_sets.put(classifiers)
        for _ in range(workers - 1):
            self._idle_sets.put([classifier.clone() for classifier in classifiers])
        self._waiting = Queue[Future[Seen] | BaseException | None]()
        self._stopped = False
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="classify")
        # Left alone at the end: it may be stuck in a pipe that nobody writes to.
        threading.Thread(target=self._feed, daemon=True, name="feed").start()

    def next(self, idle: Callable[[], None]) -> Future[Seen] | None:
        """Wait for the next frame's future, None after the last; raises what the source raised."""
        while True:
            try:
                future = self._waiting.get(timeout=_IDLE_SECONDS)
            except Empty:
                idle()
                continue
            if isinstance(future, BaseException):
                raise future
            return future

    def close(self) -> None:
        """End the workers when they are done with what they hold."""
        self._stopped = True
        self.room.release()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _feed(self) -> None:
        try:
            for frame in self._frames:
                self.room.acquire()
                if self._stopped:
                    return
                self._waiting.put(self._executor.submit(self._look, frame))
            self._waiting.put(None)
        except BaseException as error:  # Handed to the thread that waits for it.
            self._waiting.put(error)

    def _look(self, frame: Frame) -> Seen:
        classifiers = self._idle_sets.get()  # There are as many as workers.
        try:
            return look(frame, classifiers)
        finally:
            self._idle_sets.put(classifiers)
