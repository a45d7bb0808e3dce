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

_Waiting = Queue["Future[Seen] | BaseException | None"]


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
    own = threading.local()

    def work(frame: Frame) -> Seen:
        if not hasattr(own, "classifiers"):
            own.classifiers = [classifier.clone() for classifier in classifiers]
        return look(frame, own.classifiers)

    waiting: _Waiting = Queue()
    room = threading.Semaphore(workers * _AHEAD)
    stopped = threading.Event()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="classify")

    def feed() -> None:
        try:
            for frame in frames:
                room.acquire()
                if stopped.is_set():
                    return
                waiting.put(executor.submit(work, frame))
            waiting.put(None)
        except BaseException as error:
            waiting.put(error)

    threading.Thread(target=feed, daemon=True, name="feed").start()  # It may be stuck in a pipe at the end.
    try:
        while (future := _next(waiting, idle)) is not None:
            if isinstance(future, BaseException):
                raise future
            yield future.result()
            room.release()
    finally:
        stopped.set()
        room.release()
        executor.shutdown(wait=True, cancel_futures=True)


def _next(waiting: _Waiting, idle: Callable[[], None]) -> Future[Seen] | BaseException | None:
    while True:
        try:
            return waiting.get(timeout=_IDLE_SECONDS)
        except Empty:
            idle()
