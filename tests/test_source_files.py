"""Which files folders, lists and globs mean, and that a batch survives every kind of bad one."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_classify.edge.errors import ImageError, SourceError
from edge_classify.edge.printable import printable
from edge_classify.edge.sources.files import FileSource, is_video
from edge_classify.edge.sources.frames import Frame
from edge_classify.edge.sources.listing import read_listing
from edge_classify.edge.sources.paths import count_images, find_images, natural_key, walk_images
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

NAMES = st.text(st.sampled_from("ab/ .-01\u0663é\udcff"), min_size=1, max_size=6)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def photo(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (4, 3), colour).save(path)
    return path


def found(root: Path, recursive: bool = False) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_images([root], recursive)]


def only(frames: Iterator[Frame] | FileSource) -> Frame:
    (frame,) = frames
    return frame


def reason(frame: Frame) -> str:
    """Return why a frame has no picture, whether that shows at once or in decoding."""
    if frame.picture is None:
        return str(frame.error)
    with pytest.raises(ImageError) as error:
        frame.picture.image()
    return str(error.value)


def test_folder_gives_its_images_in_natural_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    touch(tmp_path, "10.png", "9.JPG", "b 2.webp", "a 11.png", "a 2.png", ".x.png", "notes.txt", "sub/1.png")
    assert found(tmp_path) == ["9.JPG", "10.png", "a 2.png", "a 11.png", "b 2.webp"]


def test_folder_searched_recursively_gives_each_folder_once_and_follows_links_to_other_places(
    tmp_path: Path,
) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    touch(root, "1.png", "sub/2.png")
    touch(disk, "3.png", "deep/4.png")
    for name, place in {"a": disk, "b": disk / "deep", "again": disk, "back": root, "up": tmp_path}.items():
        (root / name).symlink_to(place)
    (disk / "home").symlink_to(root)
    (root / "s").symlink_to(root / "sub")
    names = found(root, recursive=True)
    assert sorted(Path(name).name for name in names) == ["1.png", "2.png", "3.png", "4.png"]
    assert "sub/2.png" in names
    assert count_images(root, recursive=True) == len(list(walk_images(root, recursive=True))) == 4
    assert found(root) == ["1.png"]


def test_folder_searched_recursively_leaves_out_links_that_lead_back(tmp_path: Path) -> None:
    touch(tmp_path, "2.png", "sub 10/1.png", "sub 9/ü/1.png", ".git/1.png", "folder.png/notes.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "album.png").symlink_to(tmp_path / "sub 9")
    assert found(tmp_path, recursive=True) == ["2.png", "sub 9/ü/1.png", "sub 10/1.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_links_to_nowhere_are_errors_and_what_is_no_file_is_counted(tmp_path: Path) -> None:
    photo(tmp_path / "2.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    (tmp_path / "mail").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    source = FileSource([tmp_path])
    good, broken, itself = source
    assert source.total == 3 and source.others.count == 2
    assert good.error is None
    assert "no such file" in reason(broken) and "cannot be read" in reason(itself)


def test_folder_without_images_is_refused_with_a_hint_at_recursion(tmp_path: Path) -> None:
    touch(tmp_path, "sub/notes.txt")
    with pytest.raises(SourceError, match=r"holds no images \(sub-folders are searched with --recursive\)"):
        find_images([tmp_path], recursive=False)
    with pytest.raises(SourceError, match=r"holds no images$"):
        find_images([tmp_path], recursive=True)
    with pytest.raises(SourceError, match=r"holds no images$"):
        FileSource([tmp_path], recursive=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_folder_that_may_not_be_read_is_refused_instead_of_called_empty(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "closed/2.png", "open/3.png")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(SourceError, match=r"closed cannot be read \(Permission denied\)"):
            FileSource([tmp_path / "closed"])
        frames = list(FileSource([tmp_path], recursive=True))
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert [Path(frame.source).name for frame in frames if frame.picture] == ["1.png", "3.png"]
    assert frames[1].error == f"{tmp_path / 'closed'} cannot be read (Permission denied)"


def test_paths_that_are_no_folders_stay_as_they_are(tmp_path: Path) -> None:
    paths = [tmp_path / "none.png", tmp_path / ("a" * 300), touch(tmp_path, ".x") / ".x"]
    assert find_images(paths, recursive=False) == paths


def test_folder_is_walked_in_the_natural_order_of_whole_paths(tmp_path: Path) -> None:
    parts = ["a", "a 1", "a-2", "a10", "1", "01", "b.png", "é"]
    rng = random.Random(0)
    for _ in range(150):
        folder = "/".join(rng.choices(parts[:6], k=rng.randrange(4)))
        touch(tmp_path, f"{folder}/{rng.choice(parts)} {rng.randrange(20)}.png".lstrip("/"))
    walked = [path for path in walk_images(tmp_path, recursive=True) if isinstance(path, Path)]
    assert walked == sorted(tmp_path.rglob("*.png"), key=natural_key)
    assert len(walked) > 100
    assert (
        count_images(tmp_path, recursive=True) == FileSource([tmp_path], recursive=True).total == len(walked)
    )
    assert count_images(tmp_path, recursive=False) == sum(1 for _ in tmp_path.glob("*.png"))


@given(st.text(st.characters(exclude_categories=["Nd"]), max_size=5), st.integers(0), st.integers(0))
def test_natural_order_of_numbered_names_is_the_numbers_order(prefix: str, a: int, b: int) -> None:
    prefix = prefix.replace("\0", "")
    first, second = Path(f"{prefix}{a}.png"), Path(f"{prefix}{b}.png")
    assert (natural_key(first) < natural_key(second)) == (a < b)


@given(NAMES, NAMES)
def test_natural_order_compares_text_as_text_and_numbers_as_numbers(one: str, other: str) -> None:
    def parts(name: str) -> list[tuple[str, int, str]]:
        pairs = re.findall(r"(\D*)(\d*)", name)
        return [(text, int(number) if number else -1, number) for text, number in pairs if text or number]

    assert (natural_key(one) < natural_key(other)) == (parts(one) < parts(other))


def test_files_that_cannot_be_read_are_frames_with_an_error_between_the_others(tmp_path: Path) -> None:
    good, bad = photo(tmp_path / "good.png"), touch(tmp_path, "bad.png") / "bad.png"
    first, second, third = FileSource([good, bad, good])
    assert (first.source, first.error, first.index, first.time) == (str(good), None, None, None)
    assert first.picture is not None and first.picture.image().size == (4, 3)
    assert (
        reason(second)
        == f"{bad} is no AVIF, BMP, GIF, HEIF, JPEG, PNG, PPM, TIFF, WEBP image: it is empty (0 bytes)"
    )
    assert third.picture is not None and third.picture.image().size == (4, 3)


def test_file_that_vanishes_after_it_was_listed_is_an_error_of_that_frame(tmp_path: Path) -> None:
    photo(tmp_path / "1.jpg"), photo(tmp_path / "2.jpg")
    frames = iter(FileSource([tmp_path]))
    next(frames)
    (tmp_path / "2.jpg").unlink()
    assert reason(only(frames)) == f"{tmp_path / '2.jpg'}: no such file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("suffix", [".jpg", ".gif", ".mp4", ""])
def test_path_that_is_no_regular_file_is_an_error_at_once_and_never_waited_for(
    suffix: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / f"fifo{suffix}")
    assert "is a pipe (FIFO), not a file" in reason(only(FileSource([tmp_path / f"fifo{suffix}"])))
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    assert "is a device, not a file" in reason(only(FileSource([tmp_path / f"zero{suffix}"])))
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"socket{suffix}"
        here = Path.cwd()
        os.chdir(tmp_path)  # A socket's whole path must be short.
        try:
            listener.bind(name)
        finally:
            os.chdir(here)
        assert "is a socket, not a file" in reason(only(FileSource([tmp_path / name])))


@pytest.mark.parametrize("name", ["none.png", "none.mp4", "none", "a" * 300, "nul\0.png"])
def test_path_that_leads_to_nothing_is_an_error_of_its_frame(name: str, tmp_path: Path) -> None:
    assert re.search("no such file|cannot be read", reason(only(FileSource([tmp_path / name]))))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse such names")
@pytest.mark.parametrize("name", [b"line\nbreak.png", b"\xff\xfe.png", b"\x1b[31mred.png", b"-.png"])
def test_file_name_of_any_bytes_is_read_and_can_be_printed_and_written_as_json(
    name: bytes, tmp_path: Path
) -> None:
    path = photo(tmp_path / os.fsdecode(name))
    for frame in (*FileSource([tmp_path]), *FileSource(["-"], listing=[os.fsencode(path) + b"\0"])):
        assert frame.picture is not None and frame.picture.image().size == (4, 3)
        assert json.loads(json.dumps(frame.source)) == str(path)
        assert "\x1b" not in printable(frame.source)
        printable(frame.source).encode()


@given(
    st.lists(st.binary(min_size=1, max_size=9).filter(lambda b: not {0, 10, 13} & set(b))),
    st.sampled_from([b"\0", b"\n", b"\r\n"]),
    st.integers(1, 7),
    st.booleans(),
)
def test_list_of_paths_is_read_whatever_pieces_it_comes_in(
    paths: list[bytes], separator: bytes, size: int, ended: bool
) -> None:
    data = separator.join(paths) + (separator if ended else b"")
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert list(read_listing(pieces)) == [os.fsdecode(path) for path in paths]


def test_list_separated_by_nuls_keeps_line_breaks_in_names() -> None:
    assert list(read_listing([b"a\nb\0", b"c\r\0\0"])) == ["a\nb", "c\r"]


def test_list_gives_each_path_before_the_next_has_come(tmp_path: Path) -> None:
    asked: list[int] = []

    def slowly() -> Iterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield f"{tmp_path / str(number)}.png\n".encode()

    source = FileSource(["-"], listing=slowly())
    assert source.total is None
    for number, frame in enumerate(source):
        assert frame.source == str(tmp_path / f"{number}.png")
        assert asked == list(range(number + 1))


def test_list_may_name_folders_and_survives_bad_entries(tmp_path: Path) -> None:
    photo(tmp_path / "1.png")
    touch(tmp_path, "empty/notes.txt")
    listing = f"{tmp_path}\n{tmp_path / 'empty'}\n{tmp_path / 'none'}\n{tmp_path / '1.png'}".encode()
    first, second, third, fourth = FileSource(["-"], listing=[listing])
    assert (first.source, fourth.source) == (str(tmp_path / "1.png"),) * 2
    assert "holds no images" in reason(second)
    assert "no such file" in reason(third)


@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
def test_image_instead_of_a_list_is_the_picture(size: int, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.png").read_bytes()
    (frame,) = FileSource(["-"], listing=[data[at : at + size] for at in range(0, len(data), size)])
    assert frame.source == "-" and frame.picture is not None and frame.picture.image().size == (4, 3)


def test_film_instead_of_a_list_is_refused_for_what_it_is() -> None:
    with pytest.raises(SourceError, match="standard input holds a film, and no list"):
        list(FileSource(["-"], listing=[b"\0\0\0\x18ftypisom" + bytes(100)]))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"), ("./a.jpg\n".encode("utf-16"), "UTF-16"), ("./a.jpg\n".encode("utf-16-le"), "UTF-16"),
        (gzip.compress(b".\n.\n"), "gzip"), (b"PK\3\4\n.\n", "zip"), (b"<!DOCTYPE html>\n.\n", "web page"),
        (b"a.jpg" + bytes(95) + b"0000644\0\n.\n", "binary"), (b"\x07\x9b\x02\n.\n", "binary"),
    ],
    ids=["empty", "UTF-16", "UTF-16 without mark", "gzip", "zip", "page", "tar", "binary"],
)  # fmt: skip
def test_what_is_no_list_is_one_error_and_searches_no_folder(data: bytes, kind: str) -> None:
    with pytest.raises(SourceError, match=f"standard input (is|holds) .*{kind}"):
        list(FileSource(["-"], listing=[data] if data else []))


def test_list_from_windows_names_its_first_file_too(tmp_path: Path) -> None:
    listing = b"\xef\xbb\xbf" + os.fsencode(photo(tmp_path / "1.png")) + b"\r\n"
    assert only(FileSource(["-"], listing=[listing])).error is None


def test_address_in_a_list_is_called_one() -> None:
    assert reason(only(FileSource(["-"], listing=[b"https://a.example/1.png\n"]))).startswith("https://a.ex")


def test_empty_path_is_refused_and_not_the_current_folder() -> None:
    with pytest.raises(SourceError, match="an empty path"):
        FileSource(["", "1.png"])


def test_list_that_is_none_is_refused_instead_of_kept_in_memory() -> None:
    with pytest.raises(SourceError, match="an entry of more than 65536 bytes"):
        for _ in FileSource(["-"], listing=(b"x" * 9000 for _ in range(10**9))):
            pass


def test_list_on_standard_input_is_read_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr("sys.stdin", os.fdopen(reader))
    os.write(writer, f"{photo(tmp_path / '1.png')}\n".encode())
    frames = iter(FileSource(["-"]))
    first: list[Frame] = []
    thread = threading.Thread(target=lambda: first.append(next(frames)), daemon=True)
    thread.start()
    thread.join(60)
    assert [frame.source for frame in first] == [str(tmp_path / "1.png")]
    os.close(writer)
    assert list(frames) == []


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.mp4", b"", True),
        ("a.MKV", b"", True),
        ("a.png", b"\0\0\0\x20ftypisom", False),
        ("a", b"\0\0\0\x20ftypisom", True),
        ("a.heic", b"\0\0\0\x20ftypheic", False),
        ("a", b"RIFF\0\0\0\0AVI LIST", True),
        ("a", b"RIFF\0\0\0\0WEBPVP8 ", False),
        ("a", b"\x1a\x45\xdf\xa3", True),
        ("a", b"\x47" + bytes(187) + b"\x47", True),
        ("a", b"GIF89a" + bytes(300), False),
        ("a", b"", False),
    ],
)
def test_video_is_known_by_its_suffix_or_else_by_its_first_bytes(
    name: str, head: bytes, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(head)
    assert is_video(tmp_path / name) is expected
