"""The peers take turns, A B C A B C, so that a slow moment of the machine slows all of them."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_classify.edge.console import say
from edge_classify.edge.processes import describe_end

from studies.peers.catalogue import Peer
from studies.peers.environments import Environment, child_variables
from studies.peers.errors import PeerError
from studies.peers.process import PeerProcess

_SERVE = Path(__file__).parent / "scripts" / "serve.py"
_WARM_UP_S = 1.0
_MIN_RUNS, _MAX_RUNS = 3, 500
_LEFT_OUT = 0.1  # In the first runs of a block, the caches hold data of other peers.
_COLD_TIMEOUT_S = 300


@dataclass
class PeerMeasurement:
    """A peer with its command line, and its measurements so far. Times are ms.

    `blocks` are times of single inferences by round, `photos` by round and photo, `cold` those of whole
    processes with their peak MB; `answers` are (index, probability) of each picture. `failure` says why it
    is left out: its earlier times do not count, since the others were measured longer.
    """

    peer: Peer
    command: tuple[str, ...] = ()
    disk_mb: float | None = None
    version: str = ""
    remark: str = ""
    load_ms: float | None = None
    first_ms: float | None = None
    blocks: list[list[float]] = field(default_factory=list)
    photos: list[list[float]] = field(default_factory=list)
    cold: list[tuple[float, float | None]] = field(default_factory=list)
    answers: list[tuple[int, float]] = field(default_factory=list)
    failure: str | None = None

    def set_command(self, env: Environment, model: Path, threads: int, size: tuple[int, int]) -> None:
        """Set its command line for a model file; `size` is the input's width and height."""
        settings = {"model": str(model), "threads": threads, "size": size, **dict(self.peer.options)}
        self.command = (str(env.python), str(_SERVE), self.peer.script, json.dumps(settings))
        self.disk_mb = env.disk_mb


@dataclass(frozen=True)
class Amount:
    """How much is measured: `rounds` blocks of `block_s` seconds, photos in `rounds` parts, cold starts."""

    rounds: int
    block_s: float
    cold_starts: int


@contextmanager
def opened(measurements: Sequence[PeerMeasurement]) -> Iterator[dict[str, PeerProcess]]:
    """Start all peers, and end them afterwards; one that cannot be started is left out, with its reason."""
    with ExitStack() as stack:
        found = {}
        for measurement in _present(measurements):
            say(f"Starting {measurement.peer.key}")
            with _failing(measurement):
                process = PeerProcess(measurement.command)
                stack.callback(process.close)
                found[measurement.peer.key] = process
                measurement.version, measurement.remark = process.facts["version"], process.facts["remark"]
                measurement.load_ms, measurement.first_ms = (
                    process.facts["load_ms"],
                    process.facts["first_ms"],
                )
        yield found


def measure_blocks(
    measurements: Sequence[PeerMeasurement], processes: dict[str, PeerProcess], amount: Amount
) -> None:
    """Warm all up, then let each run a block in every round; Ctrl-C ends at the last whole round."""
    runs = {}
    for measurement in _present(measurements):
        with _failing(measurement):
            runs[measurement.peer.key] = _warm_up(processes[measurement.peer.key], amount.block_s)

    def block(measurement: PeerMeasurement, number: int) -> None:
        count = runs[measurement.peer.key]
        taken = processes[measurement.peer.key].ask("block", runs=count)["ms"]
        measurement.blocks.append(taken[int(len(taken) * _LEFT_OUT) :])

    _in_turn(measurements, amount.rounds, block, "inference")


def measure_photos(
    measurements: Sequence[PeerMeasurement],
    processes: dict[str, PeerProcess],
    paths: Sequence[Path],
    amount: Amount,
) -> None:
    """Let each classify the same photos, from file to label, a part of them in every round."""
    for path in paths:
        path.read_bytes()  # Now they are in the page cache, for the first peer too.
    parts = [[str(path) for path in paths[start :: amount.rounds]] for start in range(amount.rounds)]

    def classify(measurement: PeerMeasurement, number: int) -> None:
        measurement.photos.append(processes[measurement.peer.key].ask("photos", paths=parts[number])["ms"])

    answering = [measurement for measurement in measurements if measurement.peer.answers]
    _in_turn(answering, len([part for part in parts if part]), classify, "photos")


