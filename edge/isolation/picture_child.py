"""The child process of pictures.py: decodes pictures, or one film, until its standard input ends.

It gives up what it can before it gets the first byte of a picture; all modules are loaded before.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from ..card import InputSpec, Preprocess
from ..errors import EdgeClassifyError, error_text
from ..image import load_image, load_input
from ..image_file import load_readers
from ..sources.animations import animation_frames, is_animated
from ..sources.frames import Frame
from .child_pipes import claim_stdout, ends_after, report
from .messages import MAX_FILE_BYTES, MAX_JSON_BYTES, READY, RESULT, read_message, write_message
from .sandbox import enter

# What decoding imports late.
_LATE = ("PIL.ImageFile", "..png", "..tiff", "..jpeg_end")


def main() -> None:
    """Serve the parent, which holds the other ends of the pipes."""
    answers = claim_stdout()
    requests = sys.stdin.buffer
    with suppress(EOFError, BrokenPipeError):  # The parent has ended, or closed the pipe.
        hello = _read_json(requests)
        film = Path(hello["film"]) if hello["film"] is not None else None
        _load_modules(film)
        missing = enter([film] if film is not None else [], hello["memory"])
        write_message(answers, READY, json.dumps({"missing": missing}).encode())
        if film is not None:
            _serve_film(film, requests, answers, hello["seconds"])
            return
        while True:
            _serve_picture(requests, answers, hello["seconds"])


def _load_modules(film: Path | None) -> None:
    for module in _LATE:
        importlib.import_module(module, __package__)
    if film is None:
        load_readers()
        return
    from ..sources.interlaced import listen

    listen()
    importlib.import_module("..sources.videos", __package__)
    with suppress(ImportError):  # Said for the film.
        importlib.import_module("cv2")


def _serve_picture(requests: IO[bytes], answers: IO[bytes], seconds: float) -> None:
    task = _read_json(requests)
    _, data = read_message(requests, MAX_FILE_BYTES)
    try:
        if task["kind"] == "frames":
            _serve_frames(task["name"], data, requests, answers, seconds)
            return
        with ends_after(seconds):
            if task["kind"] == "input":
                spec, rule = InputSpec(**task["spec"]), Preprocess(**task["preprocess"])
                pixels = load_input(data, spec, rule, task["name"])
                image = None
            else:
                image = load_image(data, tuple(task["cover"]) if task["cover"] else None, task["name"])
        if image is None:
            write_message(answers, RESULT, pixels.tobytes())
        else:
            write_message(answers, READY, json.dumps({"size": image.size}).encode())
            write_message(answers, RESULT, image.tobytes())
    except Exception as error:  # Whatever a decoder raises is about this picture.
        _report(answers, error, task["name"])


def _serve_frames(name: str, data: bytes, requests: IO[bytes], answers: IO[bytes], seconds: float) -> None:
    """Say whether there are several pictures, and then send one after the other, as they are asked for."""
    with ends_after(seconds):
        several = is_animated(data)
    write_message(answers, READY, json.dumps({"several": several}).encode())
    if several:
        _send_frames(animation_frames(data, name), requests, answers, seconds)


def _serve_film(film: Path, requests: IO[bytes], answers: IO[bytes], seconds: float) -> None:
    from ..sources.videos import video_frames

    try:
        _send_frames(video_frames(film), requests, answers, seconds)
    except Exception as error:  # As above.
        _report(answers, error, str(film))


def _send_frames(frames: Iterator[Frame], requests: IO[bytes], answers: IO[bytes], seconds: float) -> None:
    """Answer each empty message with a frame; the last answer has none."""
    while True:
        _, _ = read_message(requests, 0)
        with ends_after(seconds):
            frame = next(frames, None)
            image = frame.picture.image() if frame is not None and frame.picture is not None else None
        _send_frame(answers, frame, image)
        if frame is None:
            return


def _send_frame(answers: IO[bytes], frame: Frame | None, image: Image.Image | None) -> None:
    said: dict[str, Any] = {"end": frame is None, "size": image.size if image is not None else None}
    if frame is not None:
        said |= {"error": frame.error, "index": frame.index, "seconds": frame.seconds}
    write_message(answers, READY, json.dumps(said).encode())
    if image is not None:
        write_message(answers, RESULT, np.asarray(image).tobytes())


def _report(answers: IO[bytes], error: Exception, name: str) -> None:
    if isinstance(error, EdgeClassifyError):
        report(answers, type(error).__name__, str(error))
    else:
        report(answers, "ImageError", f"{name} cannot be decoded ({error_text(error)})")


def _read_json(requests: IO[bytes]) -> Any:
    _, raw = read_message(requests, MAX_JSON_BYTES)
    return json.loads(raw)
