"""Usage: python studies/live.py MODEL.tflite [--inference-ms 100] [--frames 100] [--soak 200000]

Claim: the answer to a camera's frame comes after 1.19 times the inference, the runner adds 0.15 ms to each
frame, and memory does not grow.

Age: another process serves MJPEG at 30 frames a second on loopback. The model runs on each frame again and
again until `--inference-ms` are over: as slow as a large model on a small board, and as busy. Overhead: the
same model at full speed gets frames without waiting, so that the time beside decoding and inference is the
runner's. With --soak only memory is measured: frames go through the live source (a real grabber thread),
decoding, the model, smoothing and holding, and their JSON lines, text and CSV are discarded. The exit status
is 1 where resident memory grows by 5 MB or more after the first 1,000 frames.
"""

from __future__ import annotations

import http.server
import io
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.answers.rules import AnswerRules
from edge_classify.edge.classifier import Classifier, Prediction
from edge_classify.edge.outputs.csv_lines import CsvLines
from edge_classify.edge.outputs.json_lines import JsonLines
from edge_classify.edge.outputs.output import Output
from edge_classify.edge.outputs.text_lines import TextLines
from edge_classify.edge.running.session import RunnerPlan, Session
from edge_classify.edge.sources.camera import Shot
from edge_classify.edge.sources.frames import EncodedPicture, Frame
from edge_classify.edge.sources.live import LiveSource
from edge_classify.edge.sources.opening import open_source
from PIL import Image

_LIMIT_MB = 5.0
_SETTLED = 1000
FPS = 30
SIZE = 640, 480


class Slow(Classifier):
    """A classifier that runs its model until `least_ms` have passed."""

    least_ms = 0.0

    def classify_pixels(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], top: int = 3) -> Prediction:
        """Classify again and again until the time has passed."""
        began = time.perf_counter()
        while True:
            prediction = super().classify_pixels(pixels, top)
            elapsed = (time.perf_counter() - began) * 1000
            if elapsed >= self.least_ms:
                return prediction._replace(infer_ms=elapsed)


class Ready:
    """A source that gives each frame without waiting."""

    live = True
    total = None

    def __init__(self, jpegs: list[bytes]) -> None:
        """Take the pictures, which are repeated."""
        self._jpegs = jpegs

    def __iter__(self) -> Iterator[Frame]:
        """Yield without end."""
        for number, jpeg in enumerate(itertools.cycle(self._jpegs)):
            yield Frame("ready", EncodedPicture(jpeg), index=number, grabbed=time.monotonic())

    def close(self) -> None:
        """Nothing is open."""


class Times:
    """An output that keeps the times of each frame, in milliseconds."""

    failed = 0

    def __init__(self) -> None:
        """Begin without frames."""
        self.age: list[float] = []
        self.decode: list[float] = []
        self.infer: list[float] = []

    def show(self, result: FrameResult) -> None:
        """Take one result."""
        if result.age_ms is not None and result.answers:
            self.age.append(result.age_ms)
            self.decode.append(result.answers[0].decode_ms)
            self.infer.append(result.answers[0].prediction.infer_ms)

    def close(self) -> None:
        """Nothing is open."""


class Nowhere:
    """A writer that discards its lines."""

    def write(self, lines: str) -> None:
        """Discard them."""

    def close(self) -> None:
        """Nothing is open."""


def pictures(count: int, size: tuple[int, int]) -> list[bytes]:
    """Return JPEGs of `size` (width, height): noise over slopes, no two alike, as large as a camera's."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    made = []
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 8, (height, width, 3))
        pixels = (np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], 2) + noise).clip(0, 255)
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=85)
        made.append(buffer.getvalue())
    return made


def serve(jpegs: list[bytes], port: Any) -> None:
    """Serve them as a camera does, 30 a second; runs in a child process."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            began = time.monotonic()
            for number, jpeg in enumerate(itertools.cycle(jpegs)):
                time.sleep(max(0.0, began + number / FPS - time.monotonic()))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    port.send(server.server_port)
    server.serve_forever()


def plan(frames: int, rules: AnswerRules) -> RunnerPlan:
    """Return the runner's plan for a camera."""
    return RunnerPlan(rules, lambda given: given, lambda result: True, frames, workers=1)


