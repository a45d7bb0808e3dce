from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.card import Preprocess
from edge_classify.edge.errors import DatasetError
from edge_classify.train.pixels import choose_image_size, decode_images, typical_side
from PIL import Image

STRETCH = Preprocess("stretch")


def _save(path: Path, color: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def test_decoded_images_have_every_size_and_the_hashes_of_their_files(tmp_path: Path) -> None:
    paths = [_save(tmp_path / "d" / f"bild {i}.png", (i, 100, 200)) for i in range(5)]
    decoded = decode_images(tmp_path / "d", paths, {32, 48}, STRETCH, tmp_path)
    assert {size: pixels.shape for size, pixels in decoded.pixels.items()} == {
        32: (5, 32, 32, 3),
        48: (5, 48, 48, 3),
    }
    for size in (32, 48):
        expected = np.broadcast_to([[[[i, 100, 200]]] for i in range(5)], (5, size, size, 3))
        assert np.array_equal(decoded.pixels[size], expected)
    assert decoded.sha256 == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert decoded.skipped == []


def test_unreadable_files_are_skipped_with_a_reason_and_the_others_keep_their_rows(tmp_path: Path) -> None:
    root = tmp_path / "d"
    good = _save(root / "a.png", (1, 2, 3))
    empty, text, cut = root / "empty.png", root / "text.jpg", root / "cut.jpg"
    empty.touch()
    text.write_text("hello")
    cut.write_bytes(_save(root / "whole.jpg", size=(300, 300)).read_bytes()[:900])
    gone = root / "gone.png"
    gone.symlink_to("nowhere")
    decoded = decode_images(root, [empty, text, cut, gone, good], {32}, STRETCH, tmp_path)
    assert [digest is None for digest in decoded.sha256] == [True, True, True, True, False]
    assert (decoded.pixels[32][4] == (1, 2, 3)).all()
    reasons = {file.path: file.reason for file in decoded.skipped}
    assert list(reasons) == ["empty.png", "text.jpg", "cut.jpg", "gone.png"]
    assert "it is empty (0 bytes)" in reasons["empty.png"]
    assert "it starts with b'hello'" in reasons["text.jpg"]
    assert "damaged or cut off" in reasons["cut.jpg"]
    assert reasons["gone.png"] == "No such file or directory"


def test_file_whose_name_is_no_text_is_skipped_under_a_name_that_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "d" / "\udcff.png"
    try:
        _save(path.with_name("a.png")).rename(path)
    except OSError:
        pytest.skip("this file system refuses such names itself")
    decoded = decode_images(tmp_path / "d", [path], {32}, STRETCH, tmp_path)
    assert decoded.sha256 == [None] and decoded.skipped[0].reason == "its name is not valid UTF-8"
    assert decoded.skipped[0].path == "\\xdcff.png"


def test_picture_with_exif_rotation_is_decoded_upright(tmp_path: Path) -> None:
    # Orientation 6 means: turn clockwise by 90 degrees. The left half, red, comes to the top.
    image = Image.new("RGB", (64, 64), "blue")
    image.paste("red", (0, 0, 32, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    decoded = decode_images(tmp_path, [tmp_path / "a.png"], {32}, STRETCH, tmp_path)
    top, bottom = decoded.pixels[32][0, 4, 16], decoded.pixels[32][0, 28, 16]
    assert top.tolist() == [255, 0, 0] and bottom.tolist() == [0, 0, 255]


def test_resize_rule_crop_cuts_the_middle_and_stretch_keeps_the_edges(tmp_path: Path) -> None:
    image = Image.new("RGB", (96, 32), "blue")
    image.paste("red", (32, 0, 64, 32))
    image.save(tmp_path / "a.png")
    crop = decode_images(tmp_path, [tmp_path / "a.png"], {32}, Preprocess("crop"), tmp_path)
    assert (crop.pixels[32][0] == (255, 0, 0)).all()
    stretch = decode_images(tmp_path, [tmp_path / "a.png"], {32}, STRETCH, tmp_path)
    assert stretch.pixels[32][0, 16, [2, 16, 30]].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 255]]


def test_images_that_the_disk_has_no_room_for_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = _save(tmp_path / "d" / "a.png")
    with pytest.raises(DatasetError, match=r"take 30000000\.0 GB .* the disk of --output has"):
        decode_images(tmp_path / "d", [path], {10**8}, STRETCH, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_typical_side_is_the_median_of_the_shorter_sides_of_what_can_be_read(tmp_path: Path) -> None:
    sizes = [(10, 90), (50, 20), (30, 30)]
    paths = [_save(tmp_path / f"{i}.png", size=size) for i, size in enumerate(sizes)]
    (tmp_path / "bad.png").write_bytes(b"x")
    assert typical_side([*paths, tmp_path / "bad.png", tmp_path / "gone.png"]) == 20
    assert typical_side([tmp_path / "bad.png"]) == 224


@pytest.mark.parametrize(
    ("side", "cnn", "mobilenet"),
    [(8, 32, 96), (32, 32, 96), (33, 48, 96), (97, 128, 128), (161, 128, 192), (4000, 128, 224)],
)
def test_chosen_image_size_is_the_next_step_up(side: int, cnn: int, mobilenet: int) -> None:
    assert choose_image_size("cnn", side) == cnn
    assert choose_image_size("mobilenet_v2", side) == mobilenet
