"""What is an image or a film in a folder is told by content, and what is not read is named as what it is."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.predict import read_pixels
from edge_classify.edge.card import InputSpec, Preprocess
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import load_image
from edge_classify.edge.labelled import LabelledImage, scan_class_folders
from edge_classify.edge.picture_kinds import HEAD, kind_not_read, looks_like_picture
from edge_classify.edge.sources.files import FileSource
from PIL import Image, features

# The first box of files from phones and cameras: ISO/IEC 14496-12, brands as registered at mp4ra.org.
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
CR3 = b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 60)).save(file, kind)
    return file.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a.mpo", "JPEG"), ("a", "JPEG"), ("a.txt", "JPEG"),
     ("a.bin", "BMP"), ("b", "PNG"), ("c", "WEBP"), ("d", "TIFF"), ("e.1", "PPM"), ("a.heic", "JPEG")],
)  # fmt: skip
def test_image_under_any_name_is_found_and_read(name: str, kind: str, tmp_path: Path) -> None:
    put(tmp_path, name, saved(kind))
    (frame,) = FileSource([tmp_path])
    assert frame.error is None and frame.picture is not None
    red, green, blue = frame.picture.image().resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert abs(red - 200) < 4 and abs(green - 30) < 4 and abs(blue - 60) < 4


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    assert load_image(put(tmp_path, "a", saved("AVIF"))).size == (40, 30)


@pytest.mark.parametrize(
    ("name", "data"),
    [("README.txt", b"Photos of 2024\n"), (".DS_Store", b"\0\0\0\1Bud1"), ("._a.jpg", b"\0\5\x16\7"),
     ("bm.csv", b"BMW,Audi\n1,2\n"), ("p.txt", b"P1 is the first person\n"), ("app.ts", b"Get()\nGlobal\n"),
     ("song", b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42"), ("empty", b"")],
)  # fmt: skip
def test_other_files_are_counted_and_change_nothing(name: str, data: bytes, tmp_path: Path) -> None:
    put(tmp_path, name, data)
    put(tmp_path, "photo.png", saved("PNG"))
    source = FileSource([tmp_path])
    assert [Path(frame.source).name for frame in source] == ["photo.png"]
    assert source.others.count == 1 and ": 1" in str(source.others.remark())


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("a.heic", HEIC, "HEIC"), ("a", HEIC, "HEIC"), ("a.dng", b"II*\0" + bytes(100), r"raw photo \(DNG\)"),
     ("a.nef", saved("TIFF"), r"raw photo \(NEF\)"), ("a", CR3, "raw photo"), ("a.mov", MP4, "film"),
     ("a", MP4, "film"), ("a.psd", b"8BPS", "Photoshop"), ("a", b"\xff\x0a\0", "JPEG XL"),
     ("a.tga", b"\0\0\2", "Targa"), ("a", b"P7\nWIDTH 2\n", "PAM"), ("a", b"PF\n2 2\n", "PFM"),
     ("a.jpg", b"\xff\xd8\xff\xf7\0\x0b", "JPEG-LS"),
     ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
     ("a.jpg", b"<!DOCTYPE html>\n<html>", "web page")],
)  # fmt: skip
def test_what_is_not_read_is_named_wherever_it_lies(
    name: str, data: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # As where it is not installed.
    path = put(tmp_path, f"set/class/{name}", data)
    assert scan_class_folders(tmp_path / "set").subsets["all"]["class"] == [path]
    with pytest.raises(ImageError, match=said) as error:
        load_image(path)
    assert "damaged" not in str(error.value)
    with pytest.raises(
        ImageError, match=rf"^{re.escape(str(path))} is .*{said}"
    ):  # In scoring and calibrating.
        read_pixels(LabelledImage(path, "class"), InputSpec(32, 32, "uint8"), Preprocess())
    (frame,) = FileSource([path.parent])
    assert frame.error is not None or frame.picture is not None


def test_photo_of_a_phone_is_read_where_its_decoder_is_installed(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC photos are read with pillow-heif")
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = (200, 30, 60)
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=95)
    for name in ("a.heic", "a", "a.jpg"):
        found = np.asarray(load_image(put(tmp_path, name, file.getvalue())))
        assert found.shape == pixels.shape
        assert np.abs(found[:, 4:28].astype(int) - (200, 30, 60)).max() <= 6 and found[:, 36:].max() <= 6
    with pytest.raises(ImageError, match=r"damaged or cut off \(HEIC: "):
        load_image(put(tmp_path, "half.heic", file.getvalue()[: len(file.getvalue()) // 2]))


def test_looking_reads_no_more_than_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "a", saved("PNG") + bytes(10_000))
    sizes = []

    def read(file: int, size: int) -> bytes:
        sizes.append(size)
        return saved("PNG")[:size]

    monkeypatch.setattr("edge_classify.edge.picture_kinds.os.read", read)
    assert looks_like_picture(str(path))
    assert looks_like_picture(str(tmp_path / "known.jpg"))
    assert sizes == [HEAD]


def test_bytes_decide_before_the_suffix() -> None:
    assert kind_not_read(saved("JPEG")[:HEAD], ".dng") is None
    assert kind_not_read(saved("PNG")[:HEAD], ".mp4") is None