def measure_age(model: Path, inference_ms: float, frames: int) -> None:
    """Print how old answers are, against the time of inference."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(pictures(FPS, SIZE), theirs), daemon=True)
    server.start()
    classifier = Slow.from_file(model)
    assert isinstance(classifier, Slow)
    classifier.least_ms = inference_ms
    source = open_source(f"http://127.0.0.1:{ours.recv()}/")
    times = Times()
    Session(source, [classifier], plan(frames, AnswerRules())).run([JsonLines(Nowhere()), times])
    source.close()
    server.terminate()
    age, infer = statistics.median(times.age), statistics.median(times.infer)
    click.echo(
        f"{frames} frames at {FPS} a second, {SIZE[0]}x{SIZE[1]}: inference {infer:.1f} ms, "
        f"from grab to result {age:.1f} ms (most {max(times.age):.1f}): {age / infer:.2f} times"
    )


def measure_overhead(model: Path, frames: int) -> None:
    """Print the runner's time beside decoding and inference."""
    classifier = Classifier.from_file(model)
    source, times = Ready(pictures(FPS, SIZE)), Times()
    shares = []
    for _ in range(5):
        times = Times()
        began = time.perf_counter()
        Session(source, [classifier], plan(frames, AnswerRules())).run([JsonLines(Nowhere()), times])
        whole = (time.perf_counter() - began) * 1000
        work = sum(times.decode) + sum(times.infer)
        shares.append(whole / work - 1)
    width, height = classifier.size
    decode, infer = statistics.median(times.decode), statistics.median(times.infer)
    click.echo(
        f"{model.name}, {width}x{height}: decode {decode:.2f} ms, inference {infer:.2f} ms; "
        f"the runner adds {statistics.median(shares):.1%}"
    )


class Camera:
    """A camera that has the next picture after a millisecond."""

    name = "synthetic"
    ends = False

    def __init__(self) -> None:
        """Draw the pictures, which are repeated."""
        self._jpegs = itertools.cycle(pictures(30, (320, 240)))

    def read(self) -> Shot:
        """Return the next picture, as bytes of its own."""
        time.sleep(0.001)
        return Shot(EncodedPicture(bytes(bytearray(next(self._jpegs)))), time.monotonic())

    def close(self) -> None:
        """Nothing is open."""


class Memory:
    """An output that reads the process's memory now and then."""

    failed = 0

    def __init__(self, frames: int) -> None:
        """Take the number of frames to come."""
        self._every = max(1, (frames - _SETTLED) // 10)
        self._seen = 0
        self._start = 0.0
        self.growth = 0.0

    def show(self, result: FrameResult) -> None:
        """Count a frame."""
        self._seen += 1
        if self._seen == _SETTLED:
            self._start = self._resident()
            click.echo(f"after {_SETTLED:,} frames: {self._start:.1f} MB")
        elif self._seen > _SETTLED and (self._seen - _SETTLED) % self._every == 0:
            self.growth = self._resident() - self._start
            click.echo(f"after {self._seen:,} frames: {self.growth:+.2f} MB")

    def close(self) -> None:
        """Nothing is open."""

    def _resident(self) -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def soak(model: Path, frames: int) -> float:
    """Print the memory, and return by how many MB it grew."""
    source = LiveSource("synthetic", Camera)
    memory = Memory(frames)
    nowhere = Nowhere()
    rules = AnswerRules(smooth=5, hold=0.5)
    outputs: list[Output] = [JsonLines(nowhere), TextLines(nowhere), CsvLines(nowhere, rules.top), memory]
    Session(source, [Classifier.from_file(model)], plan(frames, rules)).run(outputs)
    source.close()
    return memory.growth


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--inference-ms", default=100.0, show_default=True)
@click.option("--frames", default=100, show_default=True)
@click.option("--soak", "soaked", type=int, metavar="FRAMES")
def main(model: Path, inference_ms: float, frames: int, soaked: int | None) -> None:
    """Measure age and overhead, or memory."""
    if soaked is not None:
        if soak(model, soaked) >= _LIMIT_MB:
            raise click.exceptions.Exit(1)
        return
    measure_age(model, inference_ms, frames)
    measure_overhead(model, max(frames, 300))


if __name__ == "__main__":
    main()
