"""edge-classify in front of a camera: a real server on loopback that stops and starts under its feet."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support.commands import BIN
from .support.streams import CameraServer
from .support.tiny_model import write_sealed
from .support.waiting import wait_until

SECRET = "geheim"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def camera() -> Iterator[CameraServer]:
    server = CameraServer()
    server.start()
    yield server
    server.stop()


def start(model: Path, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [str(BIN / "edge-classify"), "-m", str(model), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    record: dict[str, Any] = json.loads(process.stdout.readline())
    return record


def test_camera_that_goes_and_comes_back_is_said_once_and_answers_go_on(
    model: Path, camera: CameraServer
) -> None:
    with start(model, "--camera", camera.address("/stream"), "--json") as process:
        first = line(process)
        assert first["frame"] is not None and first["age_ms"] >= 0
        camera.stop()
        record = line(process)
        while "error" not in record:
            record = line(process)
        camera.start()
        back = line(process)
        assert back["predictions"][0]["label"] == "red"
        assert back["frame"] > first["frame"]
        process.send_signal(signal.SIGTERM)
        _, remarks = process.communicate(timeout=60)
    assert process.returncode == 0
    assert remarks.count("is back after") == 1
    assert "frames/s" in remarks and "Traceback" not in remarks


def test_label_that_stays_is_told_once(model: Path, camera: CameraServer) -> None:
    with start(model, "--camera", camera.address("/stream"), "--json", "--on-change") as process:
        assert line(process)["predictions"][0]["label"] == "red"
        wait_until(lambda: camera.sent > 40)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")


def test_password_of_a_camera_reaches_no_output(model: Path, camera: CameraServer) -> None:
    address = camera.address("/digest", "admin", SECRET)
    with start(model, "--json", "--log", "json", env={"EDGE_CLASSIFY_CAMERA": address}) as process:
        record = line(process)
        camera.stop()
        while "error" not in record:
            record = line(process)
        process.send_signal(signal.SIGTERM)
        lines, remarks = process.communicate(timeout=60)
    assert record["source"].startswith("http://***@127.0.0.1")
    assert SECRET not in lines + remarks + json.dumps(record)
    assert {"time", "level", "message"} <= set(json.loads(remarks.splitlines()[-1]))


def test_service_manager_is_told_of_the_start_the_life_and_the_end(
    model: Path, camera: CameraServer, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        with start(model, "--camera", camera.address("/stream"), "--json", env=env) as process:
            assert manager.recv(1000).startswith(b"READY=1")
            line(process)
            camera.mode = "stalled"  # Also while no frame comes.
            assert [manager.recv(1000) for _ in range(5)] == [b"WATCHDOG=1"] * 5
            process.send_signal(signal.SIGTERM)
            message = manager.recv(1000)
            while message == b"WATCHDOG=1":
                message = manager.recv(1000)
            process.communicate(timeout=60)
    assert message == b"STOPPING=1"
    assert process.returncode == 0


def test_half_pictures_are_left_out_and_counted(model: Path, camera: CameraServer) -> None:
    camera.mode = "half"
    with start(model, "--camera", camera.address("/stream"), "--json", "--frames", "20") as process:
        lines, remarks = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all("error" not in json.loads(text) for text in lines.splitlines())
    assert remarks.count("damaged picture") == 1


def test_web_page_in_place_of_a_stream_is_refused_with_what_it_is(model: Path, camera: CameraServer) -> None:
    with start(model, "--camera", camera.address("/page")) as process:
        lines, remarks = process.communicate(timeout=60)
    assert (process.returncode, lines) == (1, "")
    assert "text/html" in remarks and "Traceback" not in remarks


def test_unsure_frames_are_collected_within_the_limit(
    model: Path, camera: CameraServer, tmp_path: Path
) -> None:
    arguments = ("--collect", tmp_path / "kept", "--collect-below", "1", "--collect-max", "1")
    with start(model, "--camera", camera.address("/stream"), *arguments, "--frames", "15") as process:
        _, remarks = process.communicate(timeout=60)
    assert process.returncode == 0, remarks
    (picture,) = (tmp_path / "kept" / "unsure").glob("*.jpg")
    record = json.loads(picture.with_suffix(".json").read_text())
    assert record["models"][0]["predictions"][0]["label"] == "red"
    assert sorted(path.name for path in (tmp_path / "kept" / "labelled").iterdir()) == [
        "blue", "green", "grey", "red",
    ]  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    lines, remarks = process.communicate(timeout=60)
    return process.returncode, lines, remarks


def test_camera_that_never_gives_a_picture_ends_the_run_with_the_reason(
    model: Path, camera: CameraServer
) -> None:
    camera.mode = "stalled"
    arguments = ("--camera", camera.address("/stream"), "--json", "--frames", "1", "--frozen-after", "1")
    with start(model, *arguments) as process:
        status, lines, remarks = finish(process)
    assert (status, lines) == (1, "")
    assert (
        "gives no pictures: it gave no picture for 1 s" in remarks
        and "frame" not in remarks.split("gives")[0]
    )


def test_notice_of_a_lost_camera_is_printed_and_is_no_frame(model: Path, camera: CameraServer) -> None:
    few = ("--frames", "5", "--fps", "2", "--frozen-after", "1")
    with start(model, "--camera", camera.address("/stream"), "--json", *few) as process:
        records = [line(process)]
        camera.mode = "stalled"
        while "error" not in records[-1]:
            records.append(line(process))
        camera.mode = "normal"
        status, lines, remarks = finish(process)
    records += [json.loads(text) for text in lines.splitlines()]
    assert status == 0
    assert len([record for record in records if "predictions" in record]) == 5
    assert "5 frames in " in remarks


def test_lone_frame_has_no_rate(model: Path, camera: CameraServer) -> None:
    with start(model, "--camera", camera.address("/stream"), "--frames", "1") as process:
        status, _, remarks = finish(process)
    assert status == 0 and "One frame in " in remarks and "frames/s" not in remarks


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_run_that_is_ended_before_its_first_frame_is_no_success(
    model: Path, camera: CameraServer, number: signal.Signals, status: int
) -> None:
    camera.mode = "stalled"
    with start(model, "--camera", camera.address("/stream"), "--frozen-after", "60") as process:
        wait_until(lambda: camera.requests > 0)
        process.send_signal(number)
        assert finish(process)[0] == status
