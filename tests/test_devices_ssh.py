"""The whole way over a real sshd: what is sent, run, followed, interrupted and brought back."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.devices import run
from edge_classify.benchmarks.devices.link import BOOTSTRAP, Link
from edge_classify.benchmarks.devices.remote_job import DeviceOutcome, RemoteJob
from edge_classify.benchmarks.devices.ssh import LinkError
from edge_classify.benchmarks.devices.target import Target
from edge_classify.benchmarks.results.origin import describe_origin
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.labelled import LabelledImage

from .support.ssh_server import SshServer, keep_stand_in, one_wheel

HOSTILE = (
    "two words.tflite",
    'it\'s "quoted" $(touch stolen).tflite',
    "-o.tflite",
    "line\nbreak.tflite",
    "ü%s.tflite",
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    started = SshServer(tmp_path / "server")
    monkeypatch.setenv("EDGE_CLASSIFY_SSH", started.command)
    monkeypatch.setattr(run, "build_wheel", one_wheel)
    yield started
    started.stop()


def measure(job: RemoteJob, *names: str, on_records: Any = None) -> list[DeviceOutcome]:
    return run.run_on(
        [Target.parse(name) for name in names], job, on_records or (lambda _target, _lines: None)
    )


def left_behind(server: SshServer) -> list[str]:
    return [path.name for path in (server.cache / "edge-classify").glob("benchmark-*")]


def write_models(folder: Path, *names: str) -> tuple[Path, ...]:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(b"model %d" % number * 100_000)
    return tuple(folder / name for name in names)


def test_files_with_hostile_names_are_sent_whole_and_come_back_under_their_names(
    server: SshServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_stand_in(server)
    files = write_models(tmp_path / "my models", *HOSTILE)
    other = write_models(tmp_path / "others", HOSTILE[0])
    picture = tmp_path / "bild 1.PNG"
    picture.write_bytes(b"picture")
    (tmp_path / "labels").write_text("red disc\n")
    job = RemoteJob(
        (*files, *other),
        images=(LabelledImage(picture, "red disc"), LabelledImage(picture, "grün & blau")),
        data="my photos",
        labels=tmp_path / "labels",
        keep=True,
    )
    (outcome,) = measure(job, "pi")
    assert outcome.error is None
    assert outcome.left is None
    assert [record["file"] for record in outcome.records] == [str(path) for path in (*files, *other)]
    for record, path in zip(outcome.records, (*files, *other), strict=True):
        assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert record["device"] == "pi"
        assert record["origin"]["commit"] == describe_origin().commit
        assert record["ratio"] == {"base": str(files[0])}
        assert record["remarks"] == [f"{path} is fine"]
        assert record["labels"] == "red disc\n"
        assert record["accuracy"]["data"] == "my photos"
        assert list(record["accuracy"]["images"].values()) == [hashlib.sha256(b"picture").hexdigest()] * 2
    assert not list(server.folder.rglob("stolen"))
    assert left_behind(server) == []
    assert f"pi: measuring {files[0]}" in capsys.readouterr().err


def test_a_connection_that_is_cut_goes_on_without_a_second_start(
    server: SshServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = keep_stand_in(server)
    files = write_models(tmp_path / "models", "a.tflite", "b.tflite", "c.tflite")
    cut: list[int] = []

    def cut_once(_target: Target, _lines: list[dict[str, Any]]) -> None:
        if not cut:
            cut.append(server.cut())

    (outcome,) = measure(RemoteJob(files, ("--seconds", "1"), keep=True), "pi", on_records=cut_once)
    assert cut[0] > 0
    assert outcome.error is None
    assert [record["file"] for record in outcome.records] == [str(path) for path in files]
    assert log.read_text() == "start\n"
    remarks = capsys.readouterr().err
    assert remarks.count("the connection was lost") == remarks.count("connected again") == 1
    assert left_behind(server) == []


def test_a_device_that_stays_away_ends_with_what_was_measured_and_says_what_is_left(
    server: SshServer, tmp_path: Path
) -> None:
    keep_stand_in(server)
    files = write_models(tmp_path / "models", "a.tflite", "b.tflite")
    job = RemoteJob(files, ("--seconds", "1"), keep=True, patience=2)
    (outcome,) = measure(job, "pi", on_records=lambda _target, _lines: server.stop())
    assert [record["file"] for record in outcome.records] == [str(files[0])]
    assert outcome.error is not None
    assert "refuses the connection" in outcome.error
    assert outcome.left is not None
    assert "could not be removed" in outcome.left


def test_one_device_that_fails_costs_the_other_nothing(server: SshServer, tmp_path: Path) -> None:
    keep_stand_in(server)
    files = write_models(tmp_path / "models", "a.tflite")
    seen: list[str] = []
    outcomes = measure(
        RemoteJob(files, keep=True), "pi", "nowhere.invalid", "pi2",
        on_records=lambda target, lines: seen.extend(f"{target.name} {line['device']}" for line in lines),
    )  # fmt: skip
    assert [outcome.target.name for outcome in outcomes] == ["pi", "nowhere.invalid", "pi2"]
    assert [len(outcome.records) for outcome in outcomes] == [1, 0, 1]
    assert "no machine with this name" in (outcomes[1].error or "")
    assert sorted(seen) == ["pi pi", "pi2 pi2"]
    assert left_behind(server) == []


def test_ctrl_c_ends_the_far_run_keeps_its_results_and_cleans_up(server: SshServer, tmp_path: Path) -> None:
    log = keep_stand_in(server)
    files = write_models(tmp_path / "models", *(f"{number}.tflite" for number in range(50)))
    seen: list[dict[str, Any]] = []

    def interrupt_once(_target: Target, lines: list[dict[str, Any]]) -> None:
        if not seen:
            os.kill(os.getpid(), signal.SIGINT)
        seen.extend(lines)

    (outcome,) = measure(RemoteJob(files, ("--seconds", "0.5"), keep=True), "pi", on_records=interrupt_once)
    assert outcome.interrupted
    assert list(outcome.records) == seen
    assert 1 <= len(seen) < 10
    assert log.read_text() == "start\ninterrupted\n"
    assert left_behind(server) == []


def local_link(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Link:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return Link(["sh", "-c", BOOTSTRAP], "benchmark-0123456789abcdef", threading.Event())


def test_a_file_that_was_half_sent_is_resumed_and_a_changed_one_is_sent_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, half = os.urandom(1_000_000), 400_000
    row = ["models/0/m.tflite", len(data), hashlib.sha256(data).hexdigest()]
    fields = {"name": row[0], "size": row[1], "sha256": row[2]}
    link = local_link(tmp_path, monkeypatch)

    def first_half() -> Iterator[bytes]:
        yield data[:half]
        raise LinkError("cut")

    with pytest.raises(LinkError):
        link.ask("take", first_half, offset=0, **fields)
    link.close()
    link = local_link(tmp_path, monkeypatch)
    assert link.ask("offer", files=[row])["present"] == [half]
    assert link.ask("take", lambda: iter([data[half:]]), offset=half, **fields)["right"]
    assert link.ask("offer", files=[row])["present"] == [len(data)]
    other = hashlib.sha256(b"other").hexdigest()
    assert link.ask("offer", files=[[row[0], len(data), other]])["present"] == [0]
    assert not link.ask("take", lambda: iter([data]), offset=0, name="x", size=len(data), sha256=other)[
        "right"
    ]
    for name in ("../outside", "/tmp/outside"):
        with pytest.raises(LinkError, match="not inside"):
            link.ask("take", name=name, size=0, offset=0, sha256=other)
    assert link.ask("remove")["left"] is None
    link.close()


def test_a_new_connection_ends_the_agent_of_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = local_link(tmp_path, monkeypatch)
    link = local_link(tmp_path, monkeypatch)
    with pytest.raises(LinkError):
        dead.ask("stop")
    assert link.ask("remove")["left"] is None
    dead.close()
    link.close()


@pytest.mark.slow
def test_the_runner_is_installed_there_measures_and_goes_without_a_trace(server: SshServer) -> None:
    (outcome,) = measure(RemoteJob((DEFAULT_MODEL,), ("--runs", "20")), "pi")
    assert outcome.error is None
    assert outcome.status == 0
    (record,) = outcome.records
    assert record["file"] == str(DEFAULT_MODEL)
    assert record["median_ms"] > 0
    assert not list((server.cache / "edge-classify").iterdir())
