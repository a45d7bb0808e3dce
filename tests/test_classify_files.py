"""edge-classify over files: lists, animations, videos, tables for spreadsheets, and what Ctrl-C leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge import Classifier, FileSource
from PIL import Image

from .support.commands import BIN, run_command
from .support.streams import write_video
from .support.tiny_model import COLOURS, write_sealed
from .support.waiting import wait_until

JsonLines = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(COLOURS):
        Image.new("RGB", (40, 30), COLOURS[name]).save(folder / f"{number} {name}.png")
    return folder


def best(record: dict[str, Any]) -> str:
    return str(record["predictions"][0]["label"])


def test_list_on_stdin_is_classified_in_its_order(model: Path, photos: Path, json_lines: JsonLines) -> None:
    names = [photos / "2 blue.png", photos / "none.png", photos / "0 red.png"]
    result = subprocess.run(
        [BIN / "edge-classify", "-m", model, "--json", "-"],
        input="".join(f"{name}\n" for name in names), capture_output=True, text=True, check=False,
    )  # fmt: skip
    records = json_lines(result.stdout)
    assert result.returncode == 1
    assert (best(records[0]), best(records[2])) == ("blue", "red")
    assert records[1] == {"source": str(names[1]), "error": f"{names[1]}: no such file"}


def test_answer_to_a_list_comes_before_the_list_ends(model: Path, photos: Path) -> None:
    with subprocess.Popen(
        [BIN / "edge-classify", "-m", model, "--json", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for name in ("1 green", "2 blue"):
            process.stdin.write(f"{photos / name}.png\n".encode())
            process.stdin.flush()
            assert best(json.loads(process.stdout.readline())) == name[2:]
        process.stdin.close()
        assert process.wait(60) == 0


def test_every_frame_of_a_video_and_an_animation_is_classified_in_order(
    model: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    film, animation = write_video(tmp_path / "film.avi", 12), tmp_path / "moving.gif"
    first, *others = [Image.new("RGB", (20, 20), colour) for colour in COLOURS.values()]
    first.save(animation, save_all=True, append_images=others, duration=200)
    result = run_command("edge-classify", "-m", model, "--json", film, animation)
    records = json_lines(result.stdout)
    assert [r["frame"] for r in records] == [*range(12), *range(3)]
    assert [best(r) for r in records[12:]] == list(COLOURS)
    assert {r["age_ms"] for r in records} == {None}


def test_one_frame_in_so_many_seconds_of_a_video_is_looked_at(
    model: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    film = write_video(tmp_path / "film.avi", 60)  # 25 frames a second.
    result = run_command("edge-classify", "-m", model, "--json", "--every", "0.8", film)
    assert [r["frame"] for r in json_lines(result.stdout)] == [0, 20, 40]


def test_region_is_all_that_is_looked_at(model: Path, tmp_path: Path, json_lines: JsonLines) -> None:
    picture = Image.new("RGB", (80, 40), COLOURS["red"])
    picture.paste(COLOURS["blue"], (40, 0, 80, 40))
    picture.save(tmp_path / "both.png")
    for region, label in (("0,0,40,40", "red"), ("50%,0%,50%,100%", "blue")):
        result = run_command("edge-classify", "-m", model, "--json", "--roi", region, tmp_path / "both.png")
        assert best(json_lines(result.stdout)[0]) == label
    result = run_command("edge-classify", "-m", model, "--roi", "50,0,40,40", tmp_path / "both.png")
    assert result.returncode == 1
    assert "--roi 50,0,40,40 is not inside the picture, which is 80 x 40 pixels" in result.stderr


def test_threshold_makes_unsure_of_what_is_less_probable(model: Path, photos: Path) -> None:
    result = run_command("edge-classify", "-m", model, "--threshold", "0.99", "-k", "1", photos)
    assert [line.split("  ")[1].split(" (")[0] for line in result.stdout.splitlines()] == ["unsure"] * 3


def test_csv_goes_into_a_file_that_is_not_replaced_without_force(model: Path, photos: Path) -> None:
    table = photos.parent / "answers.csv"
    command = ("edge-classify", "-m", model, "--csv", "--top", "2", "-o", table, photos)
    result = run_command(*command)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [row["label"] for row in rows] == list(COLOURS)
    assert all(float(row["score"]) > float(row["score_2"]) for row in rows)
    refused = run_command(*command)
    assert refused.returncode == 1
    assert (
        "answers.csv exists. Name another --output, or replace what is there with --force" in refused.stderr
    )
    assert run_command(*command, "--force").returncode == 0


def test_interrupted_run_keeps_what_was_done(model: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "lines.jsonl"
    with subprocess.Popen(
        [BIN / "edge-classify", "-m", model, "--json", "-o", output, "-"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(f"{photos / '0 red.png'}\n")
        process.stdin.flush()
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob(".lines.jsonl.*.part")))
        process.send_signal(signal.SIGINT)
        remarks = process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in remarks
    assert best(json.loads(output.read_text())) == "red"
    assert not list(tmp_path.glob(".*.part"))


def test_pictures_with_their_answers_are_kept_and_the_originals_left_alone(model: Path, photos: Path) -> None:
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    kept = photos.parent / "kept"
    assert run_command("edge-classify", "-m", model, "--save-annotated", kept, photos).returncode == 0
    assert sorted(path.name for path in kept.iterdir()) == sorted(before)
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before


def test_same_pixels_give_the_same_answer_by_every_path(
    model: Path, tmp_path: Path, json_lines: JsonLines
) -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (57, 91, 3), np.uint8)
    picture = Image.fromarray(pixels)
    folder = tmp_path / "folder"
    folder.mkdir()
    files = [folder / name for name in ("a.png", "b.bmp", "c.tiff", "d.webp", "e.ppm")]
    for path in files:
        picture.save(path, lossless=True)  # Which only WebP heeds.
    classifier = Classifier.from_file(model)
    answers = [classifier.classify(pixels), classifier.classify(picture), classifier.classify(str(files[0]))]
    answers += [classifier.classify(path) for path in files]
    answers += [classifier.classify(f.picture) for f in FileSource([folder]) if f.picture is not None]
    expected = answers[0].probabilities.tolist()
    assert all(answer.probabilities.tolist() == expected for answer in answers)
    records = json_lines(run_command("edge-classify", "-m", model, "--json", folder, files[2]).stdout)
    scores = [[(p["label"], p["score"]) for p in record["predictions"]] for record in records]
    assert len(scores) == 6
    assert scores == [[(s.label, round(s.score, 6)) for s in answers[0].top]] * 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_named_and_never_waited_for(model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    result = run_command("edge-classify", "-m", model, tmp_path / "pipe.png", "/dev/zero")
    assert result.returncode == 1
    assert "is a pipe (FIFO), not a file" in result.stderr
    assert "/dev/zero is a device, not a file" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--csv"], "--csv does not go with --json"),
        (["--rotate", "90"], "--rotate goes with --camera, which is not given"),
        (["--collect-rate", "3"], "--collect-rate goes with --collect"),
        (["--delegate-fallback"], "--delegate-fallback goes with --delegate"),
        (["--force"], "--force goes with --output, --save-annotated or --install-service"),
        (["--yes"], "--yes goes with --install-service"),
        (["--runtime", "torch"], "'torch' is not one of 'ai-edge-litert', 'tflite-runtime', 'tensorflow'"),
        (["--threads", "0"], "must be auto, or 1 to"),
        (["--roi", "1,2,3"], "must be x,y,w,h"),
        (["--collect", "x", "--collect-bytes", "many"], "must be a number of bytes, such as 500MB"),
        (["--doctor", "--top", "2"], "--top does not go with --doctor"),
        (["--list-cameras", "--doctor"], "does not go with --"),
    ],
)
def test_option_without_effect_or_sense_exits_with_2(arguments: list[str], message: str) -> None:
    result = run_command("edge-classify", "x.png", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


def test_address_among_the_paths_is_refused_without_its_password() -> None:
    result = run_command("edge-classify", "http://me:geheim@127.0.0.1:1/stream")
    assert (result.returncode, result.stdout) == (2, "")
    assert "http://***@127.0.0.1:1/stream is an address: give it as --camera" in result.stderr
    assert "geheim" not in result.stderr
