"""Options that name a file take a pipe that somebody writes to, and do not wait for one that nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from edge_classify.edge.errors import LabelError
from edge_classify.edge.small_files import read_small

from .support.commands import BIN, run_command
from .support.pictures import make_picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    make_picture("blue 3", 1).save(path)
    return path


def _read(path: Path, most: int = 1000) -> bytes:
    return read_small(path, most, "a label file", LabelError)


def test_pipe_that_is_written_to_late_and_in_parts_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    def write() -> None:
        time.sleep(0.3)
        with (tmp_path / "pipe").open("wb", buffering=0) as file:
            file.write(b"cat\n")
            time.sleep(0.3)
            file.write(b"dog\n")

    writer = threading.Thread(target=write)
    writer.start()
    assert _read(tmp_path / "pipe") == b"cat\ndog\n"
    writer.join()


def test_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        LabelError, match="pipe cannot be read as a label file: it is a pipe that nobody writes"
    ):
        _read(tmp_path / "pipe")


def test_endless_pipe_and_device_are_read_up_to_the_limit(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    endless = "import sys\nfile = open(sys.argv[1], 'w')\nwhile True: file.write('x' * 999)"
    with (
        subprocess.Popen([sys.executable, "-c", endless, str(tmp_path / "pipe")], stderr=subprocess.DEVNULL),
        pytest.raises(LabelError, match="is larger than 0 MiB"),
    ):
        _read(tmp_path / "pipe")
    with pytest.raises(LabelError, match="is larger than 0 MiB"):
        _read(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("name", "said"), [("none", "No such file"), ("", "Is a directory"), ("a\0b", "null")]
)
def test_what_is_no_file_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=said):
        _read(tmp_path / name)


PIPES = {
    "edge-classify": (("--labels", "{pipe}", "{photo}"), ("--model", "{pipe}", "{photo}"), ("{pipe}",),
                      ("--delegate", "./{pipe}", "{photo}"), ("--self-check", "{pipe}")),
    "edge-benchmark": (("{pipe}",), ("--compare", "{pipe}", "{pipe}")),
    "edge-convert": (("{pipe}", "-o", "out"), ("--inspect", "{pipe}")),
    "edge-train": (("{folder}", "-o", "out", "--audit-only", "--image-labels", "{pipe}"),),
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "words"), [(name, words) for name, several in PIPES.items() for words in several]
)
def test_command_that_is_given_a_pipe_without_a_writer_ends_with_one_sentence(
    command: str, words: tuple[str, ...], tmp_path: Path, photo: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(photo.read_bytes())
    names = {"pipe": "pipe", "photo": str(photo), "folder": "photos"}
    done = run_command(command, *(word.format(**names) for word in words), cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "pipe" in done.stderr


def test_labels_from_a_shells_process_substitution_are_read(tmp_path: Path, photo: Path) -> None:
    script = f"{BIN}/edge-train photos -o out --audit-only --json --image-labels <(cut -d';' -f1,2 table)"
    for number in range(4):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{number}.png").write_bytes(photo.read_bytes())
    rows = "".join(f"{number}.png;{'cat' if number % 2 else 'dog'};x\n" for number in range(4))
    (tmp_path / "table").write_text(f"image;label;x\n{rows}")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          check=False)  # fmt: skip
    assert done.returncode == 0 and '"cat": 2' in done.stdout, done.stderr
