"""Decodes pictures, animations and films in child processes, for pictures that are not trusted.

A hostile picture can crash a decoder, never end, ask for any amount of memory, or take the decoder over. Then
only the child dies, or is taken over, which has given up what it can (sandbox.py). This process gets pixels
of a size that it has checked, and nothing else. A child that was taken over could change the pictures that
it decodes later, and no others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..card import InputSpec, Preprocess
from ..decoding import DecodedFrame
from ..errors import ImageError
from ..image_file import MAX_PIXELS, require_file
from .messages import (
    MAX_FILE_BYTES,
    MAX_JSON_BYTES,
    READY,
    RESULT,
    AnimationAnswer,
    BrokenMessageError,
    FrameAnswer,
    SandboxAnswer,
    SizeAnswer,
    parse_answer,
    shortened,
    shown,
)
from .process import ChildEndedError, IsolatedProcess, ReportedError

_NEXT = b"N"


@dataclass(frozen=True)
class PictureLimits:
    """Limits of a child that decodes: seconds to start, seconds for a picture, and bytes of memory.

    A picture of MAX_PIXELS takes 512 MB in Pillow, and four times as much while a transparent one becomes
    RGB; decoders keep more beside that.
    """

    start_s: float = 60.0
    picture_s: float = 60.0
    memory: int = 3 << 30


DEFAULT_PICTURE_LIMITS = PictureLimits()


class IsolatedDecoder:
    """A decoder for decoding.decoded_by. Threads may share it: each picture under way has a child.

    Children that are idle are kept for the next pictures; a film has one of its own.
    """

    def __init__(self, limits: PictureLimits = DEFAULT_PICTURE_LIMITS) -> None:
        """Start the first child, without waiting for it."""
        self._limits = limits
        self._lock = threading.Lock()
        self._idle = [_DecoderProcess(limits)]
        self._closed = False

    @property
    def missing(self) -> tuple[str, ...]:
        """What the children could not give up, as sandbox.enter returns it; waits for the first child.

        Raises ImageError where it cannot be started.
        """
        with self._borrowed("the first picture") as child:
            return child.missing

    def load_image(self, source: Path | bytes, cover: tuple[int, int] | None) -> Image.Image:
        """Decode as image.load_image does."""
        name, data = _read(source)
        with self._borrowed(name) as child:
            return child.image(data, cover)

    def load_input(self, source: Path | bytes, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
        """Decode and resize as image.load_input does."""
        name, data = _read(source)
        with self._borrowed(name) as child:
            return child.input(data, spec, preprocess)

    def animation(self, path: Path) -> Iterator[DecodedFrame] | None:
        """Return the frames of a file with several pictures; None for others, and for what cannot be read."""
        try:
            name, data = _read(path)
            with self._borrowed(name) as child:
                several = child.begins_frames(data)
        except ImageError:  # Decoding it as a picture gives the reason.
            return None
        return _frames_of(child) if several else None

    def film(self, path: Path) -> Iterator[DecodedFrame]:
        """Yield the frames of a film."""
        try:
            require_file(path)
        except ImageError as error:
            yield DecodedFrame(None, str(error), 0, None)
            return
        yield from _frames_of(_DecoderProcess(self._limits, path))

    def close(self) -> None:
        """End the idle children; those at work end with their picture."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()

    @contextmanager
    def _borrowed(self, name: str) -> Iterator[_DecoderProcess]:
        """Yield a child for one picture; raises ImageError for what the child reports, and where it ends."""
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or _DecoderProcess(self._limits)
        child.subject = name
        try:
            child.start()
            yield child
        except ReportedError as error:
            self._give_back(child)
            raise ImageError(str(error)) from None
        except ChildEndedError as error:
            raise ImageError(str(error)) from None
        except BaseException:
            child.close()
            raise
        self._give_back(child)

    def _give_back(self, child: _DecoderProcess) -> None:
        if child.is_busy:  # It gives the frames of an animation, and then ends.
            return
        with self._lock:
            if not self._closed:
                self._idle.append(child)
                return
        child.close()


