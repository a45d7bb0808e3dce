"""The cameras of a machine: the kernel's answers and picamera2 are faked at their outermost calls."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import types
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources import v4l2
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.devices import CameraDevice, list_cameras
from edge_classify.edge.sources.opening import open_source

from .support.streams import linux_only

pytestmark = linux_only
CAPTURE, METADATA = 0x00000001, 0x00800000  # V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_META_CAPTURE


class Kernel:
    """Answers the V4L2 requests for files that stand for devices: name, driver, capabilities, formats."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cards: dict[str, tuple[str, str, int]] = {}
        self.busy = False
        self.formats = [(b"MJPG", [(1280, 720), (640, 480)]), (b"YUYV", [])]

    def add(self, number: int, card: str, driver: str, capabilities: int) -> None:
        path = self.folder / f"video{number}"
        path.touch()
        self.cards[str(path)] = card, driver, capabilities

    def ioctl(self, file: Any, request: int, argument: bytes) -> bytes:
        if str(file.name) not in self.cards:
            raise PermissionError(errno.EACCES, "Permission denied")
        card, driver, capabilities = self.cards[str(file.name)]
        size = request >> 16 & 0x3FFF
        assert size == len(argument)  # The kernel copies as many bytes as the request's number says.
        number = request & 0xFF
        if number == 0:
            return struct.pack("<16s32s32sIII12x", driver.encode(), card.encode(), b"usb", 0, 0, capabilities)
        if number == 8:
            if self.busy:
                raise OSError(errno.EBUSY, "Device or resource busy")
            return argument
        index = struct.unpack_from("<I", argument)[0]
        if number == 2:
            if index >= len(self.formats):
                raise OSError(errno.EINVAL, "Invalid argument")
            code: bytes = self.formats[index][0]
            return argument[:44] + code + argument[48:]
        sizes = dict(self.formats)[argument[4:8]]
        if number == 74 and not sizes and index == 0:  # From 16x8 to 1920x1080.
            return argument[:8] + struct.pack("<7I", 3, 16, 1920, 2, 8, 1080, 2) + argument[36:]
        if number != 74 or index >= len(sizes):
            raise OSError(errno.EINVAL, "Invalid argument")
        return argument[:8] + struct.pack("<3I", 1, *sizes[index]) + argument[20:]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    fake = Kernel(tmp_path)
    monkeypatch.setattr(v4l2, "_DEV", tmp_path)
    monkeypatch.setattr(fcntl, "ioctl", fake.ioctl)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    return fake


