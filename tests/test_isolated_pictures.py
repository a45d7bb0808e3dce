"""Pictures of --untrusted: decoded in a process of their own, to the same pixels, and believed in nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.cli import main as classify
from edge_classify.edge.decoding import decoded_by
from edge_classify.edge.errors import ImageError, SourceError
from edge_classify.edge.image import load_image, load_input
from edge_classify.edge.isolation import process
from edge_classify.edge.isolation.pictures import IsolatedDecoder, PictureLimits
from edge_classify.edge.log import use_format
from edge_classify.edge.sources.files import FileSource
from edge_classify.edge.sources.frames import Frame
from edge_classify.edge.sources.opening import open_source
from PIL import Image

from .support.delegates import TINY_DELEGATE, compile_library
from .support.encoded import encoded, part
from .support.films import write_mp4
from .support.raw_camera import RawRequest, head, raw_camera
from .support.tiny_model import write_sealed

SPEC, RULE = InputSpec(32, 48, "uint8"), Preprocess("crop")
# What a child does that was taken over: the code runs in place of picture_child.py's.
TALK = (
    "import json, os, struct, sys, time\n"
    "def send(kind, data): os.write(1, struct.pack('<cQ', kind, len(data)) + data)\n"
    "def say(**content): send(b'J', json.dumps(content).encode())\n"
    "def read(): return sys.stdin.buffer.read(struct.unpack('<cQ', sys.stdin.buffer.read(9))[1])\n"
    "read(); say(missing=[]); read(); read()\n"
)


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    made = IsolatedDecoder()
    yield made
    made.close()


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], IsolatedDecoder]:
    """Replace what children run, and return a decoder with little patience."""

    def take_over(code: str) -> IsolatedDecoder:
        monkeypatch.setattr(process, "START", TALK + code)
        return IsolatedDecoder(PictureLimits(picture_s=1 if "600" in code else 60))

    return take_over


@pytest.fixture(autouse=True)
def text_log() -> Iterator[None]:
    yield
    use_format("text")


def animation(kind: str) -> bytes:
    buffer = BytesIO()
    first, *rest = (Image.new("RGB", (20, 10), (60 * number, 0, 0)) for number in range(4))
    first.save(buffer, kind, save_all=True, append_images=rest, duration=100)
    return buffer.getvalue()


def pixels_of(frame: Frame) -> Any:
    assert frame.picture is not None, frame.error
    return np.asarray(frame.picture.image())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM"])
def test_pictures_of_all_kinds_have_the_same_pixels_as_decoded_here(
    kind: str, decoder: IsolatedDecoder, tmp_path: Path
) -> None:
    data = encoded(3, kind)
    path = tmp_path / "picture"
    path.write_bytes(data)
    here = [
        np.asarray(load_image(path)),
        np.asarray(load_image(data, (40, 30))),
        load_input(path, SPEC, RULE),
    ]
    with decoded_by(decoder):
        there = [
            np.asarray(load_image(path)), np.asarray(load_image(data, (40, 30))), load_input(path, SPEC, RULE)
        ]  # fmt: skip
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_have_the_same_frames_as_decoded_here(
    kind: str, decoder: IsolatedDecoder, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(animation(kind))
    here = list(FileSource([path]))
    with decoded_by(decoder):
        there = list(FileSource([path]))
    assert len(here) == 4
    assert [(f.source, f.index, f.seconds) for f in here] == [(f.source, f.index, f.seconds) for f in there]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(pixels_of(one), pixels_of(other))


def test_films_have_the_same_frames_as_decoded_here(decoder: IsolatedDecoder, tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "film.mp4", [0.0, 0.1, 0.3, 0.4])
    here = list(FileSource([path]))
    with decoded_by(decoder):
        there = list(FileSource([path]))
    assert [(f.index, f.seconds) for f in here] == [(f.index, f.seconds) for f in there]
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(pixels_of(one), pixels_of(other))


def test_film_that_names_other_files_cannot_read_them(decoder: IsolatedDecoder, tmp_path: Path) -> None:
    film = write_mp4(tmp_path / "real.mp4", [0.0, 0.1, 0.2])
    path = tmp_path / "list.avi"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    with decoded_by(decoder):
        frames = list(FileSource([path]))
    assert [frame.picture for frame in frames] == [None]


@pytest.mark.parametrize("damage", [b"", b"no picture at all", encoded(1)[:900], encoded(1, "PNG")[:900]])
def test_errors_are_the_same_as_of_pictures_decoded_here(
    damage: bytes, decoder: IsolatedDecoder, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(damage)
    said = []
    for one in (True, False):
        with pytest.raises(ImageError) as raised:
            if one:
                load_image(path)
            else:
                with decoded_by(decoder):
                    load_image(path)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_name_that_is_no_utf_8_is_named_in_the_error(decoder: IsolatedDecoder, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.jpg")
    try:
        path.write_bytes(encoded(1)[:500])
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    with decoded_by(decoder), pytest.raises(ImageError, match=r"/\udcff\.jpg is damaged or cut off"):
        load_image(path)


def test_children_are_used_again_and_end_with_the_decoder(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    decoder = IsolatedDecoder()
    with decoded_by(decoder):
        for number in range(5):
            load_image(encoded(number))
    own = {child.pid for child in psutil.Process().children()} - before
    assert len(own) == 1
    limits = Path(f"/proc/{own.copy().pop()}/limits")
    if limits.exists():
        (line,) = (line for line in limits.read_text().splitlines() if line.startswith("Max file size"))
        assert line.split()[3:5] == ["0", "0"]
    decoder.close()
    assert not {child.pid for child in psutil.Process().children()} & own


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 11)", r"image crashed the decoder \(SIGSEGV\)\. It is damaged or hostile"),
        ("time.sleep(600)", "image was stopped: it took longer than 1 seconds to decode"),
        ("os.write(2, b'MemoryError'); os.abort()", "asked for more than 3072 MiB of memory"),
        ("say(size=[1, 2, 3])", r"send a broken message \(a picture of \[1, 2, 3\] pixels"),
        ("say(size=[-1, -1])", "a picture of"),
        ("say(size=[100000, 100000])", "a picture of"),
        ("say(size=[4, 4]); send(b'T', bytes(47))", "47 bytes of 48"),
        ("say(size=[4, 4]); send(b'T', bytes(49))", "message b'T' of 49 bytes"),
        ("say(size='44')", "broken message"),
        ("send(b'J', b'[' * 100000)", "nested deeper than"),
        ("os.write(1, struct.pack('<cQ', b'T', 2**50)); time.sleep(9)", "are allowed"),
        ("send(b'E', b'{\"name\": \"SystemExit\", \"text\": \"I say so\"}')", "^I say so$"),
    ],
)  # fmt: skip
def test_child_that_dies_hangs_or_lies_is_an_error_of_its_picture(
    code: str, message: str, taken_over: Callable[[str], IsolatedDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = process.START
    decoder = taken_over(code)
    with decoded_by(decoder):
        with pytest.raises(ImageError, match=message):
            load_image(b"x")
        monkeypatch.setattr(process, "START", real)
        decoder.close()
    fresh = IsolatedDecoder()
    with decoded_by(fresh):
        assert load_image(encoded(1)).size == (96, 64)
    fresh.close()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("say(several=True); read(); say(end=False)", "neither picture nor reason"),
        ("say(several=True); read(); say(end=False, size=[1, 1], error=''); send(b'T', bytes(3))", "neither"),
        ("say(several=True); read(); say(end=False, index='1', error='x')", "broken message"),
        ("say(several=True); read(); say(end=False, error='\\ud800<' + 'x' * 3000); read(); say(end=True)",
         "?<" + 1998 * "x"),
        ("say(several=True); read(); say(end=False, seconds=float('nan'), error='x')", "a time that is no"),
        ("say(several=True); read(); os.kill(os.getpid(), 6)", "SIGABRT"),
    ],
)  # fmt: skip
def test_child_that_lies_about_frames_is_an_error_of_its_animation(
    code: str, message: str, taken_over: Callable[[str], IsolatedDecoder], tmp_path: Path
) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("GIF"))
    decoder = taken_over(code)
    with decoded_by(decoder):
        (frame,) = FileSource([path])
    decoder.close()
    assert frame.picture is None and message in str(frame.error)


def test_run_with_untrusted_decodes_nothing_in_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.jpg").write_bytes(encoded(1))
    (tmp_path / "2.png").write_bytes(encoded(2, "PNG"))
    (tmp_path / "3.gif").write_bytes(animation("GIF"))
    (tmp_path / "4.jpg").write_bytes(encoded(4)[:500])
    model = write_sealed(tmp_path / "m.tflite")
    arguments = ["--model", str(model), "--json", str(tmp_path), "--collect", str(tmp_path / "kept")]
    plain = CliRunner().invoke(classify, [*arguments, "--save-annotated", str(tmp_path / "a")])
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)  # Every decoder calls it.
    apart = CliRunner().invoke(
        classify, [*arguments, "--untrusted", "--save-annotated", str(tmp_path / "b"), "--force"]
    )
    times = {"decode_ms", "infer_ms"}
    lines = [
        [{key: value for key, value in json.loads(line).items() if key not in times} for line in each]
        for each in (plain.stdout.splitlines(), apart.stdout.splitlines())
    ]
    assert len(lines[0]) == 7 and lines[0] == lines[1]
    assert plain.exit_code == apart.exit_code == 1  # One picture is cut off.
    assert "does not hold in full" not in apart.stderr
    assert len(list((tmp_path / "b").iterdir())) == len(list((tmp_path / "a").iterdir())) == 6


def test_untrusted_says_in_one_line_what_a_delegate_or_opencvs_camera_takes_from_it(tmp_path: Path) -> None:
    library = compile_library(TINY_DELEGATE, tmp_path / "libtiny.so")
    film = write_mp4(tmp_path / "film.mp4", [0.0, 0.1, 0.2])
    model = write_sealed(tmp_path / "m.tflite")
    done = CliRunner().invoke(
        classify,
        ["--model", str(model), "--untrusted", "--delegate", str(library),
         "--delegate-option", "mode=take one", "--camera", str(film), "--log", "json"],
    )  # fmt: skip
    remarks = [json.loads(line) for line in done.stderr.splitlines()]
    (warning,) = (remark for remark in remarks if "--untrusted" in remark["message"])
    driver, camera = warning["not_limited"]
    assert warning["level"] == "warning"
    assert driver.startswith("its processes have all the rights of their user") and "libtiny.so" in driver
    assert camera == f"what OpenCV reads from {film} is decoded in this process"


def test_http_camera_that_sends_a_film_cannot_lead_out_of_the_sandbox(decoder: IsolatedDecoder) -> None:
    def film(_: RawRequest) -> Iterator[bytes]:
        yield head("video/mp4") + b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(5000)

    def pictures(_: RawRequest) -> Iterator[bytes]:
        yield head("multipart/x-mixed-replace; boundary=frame")
        yield part(encoded(1)) + part(encoded(2)) + part(encoded(3))

    with decoded_by(decoder):
        with (
            raw_camera(film) as camera,
            pytest.raises(SourceError, match=r"film, .* in this process, and --untr"),
        ):
            open_source(camera.address)
        with raw_camera(pictures) as camera:
            source = open_source(camera.address)
            frame = next(iter(source))
            source.close()
            assert pixels_of(frame).shape == (64, 96, 3)


def test_picture_that_takes_more_memory_than_its_process_may_is_said_to_do_so(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGBA", (4000, 4000)).save(path)
    decoder = IsolatedDecoder(PictureLimits(memory=80 << 20))
    with decoded_by(decoder), pytest.raises(ImageError, match=r"large\.png takes more memory to decode than"):
        load_image(path)
    decoder.close()


def test_file_that_is_no_file_is_not_opened(decoder: IsolatedDecoder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.gif")
    with decoded_by(decoder):
        (frame,) = FileSource([tmp_path / "fifo.gif"])
        with pytest.raises(ImageError, match="a pipe"):
            assert frame.picture is not None
            frame.picture.image()


def test_decoder_of_animations_does_not_keep_a_child_that_gave_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("GIF"))
    decoder = IsolatedDecoder()
    with decoded_by(decoder):
        frames = iter(FileSource([path]))
        next(frames)
        assert load_image(encoded(1)).size == (96, 64)
        del frames
    decoder.close()
