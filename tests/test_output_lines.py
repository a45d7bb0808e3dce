from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import time
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Classifier, Doubt, Score
from edge_classify.edge.errors import OptionError, OutputExistsError, OutputKeptError
from edge_classify.edge.outputs.csv_lines import CsvLines, to_cell
from edge_classify.edge.outputs.frame_rate import FrameRate
from edge_classify.edge.outputs.json_lines import JsonLines
from edge_classify.edge.outputs.text_lines import TextLines
from edge_classify.edge.outputs.writer import NewFile, open_writer
from edge_classify.edge.sources.frames import FilePicture, Frame
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from .support.output_results import answer, failure, live, photo
from .support.system import small_disk
from .support.tiny_model import write_sealed

HOSTILE = "\x1b]0;pwned\x07\x9b2J\u202e\n猫.jpg"


class Lines:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""
        self.closed = False

    def write(self, lines: str) -> None:
        self.text += lines

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def lines() -> Lines:
    return Lines()


def is_control(character: str) -> bool:
    return character != "\n" and unicodedata.category(character) == "Cc"


def rows(lines: Lines) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(lines.text, newline=""), strict=True))


def test_frame_rate_is_that_of_the_last_thirty_frames() -> None:
    now = [100.0]
    rate = FrameRate(lambda: now[0])
    assert rate.tick() == 0
    for _ in range(10):  # Slow ones first: they must be forgotten.
        now[0] += 1
        rate.tick()
    for _ in range(30):
        now[0] += 0.1
        last = rate.tick()
    assert last == pytest.approx(10)


def test_text_shows_the_answer_of_each_model_and_says_unsure_and_unknown(lines: Lines) -> None:
    text = TextLines(lines)
    text.show(photo("a.jpg", answer({"cat": 0.9, "dog": 0.05})))
    text.show(
        photo(
            "b.jpg",
            answer({"cat": 0.4}, Doubt.UNKNOWN, "m1"),
            answer({"dog": 0.5, "cat": 0.4}, Doubt.UNSURE, "m2"),
        )
    )
    text.show(live(7, answer({"cat": 1.0})))
    assert lines.text.splitlines() == [
        "a.jpg  cat 90.0%, dog 5.0%",
        "b.jpg  m1: unknown (cat 40.0%)  |  m2: unsure (dog 50.0%, cat 40.0%)",
        "camera 0 #7  cat 100.0%  [0.0 frames/s]",
    ]


def test_text_keeps_an_image_on_its_line_and_control_characters_from_the_terminal(lines: Lines) -> None:
    TextLines(lines).show(photo(HOSTILE, answer({HOSTILE: 0.5, "x\r": 0.1})))
    assert lines.text.count("\n") == 1 and lines.text[:-1].isprintable()
    assert lines.text.startswith(r"\x1b]0;pwned\x07\x9b2J\x202e\x0a猫.jpg  ")


def test_text_reports_what_could_not_be_read_apart_from_the_results(lines: Lines) -> None:
    said: list[str] = []
    TextLines(lines, said.append).show(failure("a.jpg", "a.jpg: no such file"))
    assert (lines.text, said) == ("", ["a.jpg: no such file"])


def test_json_line_of_a_real_classification_has_exactly_the_keys_of_the_contract(
    tmp_path: Path, lines: Lines
) -> None:
    model = Classifier.from_file(write_sealed(tmp_path / "tiny.tflite"))
    Image.new("RGB", (20, 10), "lime").save(tmp_path / "grün.png")
    picture = FilePicture(tmp_path / "grün.png")
    frame = Frame("grün.png", picture, index=3, grabbed=1.0)
    JsonLines(lines).show(FrameResult(frame, (Answer("tiny", model.classify(picture), 1.23456),), 40.06))
    record = json.loads(lines.text)
    assert list(record) == [
        *("source", "frame", "age_ms", "model", "answer", "predictions", "unknown", "unsure", "reason"),
        *("unknown_score", "decode_ms", "infer_ms"),
    ]
    assert [list(entry) for entry in record["predictions"]] == [["label", "index", "score"]] * 3
    assert record["predictions"][0]["label"] == "green" and record["infer_ms"] > 0
    assert (record["source"], record["frame"], record["age_ms"]) == ("grün.png", 3, 40.1)
    assert (record["model"], record["unknown"], record["decode_ms"]) == ("tiny", False, 1.235)
    assert (record["answer"], record["unsure"], record["reason"]) == ("green", False, None)


