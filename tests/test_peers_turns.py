"""Peers take turns, each in a process that stands still in between; one that fails is left out."""

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
from studies.peers.conversation import Conversation
from studies.peers.environments import HERE
from studies.peers.errors import PeerError
from studies.peers.formats import SCRIPTS

from .support.pictures import make_picture

AMOUNT = turns.Amount(rounds=3, block_s=0.01, cold_starts=2)
# A runtime that says the class that the settings name, and does what is planned at the run of that number.
FAKE = """
import os
import sys
import numpy as np

PACKAGE = "numpy"


class Model:
    remark = "computes nothing"
    runs = 0

    def __init__(self, says, fails_at, how):
        print("a runtime that talks on stdout")
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


def fake_seat(folder: Path, key: str, script: str = "fake", **settings: object) -> turns.Seat:
    given = json.dumps({"model": "none", "threads": 1, "size": (6, 4), **settings})
    peer = Peer(key, key.title(), "float32", script, None, "none")
    return turns.Seat(peer, (sys.executable, str(folder / "serve.py"), script, given))


@pytest.fixture
def fakes(folder: Path) -> list[turns.Seat]:
    return [
        fake_seat(folder, "steady", says=3),
        fake_seat(folder, "crashing", fails_at=40, how="crash"),
        fake_seat(folder, "raising", fails_at=1, how="raise"),
        fake_seat(folder, "absent", script="no_such_runtime"),
    ]


def measure(seats: list[turns.Seat], folder: Path) -> None:
    photos = sorted(folder.glob("*.jpg"))
    with turns.opened(seats) as talks:
        turns.measure_blocks(seats, talks, AMOUNT)
        turns.measure_photos(seats, talks, photos, AMOUNT)
        turns.ask_answers(seats, talks, folder / "pixels.npy")
    turns.measure_cold_starts(seats, photos[0], AMOUNT)


def test_peers_that_fail_are_left_out_with_their_reason_and_the_rest_goes_on(
    fakes: list[turns.Seat], folder: Path
) -> None:
    measure(fakes, folder)
    steady, crashing, raising, absent = fakes
    assert steady.failure is None
    assert [len(steady.blocks), sum(map(len, steady.photos)), len(steady.cold)] == [3, 4, 2]
    assert steady.answers == [(3, 1.0)] * 7
    assert steady.version == f"numpy {np.__version__}"
    assert steady.remark == "computes nothing"
    assert all(peak is not None and peak > 5 for _, peak in steady.cold)
    assert crashing.failure == "it was ended by SIGSEGV"
    assert raising.failure == "no such kernel for | this"
    assert absent.failure == "No module named 'no_such_runtime'"


def test_every_block_leaves_out_its_first_tenth(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_warm_up", lambda talk, block_s: 50)
    seat = fake_seat(folder, "steady")
    with turns.opened([seat]) as talks:
        turns.measure_blocks([seat], talks, AMOUNT)
    assert [len(block) for block in seat.blocks] == [45, 45, 45]


def test_every_round_begins_with_another_peer(folder: Path) -> None:
    seats = [fake_seat(folder, name) for name in ("a", "b", "c")]
    order: list[str] = []
    turns._in_turn(seats, 3, lambda seat, number: order.append(f"{number}{seat.peer.key}"), "test")
    assert order == ["0a", "0b", "0c", "1b", "1c", "1a", "2c", "2a", "2b"]


@pytest.fixture
def talk(folder: Path) -> Iterator[Conversation]:
    conversation = Conversation(fake_seat(folder, "steady").command)
    yield conversation
    conversation.close()


def stands_still(process: psutil.Process) -> bool:
    """Return whether it does within a few seconds: the system stops a process when it gets to it."""
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(process.status() == psutil.STATUS_STOPPED)


def test_peer_stands_still_while_nobody_asks_it(talk: Conversation) -> None:
    process = psutil.Process(talk._process.pid)
    assert stands_still(process)
    assert len(talk.ask("block", runs=4)["ms"]) == 4
    assert stands_still(process)


def test_peer_that_ends_by_itself_tells_its_last_words(folder: Path) -> None:
    seat = fake_seat(folder, "exiting", fails_at=3, how="exit")
    talk = Conversation(seat.command)
    with pytest.raises(PeerError, match="license expired"):
        talk.ask("block", runs=5)


def test_peer_that_never_answers_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PeerError, match=r"did not answer within 0\.3 s"):
        Conversation([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("said", "told"), [("welcome", "no JSON: b'welcome'"), ("[1]", "no answer: b'\\[1\\]'")]
)
def test_peer_that_speaks_another_protocol_is_refused(said: str, told: str) -> None:
    with pytest.raises(PeerError, match=told):
        Conversation([sys.executable, "-c", f"print({said!r})"])


def test_peers_end_when_the_driver_is_killed(folder: Path) -> None:
    code = (
        "import json, sys, time\n"
        "from studies.peers.conversation import Conversation\n"
        "talk = Conversation(json.loads(sys.argv[1]))\n"
        "print(talk._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(fake_seat(folder, "steady").command)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as driver:
        assert driver.stdout is not None
        peer = psutil.Process(int(driver.stdout.readline()))
        assert stands_still(peer)
        os.kill(driver.pid, signal.SIGKILL)
        peer.wait(30)


def test_interrupted_round_is_dropped_for_all(folder: Path) -> None:
    seats = [fake_seat(folder, name) for name in ("one", "two", "gone")]
    for seat, rounds in zip(seats, (3, 2, 1), strict=True):
        seat.blocks = [[1.0]] * rounds
        seat.cold = [(1.0, 2.0)] * rounds
    seats[2].failure = "it was ended by SIGSEGV"
    turns.keep_whole_rounds(seats)
    assert [len(seat.blocks) for seat in seats[:2]] == [2, 2]
    assert [len(seat.cold) for seat in seats[:2]] == [2, 2]


def test_catalogue_names_scripts_requirements_and_bases_that_exist() -> None:
    keys = [peer.key for peer in PEERS]
    assert len(keys) == len(set(keys))
    for peer in PEERS:
        assert (SCRIPTS / f"{peer.script}.py").is_file()
        assert peer.base in keys
        assert bool(peer.packages) == (peer.environment is None)
        if peer.environment:
            assert (HERE / "requirements" / f"{peer.environment}.txt").is_file()
