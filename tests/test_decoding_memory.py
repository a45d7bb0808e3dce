"""Small files that hold huge pictures: one budget for all threads, by the memory that is left."""

from __future__ import annotations

import gc
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from edge_classify.edge import image as decoding
from edge_classify.edge.decoding_memory import PictureMemory, available_bytes, bytes_to_decode
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import load_image
from edge_classify.edge.image_file import open_image
from edge_classify.edge.processes import python_command, run
from PIL import Image

MB = 10**6


def bomb(kind: str, mode: str = "L", side: int = 2000, **options: Any) -> bytes:
    """Return a picture of one colour, which takes little room in a file."""
    data = BytesIO()
    Image.new(mode, (side, side)).save(data, kind, **options)
    return data.getvalue()


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that the system says are left, in a list of one; the budget of this process follows it."""
    said = [10**12]
    monkeypatch.setattr(decoding, "PICTURES", PictureMemory(lambda: said[0], patience_s=0.5))
    return said


def test_picture_that_the_machine_has_no_memory_for_is_refused_before_it_is_decoded(
    left: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb("PNG", side=11_000))
    assert path.stat().st_size < 200_000
    left[0] = 400 * MB
    before = psutil.Process().memory_info().rss
    with pytest.raises(ImageError, match=r"bomb\.png: it has 11000 x 11000 pixels, .* 605 MB .* 400 MB"):
        load_image(path)
    assert psutil.Process().memory_info().rss - before < 20 * MB


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {}), ("PNG", "P", {"transparency": 0}), ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"lossless": True}), ("TIFF", "L", {"compression": "tiff_deflate"}), ("GIF", "P", {}),
        ("JPEG", "RGB", {"progressive": True}), ("BMP", "RGB", {}), ("PNG", "I;16", {}),
    ],
)  # fmt: skip
def test_all_kinds_of_pictures_are_counted(
    kind: str, mode: str, options: dict[str, Any], left: list[int]
) -> None:
    left[0] = 10 * MB
    data = bomb(kind, mode, **options)
    with pytest.raises(ImageError, match=r"2000 x 2000 pixels, which take \d+ MB"):
        load_image(data)
    left[0] = 10**12
    assert load_image(data).size == (2000, 2000)


def test_jpeg_counts_as_what_it_is_decoded_to(left: list[int]) -> None:
    left[0] = 10 * MB
    assert load_image(bomb("JPEG", "RGB", side=7000), (224, 224)).size == (875, 875)


def test_large_pictures_wait_for_each_other_and_all_are_decoded(
    left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, under_way, most = bomb("PNG"), [0], [0]
    lock = threading.Lock()
    real = decoding.to_rgb

    def slow(image: Image.Image) -> Image.Image:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return real(image)

    monkeypatch.setattr(decoding, "to_rgb", slow)
    left[0] = 50 * MB  # Two of 20 MB fit into nine tenths of it.
    sizes: list[tuple[int, int]] = []
    threads = [threading.Thread(target=lambda: sizes.append(load_image(data).size)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sizes == [(2000, 2000)] * 8
    assert most[0] == 2


def test_picture_waits_for_others_that_are_in_use_and_not_for_ever(left: list[int]) -> None:
    data = bomb("PNG")
    kept = load_image(data)
    left[0] = 1 * MB
    started = time.monotonic()
    with pytest.raises(ImageError, match="Shrink it first"):
        load_image(data)
    assert time.monotonic() - started > 0.4

    def give_back() -> None:
        nonlocal kept
        time.sleep(0.1)
        left[0] = 10**12
        del kept
        gc.collect()

    threading.Thread(target=give_back).start()
    assert load_image(data).size == (2000, 2000)


def test_picture_that_cannot_be_decoded_gives_its_memory_back(left: list[int]) -> None:
    left[0] = 30 * MB
    for _ in range(5):
        with pytest.raises(ImageError, match="damaged or cut off"):
            load_image(bomb("PNG")[:600])
    assert load_image(bomb("PNG")).size == (2000, 2000)


def test_what_is_left_is_the_least_of_machine_and_control_groups(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert available_bytes(tmp_path) is None
    write("proc/meminfo", "MemTotal: 4000 kB\nMemAvailable:    3000 kB\n")
    assert available_bytes(tmp_path) == 3000 * 1024
    write("proc/self/cgroup", "0::/user.slice/edge.service\n")
    write("sys/fs/cgroup/user.slice/memory.max", "max\n")
    write("sys/fs/cgroup/user.slice/memory.current", "5\n")
    assert available_bytes(tmp_path) == 3000 * 1024
    write("sys/fs/cgroup/user.slice/edge.service/memory.max", "1000000\n")
    write("sys/fs/cgroup/user.slice/edge.service/memory.current", "900000\n")
    assert available_bytes(tmp_path) == 100_000
    write("sys/fs/cgroup/user.slice/edge.service/memory.stat", "anon 1\ninactive_file 50000\n")
    assert available_bytes(tmp_path) == 150_000
    write("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu:/docker/abc\n")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000\n")
    assert available_bytes(tmp_path) == 0
    assert (available_bytes() or 0) > 10 * MB


# The peak of this process alone: that of getrusage is inherited.
PEAK = """
import re
from pathlib import Path
from typing import Any
from edge_classify.edge.image import load_image
def peak():
    return 1024 * int(re.search("VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
load_image(Path(sys.argv[1]))
before = peak()
load_image(Path(sys.argv[2]))
print(peak() - before)
"""


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "L", {}), ("PNG", "RGBA", {}), ("PNG", "P", {"transparency": 0}), ("TIFF", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}), ("GIF", "P", {}), ("JPEG", "RGB", {"progressive": True}),
    ],
)  # fmt: skip
def test_estimate_is_no_less_than_what_decoding_takes(
    kind: str, mode: str, options: dict[str, Any], tmp_path: Path
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bomb(kind, mode, side=64, **options))
    large.write_bytes(bomb(kind, mode, side=4000, **options))
    with open_image(large) as image:
        estimate = bytes_to_decode(image)
    done = run(python_command(PEAK, str(small), str(large)), 300)
    assert done.status == 0, done.errors
    assert int(done.output) < 1.1 * estimate
    assert estimate < 3 * int(done.output)  # Nor is it so much that good pictures are refused.