def test_json_says_unsure_and_unknown_apart_each_with_its_reason(lines: Lines) -> None:
    output = JsonLines(lines)
    output.show(photo("a.jpg", answer({"cat": 0.48, "dog": 0.45}, Doubt.UNSURE)))
    output.show(photo("a.jpg", answer({"cat": 0.9, "dog": 0.1}, Doubt.UNKNOWN)))
    unsure, unknown = map(json.loads, lines.text.splitlines())
    assert (unsure["answer"], unsure["unsure"], unsure["unknown"]) == ("unsure", True, False)
    assert unsure["reason"] == "between cat (48 %) and dog (45 %), below the threshold of 80 %"
    assert unsure["unknown_score"] is None
    assert (unknown["answer"], unknown["unsure"], unknown["unknown"]) == ("unknown", False, True)
    assert unknown["reason"] == "like none of the 2 classes; the nearest is cat"
    assert unknown["unknown_score"] == 0.65


def test_unknown_things_are_none_of_these_where_a_class_is_called_unknown(lines: Lines) -> None:
    given = answer({"unknown": 0.9, "dog": 0.1}, Doubt.UNKNOWN)
    last = Score("none of these", 2, 0.65)
    renamed = given._replace(prediction=given.prediction._replace(none_of_these=last))
    TextLines(lines).show(photo("a.jpg", renamed))
    TextLines(lines).show(photo("b.jpg", answer({"unknown": 0.9, "dog": 0.1})))
    assert lines.text.splitlines() == [
        "a.jpg  none of these (unknown 90.0%, dog 10.0%)",
        "b.jpg  unknown 90.0%, dog 10.0%",
    ]
    lines.text = ""
    JsonLines(lines).show(photo("b.jpg", answer({"unknown": 0.9, "dog": 0.1})))
    record = json.loads(lines.text)
    assert (record["answer"], record["unknown"], record["reason"]) == ("unknown", False, None)


def test_json_gives_a_line_a_model_or_the_error_in_ascii_and_any_name_back(lines: Lines) -> None:
    name = HOSTILE + os.fsdecode(b"\xff.jpg")
    output = JsonLines(lines)
    output.show(photo(name, answer(model="m1"), answer(model="m2")))
    output.show(failure(name, "is damaged"))
    output.close()
    assert lines.closed and lines.text.isascii()
    records = [json.loads(line) for line in lines.text.splitlines()]
    assert [record.get("model") for record in records] == ["m1", "m2", None]
    assert records[2] == {"source": name, "error": "is damaged"}
    assert os.fsencode(records[0]["source"]) == os.fsencode(name)


def test_csv_has_a_row_an_image_and_model_and_one_for_what_could_not_be_read(lines: Lines) -> None:
    output = CsvLines(lines, top=3)
    output.show(live(5, answer({"cat": 0.41, "dog": 0.3}, Doubt.UNSURE)))
    output.show(photo('my "best", 1.jpg'))
    output.show(failure("clip.mp4", "breaks off", 12))
    assert lines.text.startswith(
        "source,frame,age_ms,model,label,score,label_2,score_2,label_3,score_3,"
        "unknown,unsure,reason,unknown_score,decode_ms,infer_ms,error\r\n"
        "camera 0,5,38.0,small,unsure,0.41,dog,0.3,,,"
        'false,true,"between cat (41 %) and dog (30 %), below the threshold of 80 %",,3.21,12.346,\r\n'
    )
    second, third = rows(lines)[1:]
    assert second["source"] == 'my "best", 1.jpg' and second["frame"] == second["error"] == ""
    assert (second["label"], second["label_3"], second["unknown"]) == ("tabby cat", "lynx", "false")
    assert {name: value for name, value in third.items() if value} == {
        "source": "clip.mp4",
        "frame": "12",
        "error": "breaks off",
    }


