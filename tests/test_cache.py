from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.errors import OptionError
from edge_classify.train.cache import VERSION, Cache, cache_root, open_cache

from .support.cache_files import files, writer


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with open_cache(str(tmp_path / "cache"), tmp_path, None) as opened:
        yield opened


def test_entry_is_made_once_and_found_by_its_key(cache: Cache) -> None:
    key: dict[str, Any] = {"size": 32, "versions": {"pillow": "1.0"}}
    assert cache.entry("features", key) is None
    folder = cache.make("features", key, writer(b"one"))
    assert cache.make("features", dict(reversed(key.items())), writer(b"two")) == folder
    assert (folder / "data.bin").read_bytes() == b"one"
    assert cache.entry("features", {**key, "size": 33}) is None and cache.entry("facts", key) is None
    described = json.loads((folder / "entry.json").read_text())
    assert described["version"] == VERSION and described["recipe"] == key
    assert described["files"]["data.bin"]["bytes"] == 3


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / "data.bin").write_bytes(b"onf"), r"is damaged \(data\.bin\)"),
        (lambda folder: (folder / "data.bin").write_bytes(b"on"), r"is damaged \(data\.bin\)"),
        (lambda folder: (folder / "data.bin").unlink(), "is damaged or incomplete"),
        (lambda folder: (folder / "entry.json").unlink(), "is damaged or incomplete"),
        (lambda folder: (folder / "entry.json").write_text('{"version": 1'), "is damaged or incomplete"),
        (lambda folder: (folder / "entry.json").write_text("[1]"), "is damaged or incomplete"),
        (
            lambda folder: (folder / "entry.json").write_text(json.dumps({"version": VERSION + 1})),
            f"is from another version of the cache \\({VERSION + 1} instead of {VERSION}\\)",
        ),
        (
            lambda folder: (folder / "entry.json").write_text(
                json.dumps({"version": VERSION, "recipe": {"a": 2}, "files": {}})
            ),
            "does not hold what its name says",
        ),
    ],
)
def test_damaged_entry_or_one_of_another_version_is_announced_once_and_made_again(
    cache: Cache,
    damage: Callable[[Path], object],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = cache.make("pixels", {"a": 1}, writer(b"one"))
    damage(folder)
    assert cache.make("pixels", {"a": 1}, writer(b"new")) == folder
    assert (folder / "data.bin").read_bytes() == b"new"
    assert re.fullmatch(f"Cache: .* {problem}\\. It is made again\n", capsys.readouterr().err)
    assert files(cache.root) == [f"pixels/{folder.name}/{name}" for name in ("data.bin", "entry.json")]


def test_failure_while_an_entry_is_made_leaves_nothing(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.make("pixels", {}, fail)
    assert files(cache.root) == [] and cache.entry("pixels", {}) is None


def test_entry_of_a_process_that_was_faster_is_used(cache: Cache, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        Cache(cache.root, 10**9).make("pixels", {}, writer(b"first"))
        (folder / "data.bin").write_bytes(b"second")

    folder = cache.make("pixels", {}, write)
    assert (folder / "data.bin").read_bytes() == b"first" and len(files(cache.root)) == 2


def test_two_processes_at_once_get_the_same_whole_entry(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from edge_classify.train.cache import open_cache\n"
        "def write(folder):\n"
        "    for i in range(50):\n"
        "        with (folder / 'data').open('ab') as file: file.write(b'x' * 1000)\n"
        "        time.sleep(0.002)\n"
        "with open_cache(sys.argv[1], Path(), None) as cache:\n"
        "    for i in range(5): print(len((cache.make('k', {'i': i}, write) / 'data').read_bytes()))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)]
    assert [process.communicate()[0].split() for process in both] == [["50000"] * 5] * 2
    assert len(files(tmp_path / "cache")) == 10


def test_cache_deleted_again_and_again_ends_in_one_sentence(cache: Cache) -> None:
    with pytest.raises(OptionError, match=r"entries disappear, or cannot be replaced\..*--cache none"):
        cache.make("pixels", {}, lambda folder: shutil.rmtree(cache.root))


def test_entries_unused_longest_are_deleted_over_the_limit_but_never_what_the_run_uses(
    tmp_path: Path,
) -> None:
    now = time.time()
    with open_cache(str(tmp_path / "c"), tmp_path, None) as filling:
        folders = [filling.make("pixels", {"n": n}, writer(bytes(100_000))) for n in range(4)]
    for age, folder in zip((10, 40, 30, 20), folders, strict=True):
        os.utime(folder / "entry.json", (now - age, now - age))
    (tmp_path / "c" / "pixels" / "of the user").mkdir()
    (tmp_path / "c" / "pixels" / "of the user" / "entry.json").write_text("{}")
    cache = Cache(tmp_path / "c", 310_000)
    assert cache.entry("pixels", {"n": 1}) == folders[1]
    assert (folders[1] / "entry.json").stat().st_mtime > now - 5
    os.utime(folders[1] / "entry.json", (now - 40, now - 40))  # So that only this run's use protects it.
    made = cache.make("features", {}, writer(bytes(100_000)))
    assert [folder.exists() for folder in (*folders, made)] == [True, True, False, False, True]
    assert (tmp_path / "c" / "pixels" / "of the user" / "entry.json").exists()


def test_temporary_folder_of_a_killed_process_is_deleted_after_a_day(cache: Cache) -> None:
    old, young = cache.root / "pixels" / ".partial-old", cache.root / "pixels" / ".partial-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 100_000,) * 2)
    cache.make("facts", {}, writer(b""))
    assert (old.exists(), young.exists()) == (False, True)


def test_similar_entries_differ_in_one_key_and_come_last_used_first(cache: Cache) -> None:
    folders = {n: cache.make("pixels", {"images": n, "size": 32 + (n == 3)}, writer(b"x")) for n in range(4)}
    for n, age in ((0, 20), (1, 10), (2, 30)):
        os.utime(folders[n] / "entry.json", (time.time() - age,) * 2)
    (folders[2] / "data.bin").write_bytes(b"y")
    found = list(cache.similar("pixels", {"images": 9, "size": 32}, "images"))
    assert found == [folders[1], folders[0]]


def test_cache_root_is_the_options_then_the_environments_then_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", "~/mine")
    assert cache_root("given") == Path("given")
    assert cache_root("none") is None
    assert cache_root("") == tmp_path / "mine"
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", "none")
    assert cache_root("") is None
    monkeypatch.delenv("EDGE_CLASSIFY_CACHE")
    if sys.platform == "linux":
        assert cache_root("") == tmp_path / "xdg" / "edge-classify"


def test_new_cache_is_private(tmp_path: Path) -> None:
    with open_cache(str(tmp_path / "a" / "b"), tmp_path, None) as cache:
        cache.make("facts", {}, writer(b""))
        assert stat.S_IMODE(cache.root.stat().st_mode) == 0o700


def test_run_without_a_cache_keeps_nothing(tmp_path: Path) -> None:
    with open_cache("none", tmp_path, None) as cache:
        assert cache.make("facts", {}, writer(b"x")).is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cache_that_cannot_be_written_is_announced_and_the_run_goes_on_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with open_cache(str(tmp_path / "file" / "cache"), tmp_path, None) as cache:
        assert cache.make("facts", {}, writer(b"x")).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    message = capsys.readouterr().err
    assert (
        "cache cannot be written (Not a directory): nothing will be kept" in message
        and "--cache DIR" in message
    )


def test_cache_in_the_data_set_is_refused_unless_hidden(tmp_path: Path) -> None:
    with (
        pytest.raises(OptionError, match=r"lies in the data set .* become a class"),
        open_cache(str(tmp_path / "data" / "cache"), tmp_path, tmp_path / "data"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with open_cache(str(tmp_path / ".cache" / "x"), tmp_path, tmp_path) as cache:
        assert cache.root == tmp_path / ".cache" / "x"


@pytest.mark.parametrize("limit", ["x", "-1", "1e3", "nan"])
def test_limit_that_is_no_number_is_named(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE_LIMIT", limit)
    with (
        pytest.raises(OptionError, match=f"EDGE_CLASSIFY_CACHE_LIMIT must be .* Received: {limit}"),
        open_cache("none", tmp_path, None),
    ):
        pass