def ask_answers(
    measurements: Sequence[PeerMeasurement], processes: dict[str, PeerProcess], pixels: Path
) -> None:
    """Ask each peer for its answers to the same pixels."""
    for measurement in _present(measurements):
        if measurement.peer.answers:
            say(f"Asking {measurement.peer.key} for its answers")
            with _failing(measurement):
                answers = processes[measurement.peer.key].ask("answers", pixels=str(pixels))["answers"]
                measurement.answers = [(int(index), float(probability)) for index, probability in answers]


def measure_cold_starts(measurements: Sequence[PeerMeasurement], photo: Path, amount: Amount) -> None:
    """Time whole processes that classify one photo; the first of each peer reads the disk and is left out."""
    answering = [measurement for measurement in measurements if measurement.peer.answers]

    def start(measurement: PeerMeasurement, number: int) -> None:
        taken, peak = _cold_start([*measurement.command, str(photo)])
        if number:
            measurement.cold.append((taken, peak))

    _in_turn(answering, amount.cold_starts + 1, start, "cold start")


def _warm_up(process: PeerProcess, block_s: float) -> int:
    """Run a peer for a second, and return how many inferences take `block_s`."""
    runs, taken = _MIN_RUNS, [0.0]
    began = time.monotonic()
    while time.monotonic() - began < _WARM_UP_S:
        taken = process.ask("block", runs=runs)["ms"]
        runs = min(2 * runs, _MAX_RUNS)
    return max(_MIN_RUNS, min(_MAX_RUNS, round(block_s * 1000 / statistics.median(taken))))


def _in_turn(
    measurements: Sequence[PeerMeasurement],
    rounds: int,
    do: Callable[[PeerMeasurement, int], None],
    name: str,
) -> None:
    """Call `do` for each peer in every round; each round begins with another peer."""
    for number in range(rounds):
        say(f"Round {number + 1} of {rounds}: {name}")
        start = number % max(1, len(measurements))
        for measurement in [*measurements[start:], *measurements[:start]]:
            if measurement.failure is None:
                with _failing(measurement):
                    do(measurement, number)


def _cold_start(command: Sequence[str]) -> tuple[float, float | None]:
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env=child_variables(),
            capture_output=True,
            text=True,
            timeout=_COLD_TIMEOUT_S,
            check=False,
        )
        taken = (time.perf_counter() - began) * 1000
        answer: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise PeerError(f"its cold start took more than {_COLD_TIMEOUT_S} s") from None
    except ValueError:
        raise PeerError(f"its cold start {describe_end(done.returncode, done.stderr)}") from None
    if "error" in answer:
        raise PeerError(answer["error"])
    return taken, answer["peak_mb"]


def _present(measurements: Sequence[PeerMeasurement]) -> list[PeerMeasurement]:
    return [measurement for measurement in measurements if measurement.failure is None]


@contextmanager
def _failing(measurement: PeerMeasurement) -> Iterator[None]:
    """Keep a peer's error as the reason why it is left out."""
    try:
        yield
    except PeerError as error:
        measurement.failure = str(error)
        say(f"{measurement.peer.key} is left out: {error}", "warning")


def keep_whole_rounds(measurements: Sequence[PeerMeasurement]) -> None:
    """Remove the times of an interrupted round, so that all have been measured equally often."""
    present = _present(measurements)
    for what in ("blocks", "photos", "cold"):
        counts = [
            len(getattr(measurement, what))
            for measurement in present
            if measurement.peer.answers or what == "blocks"
        ]
        for measurement in present:
            del getattr(measurement, what)[min(counts, default=0) :]