def test_csv_says_unknown_in_the_first_label_and_how_far_the_picture_is_from_the_classes(
    lines: Lines,
) -> None:
    CsvLines(lines, top=1).show(photo("a.jpg", answer({"cat": 0.9, "dog": 0.1}, Doubt.UNKNOWN)))
    (row,) = rows(lines)
    assert (row["label"], row["unknown"], row["unsure"]) == ("unknown", "true", "false")
    assert row["reason"] == "like none of the 2 classes; the nearest is cat"
    assert row["unknown_score"] == "0.65"


def test_csv_without_images_has_its_header(lines: Lines) -> None:
    CsvLines(lines, top=1).close()
    assert lines.text == (
        "source,frame,age_ms,model,label,score,unknown,unsure,reason,unknown_score,decode_ms,infer_ms,error\r\n"
    )


@pytest.mark.parametrize("start", [*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20", "\ufe66", "\u207a"])
@pytest.mark.parametrize("before", ["", " ", '"', "'", " \u00a0\ufeff'"])
def test_cell_that_a_spreadsheet_would_run_is_neutralised(start: str, before: str, lines: Lines) -> None:
    cell = f"{before}{start}cmd|'/c calc'!A1"
    CsvLines(lines, top=1).show(photo(cell, answer({cell: 0.5}, model=cell)))
    [row] = rows(lines)
    assert all(row[column].startswith("'") for column in ("source", "label", "model"))
    assert float(row["score"]) == 0.5


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_csv_read_back_gives_the_names_but_for_control_characters_and_formulas(names: list[str]) -> None:
    lines = Lines()
    output = CsvLines(lines, top=1)
    for name in names:
        output.show(photo(name, answer({name: 0.25})))
    for name, row in zip(names, rows(lines), strict=True):
        assert row["source"] == row["label"] == to_cell(name)
        if not any(is_control(c) for c in name):
            assert row["source"] in (name, f"'{name}")
        assert not any(is_control(c) for c in row["source"])


def test_file_appears_with_its_name_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = open_writer(path, force=False)
    writer.write("eins\n")
    [part] = tmp_path.iterdir()
    assert part.name.startswith(".out.jsonl.") and part.read_text() == "eins\n"  # On the disk at once.
    writer.write(os.fsdecode(b"gr\xc3\xbcn \xff\r\n"))
    before = os.umask(0o027)
    try:
        writer.close()
    finally:
        os.umask(before)
    assert path.read_bytes() == "eins\ngrün \\udcff\r\n".encode()
    assert list(tmp_path.iterdir()) == [path] and path.stat().st_mode & 0o777 == 0o640


def test_file_that_exists_is_refused_at_once_and_replaced_only_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"mine\.csv exists.*--force"):
        open_writer(path, force=False)
    writer = open_writer(path, force=True)
    writer.write("new\n")
    assert path.read_text() == "mine"
    writer.close()
    assert path.read_text() == "new\n"


def test_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be written"):
        open_writer(tmp_path / "missing" / "out.csv", force=False)
    with pytest.raises(OptionError, match="not a regular file"):
        open_writer(Path("/dev/null"), force=True)


def test_folder_that_is_removed_meanwhile_is_named_in_an_os_error(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    writer = open_writer(folder / "out.csv", force=False)
    for part in folder.iterdir():
        part.unlink()
    folder.rmdir()
    writer.write("kept by nobody\n")
    with pytest.raises(FileNotFoundError) as caught:
        writer.close()
    assert caught.value.filename == str(folder / "out.csv")


def test_full_disk_is_an_os_error_and_what_was_written_before_is_kept_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    # A limit on the size of files ends a write in the middle, as a full disk does.
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from edge_classify.edge.outputs.writer import open_writer\n"
        "writer = open_writer(Path(sys.argv[1]), force=False)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250, resource.RLIM_INFINITY))\n"
        "try:\n  for number in range(9): writer.write(str(number) * 99 + '\\n')\n"
        "except OSError as error: print(number, error.filename, error.strerror)\n"
        "writer.close()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"2 {path} File too large\n"
    assert path.read_text() == "0" * 99 + "\n" + "1" * 99 + "\n"


def test_lines_for_a_terminal_that_lacks_letters_become_codes() -> None:
    code = (
        "from edge_classify.edge.outputs.writer import open_writer\n"
        "open_writer(None, False).write('gr\\xfcn\\r\\n')"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True)
    assert result.stdout == b"gr\\xfcn\r\n"


def test_file_that_appears_during_the_run_stays_and_the_lines_are_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first, second = open_writer(path, force=False), open_writer(path, force=False)
    for writer, line in ((first, "first\n"), (second, "second\n")):
        writer.write(line)
    first.close()
    with pytest.raises(OutputExistsError, match=r"out\.jsonl has appeared.*is in .*out\.kept\.jsonl"):
        second.close()
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "out.jsonl": "first\n",
        "out.kept.jsonl": "second\n",
    }


@pytest.mark.parametrize("older", [True, False])
def test_run_that_did_not_end_well_replaces_no_older_file_and_its_part_is_named(
    older: bool, tmp_path: Path
) -> None:
    path = tmp_path / "out.csv"
    said: list[str] = []
    if older:
        path.write_text("whole\n")
    writer = NewFile(path, force=True, report=said.append)
    writer.write("a part\n")
    writer.note_ending(KeyboardInterrupt, None, None)
    writer.close()
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    if older:
        assert found == {"out.csv": "whole\n", "out.kept.csv": "a part\n"}
        (remark,) = said
        assert f"{path} stays as it was" in remark and "out.kept.csv" in remark
    else:
        assert found == {"out.csv": "a part\n"} and not said


def test_full_disk_keeps_the_older_file_and_the_part_beside_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, "64k"):
        (disk / "out.jsonl").write_text("whole\n")
        said: list[str] = []
        writer = NewFile(disk / "out.jsonl", force=True, report=said.append)
        with pytest.raises(OSError, match="No space left on device"):
            for number in range(100):
                writer.write(f"{number} {'x' * 1000}\n")
        writer.close()
        assert (disk / "out.jsonl").read_text() == "whole\n"
        lines = (disk / "out.kept.jsonl").read_text().splitlines()
        assert 20 < len(lines) < 100 and all(len(line) > 1000 for line in lines)
    assert "out.kept.jsonl" in said[0]


