"""A cache that others can write into: nothing of theirs is trained on, and nothing hangs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.card import Preprocess
from edge_classify.edge.ownership import others_can_write
from edge_classify.train.cache import VERSION, Cache, open_cache
from edge_classify.train.disk_arrays import fingerprint
from edge_classify.train.image_facts import ImageFacts
from edge_classify.train.pixel_store import PixelStore

from .support.cache_files import writer
from .support.training import CNN, train

ROOT_ONLY = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs the right to give files to another user"
)
SOMEBODY = 12345
HASH = "a" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    (tmp_path / "cache").mkdir(mode=0o700)
    return Cache((tmp_path / "cache").resolve(), 10**9)


def test_new_cache_and_its_entries_are_for_the_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_cache(str(tmp_path / "new"), tmp_path, None) as opened:
            folder = opened.make("pixels", {"a": 1}, writer(b"one"))
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o077 for path in (tmp_path / "new", folder, *folder.iterdir())}
    assert not any(modes.values()), modes


def _open_to_all(root: Path) -> None:
    root.chmod(0o777)


def _open_to_a_group(root: Path) -> None:
    os.chown(root, -1, SOMEBODY)
    root.chmod(0o770)


def _of_somebody(root: Path) -> None:
    os.chown(root, SOMEBODY, -1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_open_to_all, "can be written by every user"),
        pytest.param(_open_to_a_group, f"can be written by the group {SOMEBODY}", marks=ROOT_ONLY),
        pytest.param(_of_somebody, f"belongs to the user {SOMEBODY}", marks=ROOT_ONLY),
    ],
)
def test_cache_that_others_can_write_into_is_not_used_and_this_is_said(
    change: Callable[[Path], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "shared"
    root.mkdir(mode=0o700)
    Cache(root, 10**9).make("pixels", {"a": 1}, writer(b"swapped"))
    change(root)
    with open_cache(str(root), tmp_path, None) as opened:
        assert opened.entry("pixels", {"a": 1}) is None and opened.root != root.resolve()
    text = capsys.readouterr().err
    assert f"The cache {root} {said}" in text and "--cache DIR" in text and "chmod go-w" in text
    root.chmod(0o700)
    os.chown(root, os.geteuid(), -1)
    with open_cache(str(root), tmp_path, None) as opened:
        assert opened.entry("pixels", {"a": 1}) is not None


@ROOT_ONLY
@pytest.mark.parametrize("name", ["", "data.bin", "entry.json"])
def test_entry_that_another_user_made_is_made_again(
    name: str, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cache.make("pixels", {"a": 1}, writer(b"swapped"))
    os.chown(folder / name, SOMEBODY, -1)
    assert list(cache.similar("pixels", {"a": 2}, "a")) == []
    assert cache.make("pixels", {"a": 1}, writer(b"own")) == folder
    assert (folder / "data.bin").read_bytes() == b"own"
    assert f"belongs to the user {SOMEBODY}. It is made again" in capsys.readouterr().err


def _entry(folder: Path, **changes: Any) -> None:
    """Write an entry whose fingerprints are right: whoever can write the files can write them."""
    files = {path.name: fingerprint(path) for path in folder.iterdir()
             if path.is_file() and not path.is_symlink() and path.name != "entry.json"}  # fmt: skip
    value = {"version": VERSION, "recipe": {"a": 1}, "files": files, **changes}
    (folder / "entry.json").write_text(json.dumps(value))


def _pipe(folder: Path) -> None:
    (folder / "data.bin").unlink()
    os.mkfifo(folder / "data.bin")


def _pipe_for_the_entry(folder: Path) -> None:
    (folder / "entry.json").unlink()
    os.mkfifo(folder / "entry.json")


def _link(folder: Path) -> None:
    (folder / "data.bin").rename(folder.parent.parent / "elsewhere")
    (folder / "data.bin").symlink_to(folder.parent.parent / "elsewhere")


@pytest.mark.parametrize(
    "damage",
    [
        _pipe,
        _pipe_for_the_entry,
        _link,
        lambda folder: (folder / "more.bin").write_bytes(b"not listed"),
        lambda folder: (folder / "data.bin").mkdir() if (folder / "data.bin").unlink() else None,
        lambda folder: _entry(folder, files={"../../../secret": {"bytes": 1, "crc32": 1}}),
        lambda folder: _entry(folder, files=[1]),
        lambda folder: _entry(folder, recipe="x"),
        lambda folder: (folder / "entry.json").write_text("[" * 100_000),
        lambda folder: (folder / "entry.json").write_text('{"version": 1e999}'),
        lambda folder: (folder / "entry.json").write_text("9" * 10_000),
        lambda folder: (folder / "entry.json").write_bytes(b"\xff\xfe{\0}\0"),
    ],
)
def test_hostile_entry_is_made_again_and_never_waited_for(
    damage: Callable[[Path], object], cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cache.make("pixels", {"a": 1}, writer(b"one"))
    damage(folder)
    assert list(cache.similar("pixels", {"a": 2}, "a")) in ([], [folder])
    assert cache.make("pixels", {"a": 1}, writer(b"own")) == folder
    assert (folder / "data.bin").read_bytes() == b"own"
    assert "It is made again" in capsys.readouterr().err


def _store(cache: Cache) -> PixelStore:
    return PixelStore(cache, [HASH], Preprocess())


def _fill(store: PixelStore) -> None:
    facts = ImageFacts("", HASH, None, "PNG", 8, 8, 3.0, bytes(1536))

    def decode(arrays: Any, _donor: Any) -> list[ImageFacts]:
        for array in arrays.values():
            array[:] = 7
        return [facts]

    store.fill([8], decode)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("pixels", "pixels.npy", np.zeros((1, 9, 9, 3), np.uint8)),
        ("pixels", "pixels.npy", np.zeros((2, 8, 8, 3), np.uint8)),
        ("pixels", "pixels.npy", np.zeros((1, 8, 8, 3), np.float64)),
        ("pixels", "pixels.npy", np.zeros((), np.uint8)),
        ("pixels", "pixels.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr': '|O', 'shape': (1,)}"),
        ("pixels", "pixels.npy", b""),
        ("facts", "facts.json", b"[]"),
        ("facts", "facts.json", b"{}"),
        ("facts", "facts.json", b'{"' + HASH.encode() + b'": {"width": "8"}}'),
        ("facts", "facts.json", b"[" * 100_000),
        ("facts", "thumbnails.bin", bytes(7)),
    ],
)
def test_arrays_and_facts_of_another_shape_are_made_again_although_their_checksums_are_right(
    kind: str, name: str, content: Any, cache: Cache
) -> None:
    store = _store(cache)
    _fill(store)
    pixels, facts = store.pixels(8), store.facts()
    assert pixels is not None and pixels.max() == 7 and facts is not None and facts[HASH].width == 8
    (folder,) = (cache.root / kind).iterdir()
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        np.save(folder / name, content)
    _entry(folder, recipe=json.loads((folder / "entry.json").read_text())["recipe"])
    again = _store(cache)
    assert (again.pixels(8) if kind == "pixels" else again.facts()) is None
    _fill(again)
    assert again.pixels(8) is not None and again.facts() is not None


@pytest.mark.slow
def test_swapped_pixels_in_a_shared_cache_are_not_trained_on(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    assert train(few, "-o", tmp_path / "first", *CNN, "--cache", shared).exit_code == 0
    for path in shared.glob("pixels/*/pixels.npy"):
        np.lib.format.open_memmap(path, "r+")[:] = 0
        _entry(path.parent, recipe=json.loads((path.parent / "entry.json").read_text())["recipe"])
    shared.chmod(0o777)
    result = train(few, "-o", tmp_path / "second", *CNN, "--cache", shared)
    assert result.exit_code == 0 and "can be written by every user" in result.output
    cards = [(tmp_path / run / "cnn" / "history.csv").read_text() for run in ("first", "second")]
    assert cards[0] == cards[1]


def test_users_own_group_is_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o664)
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(user.pw_gid)
    if (group.gr_name, [name for name in group.gr_mem if name != user.pw_name]) != (user.pw_name, []):
        pytest.skip("this user has no group of its own")
    os.chown(tmp_path / "file", -1, user.pw_gid)
    assert others_can_write(tmp_path / "file") is None
    (tmp_path / "file").chmod(0o666)
    assert others_can_write(tmp_path / "file") == "can be written by every user"
    shutil.rmtree(tmp_path)
