"""Peers take turns, each in a process that is stopped in between; one that fails is left out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from studies.peers import turns
from studies.peers.catalogue import PEERS, Peer
from studies.peers.environments import HERE
from studies.peers.errors import PeerError
from studies.peers.formats import SCRIPTS
from studies.peers.process import PeerProcess

from .support.pictures import make_picture

AMOUNT = turns.Amount(rounds=3, block_s=0.01, cold_starts=2)
# A runtime that answers the class in the settings, and fails in the given way at a given run.
FAKE = """
import os
import sys
import numpy as np

PACKAGE = "numpy"


class Model:
    remark = "computes nothing"
    runs = 0

    def __init__(self, says, fails_at, how):
        print("a runtime that prints to stdout")
        self.says, self.fails_at, self.how = says, fails_at, how

    def run(self, tensor):
        self.runs += 1
        assert tensor.shape == (1, 4, 6, 3) and tensor.dtype == np.float32
        if self.runs == self.fails_at and self.how == "crash":
            os.kill(os.getpid(), 11)
        if self.runs == self.fails_at and self.how == "raise":
            raise RuntimeError("no such kernel\\n for | this")
        if self.runs == self.fails_at and self.how == "exit":
            sys.stderr.write("license expired\\n")
            os._exit(3)
        return np.eye(5, dtype=np.float32)[self.says]


def open_model(model, threads, size, says=0, fails_at=0, how=""):
    return Model(says, fails_at, how)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "serve.py").write_bytes((SCRIPTS / "serve.py").read_bytes())
    (folder / "fake.py").write_text(FAKE)
    for number in range(4):
        make_picture("red disc", number).save(folder / f"{number}.jpg")
    np.save(folder / "pixels.npy", np.zeros((7, 4, 6, 3), np.uint8))
    return folder


def fake_measurement(
    folder: Path, key: str, script: str = "fake", **settings: object
) -> turns.PeerMeasurement:
    given = json.dumps({"model": "none", "threads": 1, "size": (6, 4), **settings})
    peer = Peer(key, key.title(), "float32", script, None, "none")
    return turns.PeerMeasurement(peer, (sys.executable, str(folder / "serve.py"), script, given))


@pytest.fixture
def fakes(folder: Path) -> list[turns.PeerMeasurement]:
    return [
        fake_measurement(folder, "steady", says=3),
        fake_measurement(folder, "crashing", fails_at=40, how="crash"),
        fake_measurement(folder, "raising", fails_at=1, how="raise"),
        fake_measurement(folder, "absent", script="no_such_runtime"),
    ]


def measure(measurements: list[turns.PeerMeasurement], folder: Path) -> None:
    photos = sorted(folder.glob("*.jpg"))
    with turns.opened(measurements) as processes:
        turns.measure_blocks(measurements, processes, AMOUNT)
        turns.measure_photos(measurements, processes, photos, AMOUNT)
        turns.ask_answers(measurements, processes, folder / "pixels.npy")
    turns.measure_cold_starts(measurements, photos[0], AMOUNT)


def test_peers_that_fail_are_left_out_with_their_reason_and_the_rest_goes_on(
    fakes: list[turns.PeerMeasurement], folder: Path
) -> None:
    measure(fakes, folder)
    steady, crashing, raising, absent = fakes
    assert steady.failure is None
    assert [len(steady.blocks), sum(map(len, steady.photos)), len(steady.cold)] == [3, 4, 2]
    assert steady.answers == [(3, 1.0)] * 7
    assert steady.version == f"numpy {np.__version__}"
    assert steady.remark == "computes nothing"
    assert all(peak is not None and peak > 5 for _, peak in steady.cold)
    assert crashing.failure == "it was killed by SIGSEGV"
    assert raising.failure == "no such kernel for | this"
    assert absent.failure == "No module named 'no_such_runtime'"


def test_every_block_leaves_out_its_first_tenth(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_warm_up", lambda process, block_s: 50)
    measurement = fake_measurement(folder, "steady")
    with turns.opened([measurement]) as processes:
        turns.measure_blocks([measurement], processes, AMOUNT)
    assert [len(block) for block in measurement.blocks] == [45, 45, 45]


def test_every_round_begins_with_another_peer(folder: Path) -> None:
    measurements = [fake_measurement(folder, name) for name in ("a", "b", "c")]
    order: list[str] = []
    turns._in_turn(
        measurements, 3, lambda measurement, number: order.append(f"{number}{measurement.peer.key}"), "test"
    )
    assert order == ["0a", "0b", "0c", "1b", "1c", "1a", "2c", "2a", "2b"]


@pytest.fixture
def process(folder: Path) -> Iterator[PeerProcess]:
    started = PeerProcess(fake_measurement(folder, "steady").command)
    yield started
    started.close()


def is_stopped(process: psutil.Process) -> bool:
    """Return whether it is within a few seconds: the system takes a while to stop a process."""
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(process.status() == psutil.STATUS_STOPPED)


def test_peer_is_stopped_while_nobody_asks_it(process: PeerProcess) -> None:
    watched = psutil.Process(process.pid)
    assert is_stopped(watched)
    assert len(process.ask("block", runs=4)["ms"]) == 4
    assert is_stopped(watched)


def test_peer_that_ends_by_itself_fails_with_its_last_line(folder: Path) -> None:
    measurement = fake_measurement(folder, "exiting", fails_at=3, how="exit")
    process = PeerProcess(measurement.command)
    with pytest.raises(PeerError, match="license expired"):
        process.ask("block", runs=5)


def test_peer_that_never_answers_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PeerError, match=r"gave no answer within 0\.3 seconds"):
        PeerProcess([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("line", ["welcome", "[1]"])
def test_peer_that_speaks_another_protocol_is_refused(line: str) -> None:
    with pytest.raises(PeerError, match="it ended without an answer"):
        PeerProcess([sys.executable, "-c", f"print({line!r})"])


def test_peers_end_when_the_driver_is_killed(folder: Path) -> None:
    code = (
        "import json, sys, time\n"
        "from studies.peers.process import PeerProcess\n"
        "process = PeerProcess(json.loads(sys.argv[1]))\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(fake_measurement(folder, "steady").command)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        peer = psutil.Process(int(driver.stdout.readline()))
        assert is_stopped(peer)
        os.kill(driver.pid, signal.SIGKILL)
        peer.wait(30)


def test_interrupted_round_is_dropped_for_all(folder: Path) -> None:
    measurements = [fake_measurement(folder, name) for name in ("one", "two", "gone")]
    for measurement, rounds in zip(measurements, (3, 2, 1), strict=True):
        measurement.blocks = [[1.0]] * rounds
        measurement.cold = [(1.0, 2.0)] * rounds
    measurements[2].failure = "it was killed by SIGSEGV"
    turns.keep_whole_rounds(measurements)
    assert [len(measurement.blocks) for measurement in measurements[:2]] == [2, 2]
    assert [len(measurement.cold) for measurement in measurements[:2]] == [2, 2]


def test_catalogue_names_scripts_requirements_and_bases_that_exist() -> None:
    keys = [peer.key for peer in PEERS]
    assert len(keys) == len(set(keys))
    for peer in PEERS:
        assert (SCRIPTS / f"{peer.script}.py").is_file()
        assert peer.base in keys
        assert bool(peer.packages) == (peer.environment is None)
        if peer.environment:
            assert (HERE / "requirements" / f"{peer.environment}.txt").is_file()