class _DecoderProcess(IsolatedProcess):
    """One child that decodes; its methods raise ReportedError and ChildEndedError."""

    def __init__(self, limits: PictureLimits, film: Path | None = None) -> None:
        """Start it, without waiting."""
        super().__init__("picture_child", "decoder", limits.memory, str(film) if film else "image")
        self._limits, self._film = limits, film
        self._started = False
        self.is_busy = False
        self.missing: tuple[str, ...] = ()

    def start(self) -> None:
        """Wait until it is ready; a second call does nothing."""
        if self._started:
            return
        with self.time_limit(self._limits.start_s, "to start the decoder"):
            film = None if self._film is None else str(self._film)
            self.send_json({"film": film, "memory": self._limits.memory, "seconds": self._limits.picture_s})
            answer = parse_answer(SandboxAnswer, self.receive(READY, MAX_JSON_BYTES))
        self.missing = tuple(shortened(answer.missing))
        self._started = True

    def image(self, data: bytes, cover: tuple[int, int] | None) -> Image.Image:
        with self._picture_limit():
            self._give({"kind": "image", "cover": cover}, data)
            answer = parse_answer(SizeAnswer, self.receive(READY, MAX_JSON_BYTES))
            width, height = _checked(answer.size)
            return Image.frombytes("RGB", (width, height), self.receive_exactly(RESULT, 3 * width * height))

    def input(self, data: bytes, spec: InputSpec, preprocess: Preprocess) -> NDArray[np.uint8]:
        shape = spec.height, spec.width, 3
        with self._picture_limit():
            self._give({"kind": "input", "spec": asdict(spec), "preprocess": asdict(preprocess)}, data)
            raw = self.receive_exactly(RESULT, 3 * spec.height * spec.width)
        return np.frombuffer(raw, np.uint8).reshape(shape).copy()

    def begins_frames(self, data: bytes) -> bool:
        """Return whether these are several pictures; then `frames` gives them, and nothing else can."""
        with self._picture_limit():
            self._give({"kind": "frames"}, data)
            answer = parse_answer(AnimationAnswer, self.receive(READY, MAX_JSON_BYTES))
        self.is_busy = answer.several
        return answer.several

    def frames(self) -> Iterator[DecodedFrame]:
        while True:
            with self._picture_limit():
                self.send(_NEXT, b"")
                answer = parse_answer(FrameAnswer, self.receive(READY, MAX_JSON_BYTES))
                pixels = self._pixels(answer.size) if answer.size is not None else None
            if answer.end:
                return
            if (pixels is None) == (answer.error is None):
                raise ChildEndedError(f"{self.subject} made the decoder send neither picture nor reason")
            error = None if answer.error is None else shown(answer.error)
            yield DecodedFrame(pixels, error, answer.index, answer.seconds)

    def _pixels(self, size: list[int]) -> NDArray[np.uint8]:
        width, height = _checked(size)
        raw = self.receive_exactly(RESULT, 3 * width * height)
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)

    def _give(self, task: dict[str, object], data: bytes) -> None:
        self.send_json(task | {"name": self.subject})
        self.send(RESULT, data)

    def _picture_limit(self) -> AbstractContextManager[None]:
        return self.time_limit(self._limits.picture_s, "to decode")


def _frames_of(child: _DecoderProcess) -> Iterator[DecodedFrame]:
    """Yield the frames of a child's film or animation, and end the child."""
    try:
        child.start()
        yield from child.frames()
    except (ReportedError, ChildEndedError) as error:
        yield DecodedFrame(None, str(error), None, None)
    finally:
        child.close()


def _checked(size: list[int]) -> tuple[int, int]:
    """Return width and height; raises BrokenMessageError for those of no picture that is decoded."""
    if len(size) != 2 or min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise BrokenMessageError(f"a picture of {str(size)[:40]} pixels")
    return size[0], size[1]


def _read(source: Path | bytes) -> tuple[str, bytes]:
    """Return what errors call a picture, and its bytes; raises ImageError."""
    if isinstance(source, bytes):
        return "image", source
    require_file(source)
    try:
        with source.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{source} cannot be read ({error.strerror})") from None
    if len(data) > MAX_FILE_BYTES:
        limit = f"{MAX_FILE_BYTES // 2**20} MiB"
        raise ImageError(
            f"{source} is larger than {limit}, the most that --untrusted decodes. Shrink it first"
        )
    return str(source), data