class Picamera2:
    """What edge/sources/picamera.py calls of picamera2.Picamera2; pictures are blue, in BGR order."""

    models: tuple[str, ...] = ("imx708", "ov5647")
    started: ClassVar[list[Picamera2]] = []
    fails = False

    def __init__(self, number: int) -> None:
        if self.fails:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.number = number
        self.closed = False
        self.configuration: dict[str, Any] = {}

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return [{"Model": model, "Num": number} for number, model in enumerate(cls.models)]

    def create_video_configuration(self, main: dict[str, Any], controls: dict[str, Any]) -> dict[str, Any]:
        return {"main": main, "controls": controls}

    def configure(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration

    def camera_configuration(self) -> dict[str, Any]:
        width, height = self.configuration["main"]["size"]
        return {"main": {"size": (width // 2 * 2, height // 2 * 2)}}  # As libcamera, which wants even sides.

    def start(self) -> None:
        self.started.append(self)

    def capture_array(self, name: str) -> np.ndarray[Any, Any]:
        assert name == "main" and self.configuration["main"]["format"] == "RGB888"
        width, height = self.camera_configuration()["main"]["size"]
        return np.full((height, width, 3), (250, 20, 10), np.uint8) + np.random.default_rng().integers(
            0, 3, (height, width, 3), dtype=np.uint8
        )

    def stop(self) -> None:
        self.started.remove(self)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def picamera(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> type[Picamera2]:
    class Installed(Picamera2):
        started: ClassVar[list[Picamera2]] = []

    module = types.ModuleType("picamera2")
    module.Picamera2 = Installed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Installed


def test_csi_camera_gives_rgb_pictures_of_the_size_and_rate_asked_for_and_is_given_back(
    picamera: type[Picamera2],
) -> None:
    remarks: list[str] = []
    source = open_source("picamera:1", CameraOptions(size=(65, 48), fps=25, rotate=180), remarks.append)
    (device,) = picamera.started
    frames = list(islice(source, 2))
    source.close()
    assert device.number == 1 and device.closed and picamera.started == []
    assert device.configuration["controls"] == {"FrameDurationLimits": (40_000, 40_000)}
    assert remarks == ["--camera picamera:1 has no 65x48, and gives 64x48"]
    assert frames[1].source == "picamera:1" and frames[1].picture is not None
    image = frames[1].picture.image()
    red, _, blue = np.asarray(image).reshape(-1, 3).mean(0)
    assert image.size == (64, 48) and red < 20 and blue > 240


def test_csi_camera_in_use_by_another_program_is_refused(
    picamera: type[Picamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picamera, "fails", True)
    with pytest.raises(SourceError, match=r"libcamera cannot start it .*Is another program using it\?"):
        open_source("picamera")


def test_csi_camera_that_is_not_there_is_refused_with_those_that_are(picamera: type[Picamera2]) -> None:
    with pytest.raises(SourceError, match=r"no such CSI camera \(found: imx708, ov5647\)"):
        open_source("picamera:2")


def test_missing_picamera2_is_named_with_the_packages_that_bring_it(kernel: Kernel) -> None:
    with pytest.raises(SourceError, match=r"apt install python3-picamera2.*--system-site-packages"):
        open_source("picamera")


def test_picamera2_built_for_another_numpy_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SourceError, match=r"numpy\.dtype size changed.*pip uninstall numpy"):
        open_source("picamera")


def test_cameras_are_listed_by_name_with_formats_and_without_nodes_that_give_no_pictures(
    kernel: Kernel, picamera: type[Picamera2]
) -> None:
    kernel.add(10, "HD Webcam", "uvcvideo", CAPTURE)
    kernel.add(2, "Microscope", "uvcvideo", CAPTURE)
    kernel.add(3, "Microscope", "uvcvideo", METADATA)
    kernel.add(0, "unicam", "unicam", CAPTURE)
    formats = ("MJPG 1280x720, 640x480", "YUYV 16x8 to 1920x1080")
    assert list_cameras() == [
        CameraDevice("imx708", "picamera", "libcamera", "", ()),
        CameraDevice("ov5647", "picamera:1", "libcamera", "", ()),
        CameraDevice("Microscope", "2", "uvcvideo", str(kernel.folder / "video2"), formats),
        CameraDevice("HD Webcam", "10", "uvcvideo", str(kernel.folder / "video10"), formats),
    ]


def test_cameras_are_listed_without_opencv_and_also_those_that_this_user_may_not_open(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    kernel.add(2, "Microscope", "uvcvideo", CAPTURE)
    (tmp_path / "video4").touch()  # The kernel refuses every question about it.
    (tmp_path / "video4linux" / "video4").mkdir(parents=True)
    (tmp_path / "video4linux" / "video4" / "name").write_text("Laptop camera\n")
    monkeypatch.setattr(v4l2, "_SYSFS", tmp_path / "video4linux")
    first, second = list_cameras()
    assert (first.address, first.name) == ("2", "Microscope")
    assert second == CameraDevice("Laptop camera", "4", "", str(tmp_path / "video4"), ())


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("0", "is part of the Raspberry Pi's own camera: use --camera picamera"),
        ("1", "gives no pictures, only data about them: try the number before it"),
        ("2", r"video2 \(uvcvideo\) can be opened, but sends no pictures"),
        ("3", r"video3 does not exist. Found: .*video2$"),
    ],
)
def test_camera_that_does_not_open_is_explained(kernel: Kernel, device: str, message: str) -> None:
    kernel.add(0, "unicam", "unicam", CAPTURE)
    kernel.add(1, "Microscope", "uvcvideo", METADATA)
    kernel.add(2, "Microscope", "uvcvideo", CAPTURE)
    with pytest.raises(SourceError, match=message):
        open_source(device)


def test_camera_that_another_program_uses_is_said_to_be_busy(kernel: Kernel) -> None:
    kernel.add(2, "Microscope", "uvcvideo", CAPTURE)
    kernel.busy = True
    with pytest.raises(SourceError, match="video2 is busy: another program is using it"):
        open_source("2")


def test_camera_without_permission_names_the_group(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.add(0, "Microscope", "uvcvideo", CAPTURE)
    monkeypatch.setattr(os, "access", lambda *_: False)  # Root, as tests may be, is refused nothing.
    with pytest.raises(SourceError, match=r"permission denied.*sudo usermod -aG video \$USER"):
        open_source("0")


def test_auto_takes_the_csi_camera_first(picamera: type[Picamera2]) -> None:
    source = open_source("auto")
    frame = next(iter(source))
    source.close()
    assert frame.source == "picamera"


def test_auto_lists_all_that_it_tried_and_why_each_failed(kernel: Kernel) -> None:
    kernel.add(4, "Microscope", "uvcvideo", CAPTURE)
    kernel.add(0, "unicam", "unicam", CAPTURE)
    with pytest.raises(SourceError) as error:
        open_source("auto")
    first, _, reasons = str(error.value).partition(". ")
    tried = reasons.split("; ")
    assert first == "--camera auto cannot be opened: no camera that was tried gives pictures"
    assert "\n" not in reasons  # Which an error would show by its code.
    assert [line.split(":")[0] for line in tried] == ["picamera", str(kernel.folder / "video4")]
    assert "python3-picamera2" in tried[0] and "sends no pictures" in tried[1]


def test_auto_without_any_camera_says_so(kernel: Kernel) -> None:
    with pytest.raises(SourceError, match="this machine has no USB camera"):
        open_source("auto")