def test_disk_that_breaks_at_the_end_leaves_a_part_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(tmp_path / "out.jsonl", force=False)
    writer.write("hours\n")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OutputKeptError, match=r"No space left on device.*\.out\.jsonl\.\w+\.part"):
        writer.close()
    (part,) = tmp_path.iterdir()
    assert part.read_text() == "hours\n"


def test_lines_of_a_killed_run_are_named_by_the_next_and_those_of_a_running_one_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / ".old.jsonl.abcd1234.part").write_text("line\n")
    said: list[str] = []
    running = NewFile(tmp_path / "a.jsonl", force=False, report=said.append)
    running.write("line\n")
    NewFile(tmp_path / "b.jsonl", force=False, report=said.append).close()
    running.close()
    assert len(said) == 2 and said[0] == said[1] and ".old.jsonl.abcd1234.part" in said[0]


def test_lines_are_synced_about_once_a_second_also_while_none_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    synced: list[int] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    writer = open_writer(tmp_path / "a.jsonl", force=False)
    for _ in range(5):
        writer.write("x\n")
    assert synced == []
    now[0] += 1.5
    writer.refresh()
    writer.refresh()
    assert synced == [10]
    now[0] += 60
    writer.refresh()
    assert synced == [10]  # Nothing new.
    writer.write("x\n")
    assert synced == [10, 12]


def test_run_that_fails_before_its_first_line_leaves_no_file_in_the_way_of_another(tmp_path: Path) -> None:
    lines = CsvLines(writer := open_writer(tmp_path / "a.csv", force=False), 1)
    writer.note_ending(OutputExistsError, None, None)
    lines.close()
    assert list(tmp_path.iterdir()) == []
