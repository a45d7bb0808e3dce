"""Which cameras the doctor sees, whether they may be opened, and whether one gives a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.doctor.cameras import check_camera, check_devices
from edge_classify.edge.doctor.delegates import check_edge_tpu
from edge_classify.edge.doctor.finding import ERROR, OK, WARNING, Finding
from edge_classify.edge.sources.camera import CameraOptions

WEBCAM = ("video0", "HD Pro Webcam C920", "0")
ITS_METADATA = ("video1", "HD Pro Webcam C920", "1")
CODEC = ("video10", "bcm2835-codec-decode", "0")
CSI = ("video2", "unicam-image", "0")


def _machine(root: Path, *nodes: tuple[str, str, str]) -> Path:
    (root / "dev").mkdir()
    for node, name, index in nodes:
        folder = root / "sys/class/video4linux" / node
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text(f"{index}\n")
        (root / "dev" / node).touch()
    return root


def test_webcam_is_listed_once_without_metadata_nodes_and_codecs(tmp_path: Path) -> None:
    found = list(check_devices(_machine(tmp_path, CODEC, WEBCAM, ITS_METADATA)))
    assert found == [Finding("camera 0", OK, f"HD Pro Webcam C920, {tmp_path / 'dev/video0'}")]


def test_machine_without_cameras_is_ok_and_says_so(tmp_path: Path) -> None:
    assert list(check_devices(_machine(tmp_path, CODEC))) == [Finding("cameras", OK, "none is connected")]


def test_camera_that_may_not_be_opened_names_the_group_to_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Nothing is forbidden to root.
    (found,) = check_devices(_machine(tmp_path, WEBCAM))
    assert found.status == ERROR
    assert found.remedy is not None
    assert "sudo usermod -aG" in found.remedy
    assert "log out and in again" in found.remedy


def _install_picamera(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "picamera2.py").write_text(body)
    monkeypatch.syspath_prepend(folder)


def test_csi_camera_without_picamera2_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_picamera(tmp_path, "raise ImportError('libcamera.so.0.5: cannot open')", monkeypatch)
    (found,) = check_devices(_machine(tmp_path, CSI))
    assert found.status == ERROR
    assert "libcamera.so.0.5" in found.detail
    assert found.remedy is not None
    assert "python3-picamera2" in found.remedy


def test_csi_camera_that_libcamera_knows_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
class Picamera2:
    @staticmethod
    def global_camera_info():
        print("[0:01:02] INFO Camera")  # libcamera logs.
        return [{"Model": "imx708", "Num": 0}]
"""
    _install_picamera(tmp_path, body, monkeypatch)
    (found,) = check_devices(_machine(tmp_path, CSI))
    assert found == Finding("CSI camera", OK, "imx708: use --camera picamera")


def _video(path: Path, brightness: int) -> Path:
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(np.full((48, 64, 3), brightness, np.uint8))
    writer.release()
    return path


def test_source_that_gives_a_picture_is_ok_with_its_size(tmp_path: Path) -> None:
    (found,) = check_camera(str(_video(tmp_path / "v.avi", 120)), CameraOptions())
    assert found.status == OK
    assert found.detail.startswith("64x48 pixels")


def test_source_that_is_black_is_a_warning_about_the_lens_cap(tmp_path: Path) -> None:
    (found,) = check_camera(str(_video(tmp_path / "v.avi", 0)), CameraOptions())
    assert found.status == WARNING
    assert found.remedy is not None
    assert "lens cap" in found.remedy


def test_source_that_cannot_be_opened_is_an_error_without_its_password() -> None:
    (found,) = check_camera("http://user:geheim@127.0.0.1:9/video?token=geheim", CameraOptions())
    assert found.status == ERROR
    assert "127.0.0.1:9" in found.detail
    assert "geheim" not in str(found)
    assert "\n" not in found.detail


def _coral(root: Path) -> Path:
    folder = root / "sys/bus/usb/devices/2-1"
    folder.mkdir(parents=True)
    for name, value in (("idVendor", "1a6e"), ("idProduct", "089a"), ("busnum", "2"), ("devnum", "3")):
        (folder / name).write_text(f"{value}\n")
    return root


def test_coral_stick_without_its_library_is_a_warning_that_names_it(tmp_path: Path) -> None:
    (found,) = check_edge_tpu(_coral(tmp_path))
    assert found.status == WARNING
    assert "libedgetpu.so.1" in found.detail
    assert found.remedy is not None
    assert "libedgetpu1-std" in found.remedy


def test_machine_without_accelerator_is_fine(tmp_path: Path) -> None:
    assert list(check_edge_tpu(tmp_path)) == [Finding("accelerator", OK, "no Edge TPU")]
