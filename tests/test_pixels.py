from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.card import Preprocess
from edge_classify.edge.errors import DatasetError
from edge_classify.train import pixels as pixels_module
from edge_classify.train.cache import Cache, open_cache
from edge_classify.train.image_facts import ImageFacts, inspect_image
from edge_classify.train.pixels import DecodedImages, choose_image_size, decode_images, typical_side
from PIL import Image

STRETCH = Preprocess("stretch")


def _save(path: Path, color: tuple[int, int, int] = (200, 100, 50), size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with open_cache(str(tmp_path / "cache"), tmp_path, None) as opened:
        yield opened


@pytest.fixture
def decoded_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, so far."""
    names: list[str] = []

    def count(raw: bytes, path: str, sha256: str, use: Callable[[Image.Image], None]) -> ImageFacts:
        names.append(path)
        return inspect_image(raw, path, sha256, use)

    monkeypatch.setattr(pixels_module, "inspect_image", count)
    return names


def _decode(root: Path, cache: Cache, sizes: set[int], preprocess: Preprocess = STRETCH) -> DecodedImages:
    return decode_images(root, sorted(root.rglob("*.png")), sizes, preprocess, cache)


def _assert_same(one: DecodedImages, other: DecodedImages) -> None:
    assert one.facts == other.facts and set(one.pixels) == set(other.pixels)
    for size, pixels in one.pixels.items():
        assert np.array_equal(pixels, other.pixels[size])


def test_decoded_images_have_every_size_and_the_hashes_of_their_files(tmp_path: Path, cache: Cache) -> None:
    paths = [_save(tmp_path / "d" / f"bild {i}.png", (i, 100, 200)) for i in range(5)]
    decoded = decode_images(tmp_path / "d", paths, {32, 48}, STRETCH, cache)
    assert set(decoded.pixels) == {32, 48}
    for size in (32, 48):
        expected = np.broadcast_to([[[[i, 100, 200]]] for i in range(5)], (5, size, size, 3))
        assert np.array_equal(decoded.pixels[size], expected)
    assert [(fact.path, fact.sha256) for fact in decoded.facts] == [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    ]


def test_unreadable_files_have_reasons_and_zeros_and_the_others_keep_their_rows(
    tmp_path: Path, cache: Cache, decoded_names: list[str]
) -> None:
    root = tmp_path / "d"
    good = _save(root / "a.png", (1, 2, 3))
    (empty := root / "empty.png").touch()
    (gone := root / "gone.png").symlink_to("nowhere")
    (loop := root / "loop.png").symlink_to("loop.png")
    (folder := root / "folder.png").mkdir()
    for _ in range(2):
        decoded = decode_images(root, [empty, gone, loop, folder, good], {32}, STRETCH, cache)
        reasons = [fact.reason or "" for fact in decoded.facts]
        assert "it is empty (0 bytes)" in reasons[0]
        assert reasons[1:4] == [
            "no such file", "cannot be read (Too many levels of symbolic links)", "is a folder, not an image"
        ]  # fmt: skip
        assert [fact.sha256 is None for fact in decoded.facts] == [True, True, True, True, False]
        assert (decoded.pixels[32][4] == (1, 2, 3)).all() and not decoded.pixels[32][:4].any()
    assert decoded_names == ["a.png"]


def test_file_whose_name_is_no_text_has_a_name_that_can_be_written(tmp_path: Path, cache: Cache) -> None:
    path = tmp_path / "d" / "\udcff.png"
    try:
        _save(path.with_name("a.png")).rename(path)
    except OSError:
        pytest.skip("this file system refuses such names itself")
    facts = decode_images(tmp_path / "d", [path], {32}, STRETCH, cache).facts
    assert facts == (ImageFacts("\\xdcff.png", None, "its name is not valid UTF-8"),)


def test_picture_with_exif_rotation_is_decoded_upright(tmp_path: Path, cache: Cache) -> None:
    # Orientation 6 means: turn clockwise by 90 degrees. The left half, red, comes to the top.
    image = Image.new("RGB", (64, 64), "blue")
    image.paste("red", (0, 0, 32, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    pixels = _decode(tmp_path, cache, {32}).pixels[32]
    assert pixels[0, 4, 16].tolist() == [255, 0, 0] and pixels[0, 28, 16].tolist() == [0, 0, 255]


def test_resize_rule_crop_cuts_the_middle_and_stretch_keeps_the_edges(tmp_path: Path, cache: Cache) -> None:
    image = Image.new("RGB", (96, 32), "blue")
    image.paste("red", (32, 0, 64, 32))
    image.save(tmp_path / "a.png")
    crop = _decode(tmp_path, cache, {32}, Preprocess("crop")).pixels[32]
    assert (crop == (255, 0, 0)).all()
    stretch = _decode(tmp_path, cache, {32}).pixels[32]
    assert stretch[0, 16, [2, 16, 30]].tolist() == [[0, 0, 255], [255, 0, 0], [0, 0, 255]]


def test_second_run_decodes_nothing_though_the_data_set_was_moved_and_a_size_was_added(
    tmp_path: Path, cache: Cache, decoded_names: list[str]
) -> None:
    for i in range(4):
        _save(tmp_path / "d" / f"{i}.png", (i, 2, 3))
    first = _decode(tmp_path / "d", cache, {32, 48})
    assert len(decoded_names) == 4
    (tmp_path / "d").rename(tmp_path / "moved")
    _assert_same(_decode(tmp_path / "moved", cache, {48, 32}), first)
    assert len(decoded_names) == 4
    assert set(_decode(tmp_path / "moved", cache, {64, 32}).pixels) == {32, 64}
    assert len(decoded_names) == 8


def test_added_and_changed_files_are_decoded_and_the_others_copied(
    tmp_path: Path, cache: Cache, decoded_names: list[str]
) -> None:
    root = tmp_path / "d"
    paths = [_save(root / f"{i}.png", (i, 2, 3)) for i in range(5)]
    _decode(root, cache, {32, 48})
    decoded_names.clear()
    before = paths[2].stat()
    paths[2].write_bytes(_save(tmp_path / "other.png", (99, 2, 3)).read_bytes())
    os.utime(paths[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[2].stat().st_mtime_ns == before.st_mtime_ns
    _save(root / "0 new.png", (7, 7, 7))
    paths[4].unlink()
    again = _decode(root, cache, {32, 48})
    assert sorted(decoded_names) == ["0 new.png", "2.png"]
    with open_cache("none", tmp_path, None) as empty:
        _assert_same(again, _decode(root, empty, {32, 48}))
    assert again.pixels[32][:, 0, 0, 0].tolist() == [7, 0, 1, 99, 3]


def test_facts_from_the_cache_have_the_thumbnails_of_their_files(tmp_path: Path, cache: Cache) -> None:
    for name, color in (("a.png", (250, 0, 0)), ("c.png", (0, 0, 250))):
        _save(tmp_path / "d" / name, color)
    (tmp_path / "d" / "b.png").write_bytes(b"no picture")
    first, again = (_decode(tmp_path / "d", cache, {32}).facts for _ in range(2))
    assert again == first and [len(fact.thumbnail) for fact in again] == [1536, 0, 1536]
    assert again[0].thumbnail != again[2].thumbnail


def test_same_picture_under_two_names_has_both_in_the_facts(tmp_path: Path, cache: Cache) -> None:
    raw = _save(tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(raw)
    facts = _decode(tmp_path, cache, {32}).facts
    assert [fact.path for fact in facts] == ["a.png", "b.png"] and facts[0].sha256 == facts[1].sha256


def test_file_that_changes_while_it_is_read_is_named_and_nothing_is_kept(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(tmp_path / "d" / "a.png")
    read_again = pixels_module._read_again

    def change_and_read(path: Path, sha256: str) -> bytes:
        _save(path, (9, 9, 9))
        return read_again(path, sha256)

    monkeypatch.setattr(pixels_module, "_read_again", change_and_read)
    with pytest.raises(DatasetError, match=r"a\.png changed while it was read\. Start again"):
        decode_images(tmp_path / "d", [path], {32}, STRETCH, cache)
    assert [found.name for found in cache.root.rglob("*") if not found.is_dir()] == []


def test_cache_that_is_deleted_while_it_is_filled_or_used_costs_a_second_decoding_at_most(
    tmp_path: Path, cache: Cache, decoded_names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(tmp_path / "d" / "a.png", (1, 2, 3))
    read_again = pixels_module._read_again

    def delete_once(path: Path, sha256: str) -> bytes:
        if not decoded_names:
            shutil.rmtree(cache.root)
        return read_again(path, sha256)

    monkeypatch.setattr(pixels_module, "_read_again", delete_once)
    decoded = decode_images(tmp_path / "d", [path], {32}, STRETCH, cache)
    assert len(decoded_names) == 2
    shutil.rmtree(cache.root)
    assert (decoded.pixels[32] == (1, 2, 3)).all()


def test_images_that_the_disk_has_no_room_for_are_refused_and_nothing_is_written(
    tmp_path: Path, cache: Cache
) -> None:
    path = _save(tmp_path / "d" / "a.png")
    with pytest.raises(DatasetError, match=r"cache is full: 30000000\.0 GB are needed .* --cache DIR"):
        decode_images(tmp_path / "d", [path], {10**8}, STRETCH, cache)
    assert list(cache.root.iterdir()) == []


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
    assert choose_image_size("mobilenet_v2", side) == choose_image_size("resnet50", side) == mobilenet
