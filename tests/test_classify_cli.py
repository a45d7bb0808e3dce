"""edge-classify as a user runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.modelfile import Normalization
from PIL import Image

from .support.commands import BIN, run_command
from .support.pictures import SHAPES, make_picture
from .support.streams import write_video
from .support.tiny_model import CARD, with_zip

JsonLines = Callable[[str], list[dict[str, Any]]]
KEYS = [
    *("source", "frame", "age_ms", "model", "answer", "predictions", "unknown", "unsure", "reason"),
    *("unknown_score", "decode_ms", "infer_ms"),
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "drei Farben"
    folder.mkdir()
    for name, colour in (("1 rot.png", "red"), ("2 grün.png", "lime"), ("10 blau.jpg", "blue")):
        Image.new("RGB", (20, 12), colour).save(folder / name)
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("rot\ngrün\nblau\n", encoding="utf-8")
    return path


def test_folder_gives_one_line_an_image_in_natural_order(
    foreign_models: dict[str, Path], pictures: Path, labels: Path
) -> None:
    result = run_command(
        "edge-classify", "-m", foreign_models["uint8"], pictures, "--labels", labels, "-k", "1"
    )
    assert (result.returncode, result.stderr) == (0, "")
    shown = [re.sub(r"\d+\.\d%", "%", line) for line in result.stdout.splitlines()]
    names = (("1 rot.png", "rot"), ("2 grün.png", "grün"), ("10 blau.jpg", "blau"))
    assert shown == [f"{pictures / name}  {label} %" for name, label in names]


def test_model_without_labels_shows_numbers_and_says_how_to_name_them(
    foreign_models: dict[str, Path], pictures: Path
) -> None:
    result = run_command(
        "edge-classify", pictures / "2 grün.png", env={"EDGE_CLASSIFY_MODEL": str(foreign_models["uint8"])}
    )
    assert "class 1" in result.stdout
    assert result.stderr.endswith("names no classes: numbers are shown. Name them with --labels FILE\n")


def test_json_with_two_models_gives_a_line_each_with_exactly_the_keys_of_the_contract(
    foreign_models: dict[str, Path], pictures: Path, labels: Path, json_lines: JsonLines
) -> None:
    result = run_command(
        "edge-classify", "-m", foreign_models["uint8"], "-m", foreign_models["int8"],
        pictures, "--labels", labels, "--json",
    )  # fmt: skip
    assert result.returncode == 0
    records = json_lines(result.stdout)
    assert [record["model"] for record in records] == ["uint8", "int8"] * 3
    for record, best in zip(records, ["rot", "rot", "grün", "grün", "blau", "blau"], strict=True):
        assert list(record) == KEYS
        assert [list(entry) for entry in record["predictions"]] == [["label", "index", "score"]] * 3
        assert record["predictions"][0]["label"] == best
        assert (record["frame"], record["age_ms"], record["unknown"]) == (None, None, False)
        assert record["decode_ms"] > 0 and record["infer_ms"] > 0


def test_two_models_answer_side_by_side_on_one_line(foreign_models: dict[str, Path], pictures: Path) -> None:
    result = run_command(
        "edge-classify", "-m", foreign_models["uint8"], "-m", foreign_models["int8"], pictures / "1 rot.png",
        "-k", "1",
    )  # fmt: skip
    line = r".*1 rot\.png  uint8: class 0 99\.\d%  \|  int8: class 0 99\.\d%\n"
    assert re.fullmatch(line, result.stdout)


def test_sealed_file_needs_nothing_else(converted: Path, tmp_path: Path) -> None:
    image = tmp_path / "bild.png"
    make_picture("blue 3", 7).save(image)
    result = run_command("edge-classify", "-m", converted / "cnn_int8.tflite", image, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    scores = {p["label"]: p["score"] for p in json.loads(result.stdout)["predictions"]}
    assert set(scores) == {"blue 3", "grüne Fläche", "red disc"}


def test_bad_file_among_good_ones_leaves_them_answered_and_sets_the_exit_status(
    foreign_models: dict[str, Path], pictures: Path, json_lines: JsonLines
) -> None:
    (pictures / "5 kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    command = ("edge-classify", "-m", foreign_models["uint8"], pictures, pictures / "nichts.png")
    result = run_command(*command)
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 3
    assert "5 kaputt.png" in result.stderr and "nichts.png: no such file" in result.stderr
    assert result.stderr.endswith("Skipped, since they could not be read: 2 of 5\n")
    records = json_lines(run_command(*command, "--json").stdout)
    assert [list(record) for record in records] == [
        KEYS,
        KEYS,
        ["source", "error"],
        KEYS,
        ["source", "error"],
    ]
    assert records[4] == {
        "source": str(pictures / "nichts.png"),
        "error": f"{pictures / 'nichts.png'}: no such file",
    }


def test_normalization_of_each_channel_is_read() -> None:
    given = "123.675,116.28,103.53,58.395,57.12,57.375"
    assert Normalization.parse(given) == Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name an image, a folder, or --camera 0"),
        (["x.png", "--camera", "0"], "--camera does not go with a PATH"),
        (["x.png", "--frames", "3"], "--frames goes with --camera"),
        (["x.png", "--top", "0"], "--top"),
        (["x.png", "--threads", "9999999"], "--threads"),
        (["x.png", "--normalization", "0-1"], "must be 0..255, 0..1, -1..1, or MEAN,STD"),
        (["x.png", "--normalization", "1,2,3"], "MEAN_R,MEAN_G,MEAN_B,STD_R,STD_G,STD_B"),
        (["x.png", "--normalization", "1,2,3,4,0,6"], "MEAN_R,MEAN_G,MEAN_B,STD_R,STD_G,STD_B"),
        # ImageNet's values for pixels 0..1, which would silently give nonsense.
        (["x.png", "--normalization", "0.485,0.229"], "multiply MEAN,STD that are for pixels 0..1 by 255"),
        (["x.png", "--no-such-option"], "No such option"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(
    arguments: list[str], message: str, foreign_models: dict[str, Path]
) -> None:
    result = run_command("edge-classify", "-m", foreign_models["uint8"], *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_no_arguments_at_all_exit_with_2_and_ask_for_something_to_classify() -> None:
    result = run_command("edge-classify", env={"EDGE_CLASSIFY_MODEL": ""})
    assert (result.returncode, result.stdout) == (2, "")
    assert "Name an image, a folder, or --camera 0" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "none.tflite", "x.png"], "none.tflite: no such file"),
        (["-m", "MODEL", "--camera", "97"], "--camera 97 cannot be opened"),
        (
            ["-m", "MODEL", "--camera", "http://me:geheim@127.0.0.1:1/"],
            "--camera http://***@127.0.0.1:1/ cannot be",
        ),
        (["-m", "MODEL", "--labels", "none.txt", "x.png"], "none.txt cannot be read as a label file"),
        (["-m", "MODEL", "."], ". holds no images"),
    ],
)
def test_fault_of_the_input_ends_in_one_line_and_exit_status_1(
    arguments: list[str], message: str, foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    arguments = [str(foreign_models["uint8"]) if a == "MODEL" else a for a in arguments]
    result = run_command("edge-classify", *arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"Error: {message}" in result.stderr
    assert "Traceback" not in result.stderr and "geheim" not in result.stderr


def test_terminal_codes_in_labels_and_names_never_reach_the_terminal(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("\x1b]0;owned\x07\x1b[31mred\ngreen\x9b2J\n\u202eblue\n", encoding="utf-8")
    image = tmp_path / "a\x1b[2J\nb.png"
    Image.new("RGB", (8, 8), "red").save(image)
    result = run_command("edge-classify", "-m", foreign_models["uint8"], image, "--labels", names)
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 1
    assert result.stdout[:-1].isprintable()
    assert r"\x1b[31mred" in result.stdout and r"a\x1b[2J\x0ab.png" in result.stdout
    card = json.dumps({**CARD, "labels": ["\x1b[31mr", "g", "b"], "output": {"dtype": "uint8"}}).encode()
    model = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", {"card.json": card})
    assert "\x1b" not in run_command("edge-classify", "-m", model, image).stdout


def test_labels_that_the_output_cannot_encode_are_escaped(
    foreign_models: dict[str, Path], pictures: Path, tmp_path: Path
) -> None:
    names = tmp_path / "labels.txt"
    names.write_text("日本\nb\nc\n", encoding="utf-8")
    result = run_command(
        "edge-classify", "-m", foreign_models["uint8"], pictures / "1 rot.png", "--labels", names,
        env={"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert result.returncode == 0
    assert r"\u65e5\u672c 99" in result.stdout


def test_camera_with_frames_stops_after_so_many_and_sums_up(
    foreign_models: dict[str, Path], tmp_path: Path, json_lines: JsonLines
) -> None:
    video = write_video(tmp_path / "v.avi", 60)
    result = run_command(
        "edge-classify", "-m", foreign_models["uint8"], "--camera", video, "--frames", "3", "--json"
    )
    assert result.returncode == 0
    records = json_lines(result.stdout)
    assert len(records) == 3
    assert all(list(r) == KEYS and r["age_ms"] >= 0 for r in records)
    assert [r["frame"] for r in records] == sorted({r["frame"] for r in records})
    assert re.search(r"^3 frames in \d+\.\d s: \d+\.\d frames/s$", result.stderr, re.MULTILINE)


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [str(BIN / "edge-classify"), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_interrupt_during_a_video_ends_with_the_summary_and_no_traceback(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    video = write_video(tmp_path / "v.avi", 25 * 120)
    with start("-m", foreign_models["uint8"], "--camera", video) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, remarks = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"^(One frame|\d+ frames) in ", remarks, re.MULTILINE)
    assert "Traceback" not in remarks


def test_reader_that_closes_the_pipe_gets_no_traceback(
    foreign_models: dict[str, Path], pictures: Path
) -> None:
    # More than a pipe holds, which is 64 KiB on Linux.
    many = [pictures / "1 rot.png"] * 600
    with start("-m", foreign_models["uint8"], *many, "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        remarks = process.stderr.read()
        process.wait(timeout=60)
    assert "Traceback" not in remarks and "Exception ignored" not in remarks
    assert process.returncode != 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(("closed", "expected"), [(">&-", ""), ("2>&-", "class 0")])
def test_closed_output_does_not_stop_the_run(
    closed: str, expected: str, foreign_models: dict[str, Path], pictures: Path
) -> None:
    line = f'"{BIN / "edge-classify"}" -m "{foreign_models["uint8"]}" "{pictures / "1 rot.png"}" {closed}'
    result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert expected in result.stdout


def test_version_names_the_program() -> None:
    assert re.fullmatch(r"edge-classify \d+\.\d+\.\d+\n", run_command("edge-classify", "--version").stdout)


def test_sealed_and_foreign_model_side_by_side_give_labels_and_normalization_to_the_foreign_one(
    converted: Path, foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    photo, labels = tmp_path / "photo.png", tmp_path / "labels.txt"
    make_picture("red disc", 3).save(photo)
    labels.write_text("red\ngreen\nblue\n")
    models = ("--model", converted / "cnn_int8.tflite", "--model", foreign_models["float32"])
    result = run_command(
        "edge-classify", *models, "--labels", labels, "--normalization", "-1..1", "--json", photo
    )
    assert result.returncode == 0, result.stderr
    sealed, foreign = (json.loads(line) for line in result.stdout.splitlines())
    assert {p["label"] for p in sealed["predictions"]} == set(SHAPES)
    assert foreign["predictions"][0]["label"] == "red"


def test_models_of_the_same_name_are_told_apart_by_their_paths(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    photo, copy = tmp_path / "photo.png", tmp_path / "uint8.tflite"
    make_picture("blue 3", 1).save(photo)
    copy.write_bytes(foreign_models["uint8"].read_bytes())
    result = run_command("edge-classify", "-m", copy, "-m", foreign_models["uint8"], "--json", photo)
    names = [json.loads(line)["model"] for line in result.stdout.splitlines()]
    assert names == [str(copy), str(foreign_models["uint8"])]
