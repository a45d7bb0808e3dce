"""Runs, splits, requests and conversions that came from somebody else: nothing outside of them is touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.devices.remote_job import pictures_to_send
from edge_classify.benchmarks.scoring.split import Split, read_labelled
from edge_classify.convert.output import check_writable, read_summary
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import BenchmarkError, DatasetError, ImageError, OptionError, OutputExistsError
from edge_classify.edge.labelled import LabelledImage
from edge_classify.train.output import MODEL_FILES, UNFINISHED, check_output, publish, unfinished
from edge_classify.train.request import TrainingRequest

from .support.commands import run_command
from .support.pictures import make_picture
from .support.train_options import make_options
from .support.training import train, tree

DEEP = "[" * 100_000


def _write_split(run: Path, root: str = "images", **changes: Any) -> Path:
    """Write a run with one picture, whose split is changed: `images` has changes of the picture's entry."""
    picture = run / "images" / "a" / "1.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    make_picture("red disc", 0).save(picture)
    entry = {"path": "a/1.png", "sha256": hashlib.sha256(picture.read_bytes()).hexdigest(), "label": "a",
             "subset": "test", **changes.pop("entry", {})}  # fmt: skip
    split = {"root": root, "labels": ["a", "b"], "images": [entry], **changes}
    (run / "split.json").write_text(json.dumps(split))
    return picture


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"entry": {"path": "../../.ssh/id_ed25519"}}, r"images\[0\]\.path leads out of its folder by"),
        ({"entry": {"path": "/etc/passwd"}}, r"images\[0\]\.path is an absolute path"),
        ({"entry": {"path": "a/\0"}}, r"images\[0\]\.path holds a zero byte"),
        ({"entry": {"path": ""}}, r"images\[0\]\.path is no name of a file"),
        ({"entry": {"path": "x" * 300}}, r"images\[0\]\.path is longer than a path may be"),
        ({"entry": {"path": ["a/1.png"]}}, r"images\.path has a value of the wrong type"),
        ({"entry": {"sha256": ""}}, r"images\[0\]\.sha256 is no SHA-256"),
        ({"entry": {"sha256": None}}, r"images\.sha256 has a value of the wrong type"),
        ({"entry": {"label": "c"}}, r"images\[0\]\.label is none of the labels"),
        ({"entry": {"subset": "../test"}}, r"images\[0\]\.subset is none of train, validation, test"),
        ({"labels": ["a", "a"]}, "labels has a class twice"),
        ({"labels": ["a", "b\n\x1b[31m"]}, r"labels\[1\] cannot name a class"),
        ({"labels": "ab"}, "labels has a value of the wrong type"),
        ({"root": "a\0b"}, "root holds a zero byte"),
        ({"root": 10**4000}, "is too large"),
        ({"images": {"path": "a"}}, "images has a value of the wrong type"),
        ({"skipped": [{"path": "a", "reason": "\ud800"}]}, "no Unicode"),
    ],
)
def test_split_that_edge_train_does_not_write_is_refused_by_its_field(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    _write_split(tmp_path, **changes)
    with pytest.raises(DatasetError, match=rf"split\.json cannot be used: .*{said}") as error:
        Split.read(tmp_path)
    assert len(str(error.value)) < 500 and str(error.value).isprintable()


@pytest.mark.parametrize("raw", [DEEP.encode(), '{"root": 1}'.encode("utf-16"), b"\xff", b'{"root": 1e999}'])
def test_split_of_no_usable_json_is_refused_in_one_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(raw)
    with pytest.raises(DatasetError, match=r"split\.json cannot be used"):
        Split.read(tmp_path)


@pytest.mark.parametrize("place", ["images", "images/a", "images/a/1.png"])
def test_link_among_the_pictures_of_a_run_is_not_followed(place: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _write_split(run)
    (run / place).rename(tmp_path / "elsewhere")
    (run / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"is a link, and .*Remedy"):
        Split.read(run).find_root(run, None, "Remedy")
    (run / "split.json").rename(tmp_path / "split.json")
    (run / "split.json").symlink_to("../split.json")
    with pytest.raises(DatasetError, match="it is a link"):
        Split.read(run)


def test_pictures_of_the_users_own_folder_may_be_links_and_must_be_those_of_the_split(tmp_path: Path) -> None:
    own = tmp_path / "own"
    picture = _write_split(tmp_path / "run", root=str(own))
    (own / "a").mkdir(parents=True)
    (own / "a" / "1.png").symlink_to(picture)
    split = Split.read(tmp_path / "run")
    (image,) = split.subset("test", split.find_root(tmp_path / "run", None, "Remedy"))
    assert read_labelled(image) == picture.read_bytes()
    picture.write_bytes(b"secret")
    with pytest.raises(ImageError, match="its checksum differs"):
        read_labelled(image)


def _secret(run: Path) -> LabelledImage:
    (run / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    return LabelledImage(run / "key", "a", hashlib.sha256((run / "key").read_bytes()).hexdigest())


def _other_bytes(run: Path) -> LabelledImage:
    return LabelledImage(_write_split(run), "a", "0" * 64)


def _link_to_a_secret(run: Path) -> LabelledImage:
    (run / "1.jpg").symlink_to(_secret(run).path)
    return LabelledImage(run / "1.jpg", "a")


def _pipe(run: Path) -> LabelledImage:
    os.mkfifo(run / "1.jpg")
    return LabelledImage(run / "1.jpg", "a")


@pytest.mark.parametrize("make", [_secret, _other_bytes, _link_to_a_secret, _pipe])
def test_what_is_no_picture_or_another_than_the_split_lists_is_not_sent_to_a_device(
    make: Callable[[Path], LabelledImage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile, picture = make(tmp_path), _write_split(tmp_path / "good")
    (sent,) = pictures_to_send([hostile, LabelledImage(picture, "a")])
    assert sent.path == picture and sent.sha256 == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert re.search(rf"{hostile.path.name}.* is not sent", capsys.readouterr().err, re.IGNORECASE)
    with pytest.raises(BenchmarkError, match="None of the 1 images can be sent"):
        pictures_to_send([hostile])


def test_benchmark_elsewhere_of_a_hostile_run_opens_no_connection(tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id_ed25519").write_text("key")
    run = tmp_path / "home" / "run"
    ssh, called = tmp_path / "ssh", tmp_path / "called"
    ssh.write_text(f"#!/bin/sh\ntouch {called}\nexit 255\n")
    ssh.chmod(0o700)
    for changes in ({"entry": {"path": "../../.ssh/id_ed25519"}},
                    {"root": str(run.parent), "entry": {"path": ".ssh/id_ed25519"}}):  # fmt: skip
        _write_split(run, **changes)
        done = run_command("edge-benchmark", "--data", run, "--on", "pi", DEFAULT_MODEL,
                           env={"EDGE_CLASSIFY_SSH": str(ssh)}, cwd=tmp_path)  # fmt: skip
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("Error:") == 1 and not called.exists()


LINKS = ("images", "images/a", "cnn", "cnn/model.keras", "split.json", "report.html", UNFINISHED,
         f"{UNFINISHED}/cnn", f"{UNFINISHED}/request.json")  # fmt: skip


@pytest.mark.parametrize("place", LINKS)
def test_run_with_a_link_is_neither_replaced_nor_continued_and_nothing_behind_it_changes(
    place: str, tmp_path: Path
) -> None:
    run, behind = tmp_path / "run", tmp_path / "precious"
    _write_split(run)
    for name in ("report.html", "audit.json", *(f"cnn/{file}" for file in MODEL_FILES)):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(b"of the run")
    _begin(run)
    (run / UNFINISHED / "cnn").mkdir()
    (run / place).rename(behind)
    (run / place).symlink_to(behind)
    before = tree(tmp_path)
    for go in (lambda: check_output(run, force=True), lambda: unfinished(run, resume=False).__enter__(),
               lambda: unfinished(run, resume=True).__enter__()):  # fmt: skip
        with pytest.raises(OutputExistsError, match=r"is a link, and nothing behind a link is .*deleted"):
            go()
    assert tree(tmp_path) == before
    data = tmp_path / "data" / "a"
    data.mkdir(parents=True)
    for arguments in ((data.parent, "-o", run, "--force"), ("--resume", run)):
        result = train(*arguments)
        assert result.exit_code == 1 and "is a link" in result.output, result.output
        assert {name: raw for name, raw in tree(tmp_path).items() if name in before} == before


def test_hard_link_in_a_run_is_replaced_and_the_file_that_it_shares_stays(tmp_path: Path) -> None:
    run, work = tmp_path / "run", tmp_path / "run" / UNFINISHED
    _write_split(run)
    work.mkdir()
    (tmp_path / "precious").write_bytes(b"mine")
    (run / "report.html").hardlink_to(tmp_path / "precious")
    (work / "report.html").write_bytes(b"new")
    publish(work, run)
    assert (run / "report.html").read_bytes() == b"new" and (tmp_path / "precious").read_bytes() == b"mine"


def test_hard_link_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    _begin(tmp_path / "run")
    (tmp_path / "run" / UNFINISHED / "lock").hardlink_to(tmp_path / "precious")
    result = train("--resume", tmp_path / "run")
    assert result.exit_code == 1 and "is a second name of another file" in result.output
    assert (tmp_path / "precious").read_bytes() == b"mine"


def _begin(run: Path) -> Path:
    """Write what a killed training leaves in `run`, and return the file of its request."""
    (run / UNFINISHED).mkdir(parents=True)
    options = make_options(models=("cnn",))
    TrainingRequest("shapes", options, "edge-train", str(run.parent), {}).write(run / UNFINISHED)
    return run / UNFINISHED / "request.json"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("finished", ["../../precious"], r"finished\[0\] is none of the models of this training"),
        ("finished", ["/etc"], r"finished\[0\] is none"),
        ("finished", "cnn", "finished has a value of the wrong type"),
        ("finished", ["mobilenet_v2"], r"finished\[0\] is none"),
        ("options.models", ["../../precious"], "--model"),
        ("options.models", [["cnn"]], r"options\.models has a value of the wrong type"),
        ("options.image_size", {"../x": 32}, "--image-size"),
        ("options.image_size", {"cnn": 10**9}, "--image-size"),
        ("options.epochs", [-1, 2], "--epochs"),
        ("options.epochs", [1, 2, 3], r"options\.epochs has a value of the wrong type"),
        ("options.preset", "../x", "--preset"),
        ("options.seed", 2**40, "--seed"),
        ("options.batch_size", 0, "--batch-size"),
        ("options.augment", ["rotation", "../x"], "--augment"),
        ("options.label_columns", "nothing", "--label-columns"),
        ("options.unknown", 1, "unknown"),
        ("split_sha256", "../x", "split_sha256 is no SHA-256"),
        ("versions", {"numpy": 2}, "versions has a value of the wrong type"),
        ("keeping", [{"change": "mirroring"}], "is missing"),
        ("data", None, "data has a value of the wrong type"),
        ("extra", 1, "extra"),
    ],
)
def test_request_that_the_command_line_would_not_take_is_refused_and_nothing_is_moved(
    field: str, value: object, said: str, tmp_path: Path
) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    path = _begin(run)
    precious.mkdir()
    for name in MODEL_FILES:
        (precious / name).write_bytes(b"mine")
    values = json.loads(path.read_text())
    section, _, name = field.rpartition(".")
    (values[section] if section else values)[name] = value
    path.write_text(json.dumps(values))
    before = tree(tmp_path)
    with pytest.raises(OptionError, match=rf"request\.json cannot be used \(.*{said}.*--force"):
        TrainingRequest.read(run)
    result = train("--resume", run)
    assert result.exit_code == 1 and "Start again with --force" in result.output
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"files": [{"file": "../precious.tflite"}]}', "leads out of its folder"),
        ('{"files": [{"file": "/etc/passwd"}]}', "absolute path"),
        ('{"files": [{"file": 5}]}', "is no text"),
        ('{"files": [5]}', "files has a value of the wrong type"),
        ('{"files": {"file": "a"}}', "files has a value of the wrong type"),
        ("{}", "files is missing"),
        (DEEP, "nested deeper"),
        ('{"files": [], "files": []}', "twice"),
    ],
)
def test_conversion_of_somebody_else_is_neither_read_nor_replaced(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "conversion.json").write_text(text)
    with pytest.raises(OutputExistsError, match=rf"was not written by edge-convert, .*{said}"):
        read_summary(tmp_path)


def test_link_in_the_folder_of_a_conversion_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "precious").write_text('{"files": []}')
    (folder / "conversion.json").symlink_to("../precious")
    (folder / "cnn_int8.tflite").symlink_to("../precious")
    with pytest.raises(OutputExistsError, match="it is a link"):
        read_summary(folder)
    with pytest.raises(OutputExistsError, match="is a link, and is not followed"):
        check_writable(folder, ["cnn_int8.tflite"], force=True)
