from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.train import disk_arrays
from edge_classify.train.cache import Cache, open_cache
from edge_classify.train.disk_arrays import fingerprint, new_array, open_array, require_room
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.cache_files import files, writer
from .support.system import small_disk


def test_new_array_is_zeros_in_a_file_that_opens_read_only(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", (3, 2), np.float32)
    assert not array.any()
    array[1] = 5
    array.flush()
    opened = open_array(tmp_path / "a.npy", (None, 2), np.float32)
    assert opened is not None and opened.dtype == np.float32 and opened.tolist() == [[0, 0], [5, 5], [0, 0]]
    with pytest.raises(ValueError, match="read-only"):
        opened[0] = 1
    assert open_array(tmp_path / "gone.npy", (None,), np.uint8) is None


def test_new_array_takes_its_place_on_the_disk_at_once(tmp_path: Path) -> None:
    array = new_array(tmp_path / "a.npy", (1 << 20,), np.uint8)
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= array.nbytes


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_file_system_that_cannot_preallocate_gets_zeros_written(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, start: int, size: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    array = new_array(tmp_path / "a.npy", (3 << 20,), np.uint8)
    assert not array.any() and (tmp_path / "a.npy").stat().st_blocks * 512 >= array.nbytes
    assert np.load(tmp_path / "a.npy").shape == (3 << 20,)


def test_full_disk_is_named_with_what_is_needed_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    cache = Cache(tmp_path / "cache", 10**9)
    with (
        pytest.raises(
            DatasetError, match=r"cache/pixels is full: 3\.0 MB are needed and .* are free.*--cache DIR"
        ),
        cache.making("pixels", {}) as folder,
    ):
        new_array(folder / "a.npy", (3_000_000,), np.uint8)
    with pytest.raises(DatasetError):
        new_array(cache.root / "a.npy", (3_000_000,), np.uint8)
    assert files(cache.root) == []


def test_disk_that_really_fills_up_ends_in_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m"), open_cache(str(tmp_path / "cache"), tmp_path, None) as cache:
        with pytest.raises(DatasetError, match=r"is full: 2\.0 MB are needed and 1\.0 MB are free"):
            require_room(cache.root, 2_000_000)
        with (
            pytest.raises(DatasetError, match=r"is full: 2\.0 MB are needed"),
            cache.making("pixels", {}) as folder,
        ):
            new_array(folder / "a.npy", (2_000_000,), np.uint8)
        with pytest.raises(DatasetError, match=r"cache is full: .* are free"):
            cache.make("facts", {}, writer(bytes(2_000_000)))
        assert files(cache.root) == []
        cache.make("pixels", {}, writer(bytes(500_000)))


@settings(max_examples=50, deadline=None)
@given(size=st.integers(0, 5000), where=st.integers(0, 4999), block=st.integers(1, 64))
def test_fingerprint_of_a_file_read_whole_notices_every_changed_byte(
    size: int, where: int, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk_arrays, "_BLOCK", block)
        patch.setattr(disk_arrays, "_BLOCKS", -(-5000 // block))
        path = tmp_path_factory.mktemp("f") / "a"
        data = bytearray(os.urandom(size))
        path.write_bytes(data)
        before = fingerprint(path)
        assert before["bytes"] == size
        if where < size:
            data[where] ^= 1
            path.write_bytes(data)
            assert fingerprint(path) != before


def test_fingerprint_of_a_large_file_notices_a_part_that_was_never_written(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, 40_000_000, np.uint8)
    data.tofile(tmp_path / "a")
    before = fingerprint(tmp_path / "a")
    assert fingerprint(tmp_path / "a") == before
    data[20_000_000:20_300_000] = 0
    data.tofile(tmp_path / "a")
    assert fingerprint(tmp_path / "a") != before
