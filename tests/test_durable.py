"""What was written is on the disk before it has its name, and the name afterwards; nothing is replaced."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_classify.edge.durable import make_folders, publish_folder, sync_folder, sync_tree
from edge_classify.edge.errors import OutputKeptError, OutputLostError
from edge_classify.edge.file_batch import FileBatch
from edge_classify.edge.files import write_atomically, write_result
from edge_classify.edge.locks import lock_file
from edge_classify.edge.parts import describe_left_over, keep_beside, left_over, open_part, place

from .support.system import fat_disk, power_cut

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return the calls that sync and rename, with the paths that they are about, in order."""
    made: Calls = []

    def watch(name: str, path_of: Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*args: object, **named: object) -> object:
            made.append((name, path_of(*args)))
            return real(*args, **named)

        monkeypatch.setattr(os, name, call)

    watch("fsync", lambda handle: Path(f"/proc/self/fd/{handle}").readlink().name)
    watch("link", lambda _, target: Path(target).name)
    for name in ("replace", "rename"):
        watch(name, lambda _, target: Path(target).name)
    return made


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_file_is_synced_before_its_rename_and_its_folder_afterwards(tmp_path: Path, calls: Calls) -> None:
    write_atomically(tmp_path / "new.json", "1")
    part = calls[0][1]
    assert part.startswith(".new.json.") and part.endswith(".part")
    assert calls == [("fsync", part), ("replace", "new.json"), ("fsync", tmp_path.name)]


def test_folder_is_synced_with_all_that_is_in_it_before_and_after_its_rename(
    tmp_path: Path, calls: Calls
) -> None:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "a").write_text("a")
    (made / "link").symlink_to("/etc/hostname")
    publish_folder(made, tmp_path / "run")
    assert calls == [
        ("fsync", "a"),
        ("fsync", "deep"),
        ("fsync", "made"),
        ("rename", "run"),
        ("fsync", tmp_path.name),
    ]


def test_names_of_new_folders_are_synced_from_above(tmp_path: Path, calls: Calls) -> None:
    make_folders(tmp_path / "one" / "two")
    assert calls == [("fsync", tmp_path.name), ("fsync", "one")]


def test_many_files_are_synced_by_one_call(tmp_path: Path, calls: Calls) -> None:
    for number in range(250):
        (tmp_path / str(number)).touch()
    sync_tree(tmp_path)
    assert len(calls) == (0 if sys.platform == "linux" else 251)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_disk_that_cannot_sync_a_folder_is_left_as_it_is(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    sync_folder(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_broken_or_full_disk_is_an_error_that_names_the_file_and_keeps_the_older_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("older")
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=r"a\.json") as caught:
        write_atomically(path, "newer")
    assert caught.value.errno == number and path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_file_that_appears_meanwhile_is_not_replaced_also_on_disks_without_links(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    handle, part = open_part(tmp_path / "a.jsonl")
    os.write(handle, b"mine")
    (tmp_path / "a.jsonl").write_text("theirs")
    with pytest.raises(FileExistsError):
        place(part, tmp_path / "a.jsonl", replace=False)
    (tmp_path / "a.kept.jsonl").symlink_to("nowhere")
    kept = keep_beside(part, tmp_path / "a.jsonl")
    os.close(handle)
    assert (kept.name, kept.read_text()) == ("a.kept-2.jsonl", "mine")
    assert (tmp_path / "a.jsonl").read_text() == "theirs" and not (tmp_path / "nowhere").exists()


def test_fat_disk_takes_files_and_does_not_replace_them(tmp_path: Path) -> None:
    """As on the sticks of a Raspberry Pi; it needs the right to mount one."""
    with fat_disk(tmp_path / "stick") as stick:
        write_atomically(stick / "a.json", "1", replace=False)
        with pytest.raises(FileExistsError):
            write_atomically(stick / "a.json", "2", replace=False)
        with pytest.raises(OutputKeptError, match=r"kept in .*a\.kept\.json"):
            write_result(stick / "a.json", "3", replace=False)
        write_atomically(stick / "a.json", "4")
        found = {path.name: path.read_text() for path in stick.iterdir()}
    assert found == {"a.json": "4", "a.kept.json": "3"}


def test_what_was_said_to_be_written_is_there_after_a_power_cut(tmp_path: Path) -> None:
    """A real ext4 disk; it needs the right to mount one."""
    with power_cut(tmp_path) as (disk, cut):
        make_folders(disk / "run" / "deep")
        write_atomically(disk / "run" / "deep" / "a.json", "whole")
        batch = FileBatch(disk / "run")
        for number in range(3):
            name = disk / "run" / str(number)
            batch.add([(name.name, b"picture")], lambda parts, name=name: place(parts[0], name, False))  # type: ignore[misc]
        assert batch.commit() == []
        (disk / "forgotten").write_text("not synced")
        after = cut()
        found = {
            path.relative_to(after).as_posix(): path.read_text()
            for path in after.rglob("[a-z0-9]*")
            if path.is_file()
        }
    assert found.pop("forgotten", "") == ""  # Else the cut would show nothing.
    assert found == {"run/deep/a.json": "whole", **{f"run/{number}": "picture" for number in range(3)}}


def test_part_is_left_over_only_once_nobody_writes_it_and_it_holds_anything(tmp_path: Path) -> None:
    handle, part = open_part(tmp_path / "a.csv")
    os.write(handle, b"lines")
    (tmp_path / ".b.csv.abcdefgh.part").touch()
    (tmp_path / "mine.part").write_text("mine")
    (tmp_path / ".c.csv.abcdefgh.part").symlink_to("mine.part")
    assert left_over(tmp_path) == [] and describe_left_over(tmp_path) is None
    os.close(handle)
    assert left_over(tmp_path) == [part]
    assert part.name in (describe_left_over(tmp_path) or "")
    assert describe_left_over(tmp_path / "nowhere") is None


def test_result_that_cannot_be_written_is_kept_in_the_working_folder_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputKeptError, match=r"gone/r\.jsonl cannot be written.*here/r\.kept\.jsonl"):
        write_result(tmp_path / "gone" / "r.jsonl", "minutes of work", replace=True)
    assert (tmp_path / "here" / "r.kept.jsonl").read_text() == "minutes of work"
    monkeypatch.setattr(os, "fsync", refusing(errno.ENOSPC))
    with pytest.raises(OutputLostError, match="No other folder could be written either"):
        write_result(tmp_path / "gone" / "r.jsonl", "minutes of work", replace=True)


def test_several_pictures_share_two_syncs(tmp_path: Path, calls: Calls) -> None:
    now = [0.0]
    batch = FileBatch(tmp_path, lambda: now[0])
    assert not batch.is_due and batch.commit() == []
    for name in ("a.jpg", "b.jpg"):
        batch.add([(name, b"x")], lambda parts, name=name: place(parts[0], tmp_path / name, False))  # type: ignore[misc]
    (tmp_path / "b.jpg").write_text("mine")
    (error,) = batch.commit()
    assert isinstance(error, FileExistsError) and (tmp_path / "b.jpg").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]
    assert [call for call in calls if call[0] == "fsync"][-1] == ("fsync", tmp_path.name)
    if sys.platform == "linux":
        assert [name for name, _ in calls].count("fsync") == 1  # Beside one syncfs.


def test_lock_is_lifted_when_its_program_is_killed_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom edge_classify.edge.locks import lock_file\n"
        "with lock_file(Path(sys.argv[1])) as locked: print(locked, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        with lock_file(path) as locked:
            assert locked is False
        assert path.exists()
        process.kill()
    with lock_file(path) as locked:
        assert locked is True
    assert not path.exists()
