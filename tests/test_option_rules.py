"""Every option of the four commands has an effect, or is refused or named as without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from edge_classify.benchmarks.cli import main as benchmark
from edge_classify.benchmarks.options import read_remote_options
from edge_classify.convert.cli import main as convert
from edge_classify.edge.cli import main as classify
from edge_classify.edge.command_line import to_arguments
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.log import use_format
from edge_classify.edge.option_rules import Option, check_rules
from edge_classify.train.cli import main as train

from .support.pictures import write_shapes

COMMANDS = {
    "edge-train": train,
    "edge-convert": convert,
    "edge-classify": classify,
    "edge-benchmark": benchmark,
}
# What has an effect whatever else is given, outside of the modes that refuse it.
ALWAYS = {
    "edge-classify": {
        "region", "models", "labels", "normalization", "color", "outputs",
        "output_index", "runtime", "threads", "delegate", "untrusted",
        "top", "threshold", "no_unknown", "as_json", "output", "save_annotated", "show", "publish",
        "webhooks", "log_format", "collect", "service",
    },
    "edge-convert": {
        "variants", "supersample", "compatible", "data", "labels", "normalization", "color", "outputs",
        "output_index", "image_size", "resize", "trust",
        "max_drop", "budget", "signing_key", "golden", "output", "force", "as_json",
    },
    "edge-train": {
        "output", "cache", "as_json", "models", "preset", "epochs", "learning_rate", "optimizer", "schedule",
        "warmup", "weight_decay", "label_smoothing", "batch_size", "patience", "refit", "class_weights",
        "augment", "mix", "tune", "dropout", "validation_split", "test_split", "answer_precision",
        "duplicates", "resize", "note", "seed", "folds", "labels_from_names",
    },
    "edge-benchmark": {"threads", "runs", "as_json", "output", "targets"},
}  # fmt: skip
# A text for each option that is no flag and no choice.
TEXTS = {
    "--output-index": "1",
    "--camera": "0", "--size": "640x480", "--fps": "12.5", "--frozen-after": "3.5", "--frames": "3",
    "--roi": "25%,25%,50%,50.5%", "--model": "a.tflite", "--labels": "labels.txt",
    "--normalization": "123.675,116.28,103.53,58.395,57.12,57.375", "--threads": "2",
    "--delegate": "lib.so",
    "--delegate-option": "device=-usb", "--top": "2", "--threshold": "1e-07", "--smooth": "5",
    "--hold": "2.5",
    "--every": "0.1", "--output": "out", "--save-annotated": "drawn", "--publish": "mqtt://h/t",
    "--webhook": "https://h/x y", "--collect": "kept", "--collect-below": "0.25", "--collect-tie": "0.2",
    "--tls-fingerprint": ":".join(["0A"] * 32),
    "--collect-random": "0.01", "--collect-rate": "30", "--collect-max": "7", "--collect-bytes": "1500KB",
    "--require-signature": "keys", "--sign": "key", "--model-version": "3", "--key-password": "password",
    "--self-check": "m.tflite", "--install-service": "cam", "--runtime": "tensorflow", "--runs": "7",
    "--processes": "3", "--base": "m.tflite", "--data": "data", "--images": "photos", "--split": "run",
    "--soak": "0.5", "--on": "pi@host", "--sample": "9", "--wheel": "x.whl", "--benchmark-model": "tool",
    "--report": "r.html", "--baseline": "old.jsonl", "--max-regression": "7.5%", "--budget": "size=1MB",
    "--calibration": "photos", "--calibration-images": "9", "--image-size": "64", "--max-drop": "2",
    "--resume": "run", "--cache": "none", "--epochs": "3,3", "--learning-rate": "0.1,0.01", "--warmup": "0.2",
    "--weight-decay": "0.1", "--label-smoothing": "0.1", "--batch-size": "8", "--patience": "3",
    "--supersample": "2",
    "--augment": "flip", "--views": "2", "--tune": "5", "--dropout": "0.1", "--weights": "none",
    "--alpha": "0.5", "--fine-tune-layers": "all", "--head-units": "8", "--validation-split": "0.2",
    "--image-labels": "labels.csv", "--label-columns": "image=a,label=b",
    "--test-split": "0.1", "--answer-precision": "0.9", "--note": "mine", "--folds": "3", "--seed": "7",
    "--teacher": "cnn", "--unlabelled": "frames",
}  # fmt: skip


@pytest.fixture(autouse=True)
def text_log() -> Iterator[None]:
    """Undo --log, which holds for the whole process."""
    yield
    use_format("text")


def options_of(command: click.Command) -> list[Option]:
    return [parameter for parameter in command.params if isinstance(parameter, Option)]


def words_of(option: Option) -> list[str]:
    """Return words that give the option a value other than its default."""
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name]
    if isinstance(option.type, click.Choice):
        other = [choice for choice in option.type.choices if choice != option.default]
        return [f"{name}={other[-1]}"]
    return [f"{name}={TEXTS[name]}"]


def positional(command: click.Command) -> list[str]:
    return [] if command is train else ["m.tflite"]


def complaint(command: click.Command, words: list[str]) -> str:
    """Return the usage error, or else the remarks, about a command line."""
    with click.Context(command, **command.context_settings) as context:
        try:
            command.parse_args(context, words)
            return "; ".join(check_rules(context))
        except click.UsageError as error:
            return error.format_message()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_has_a_rule_or_is_known_to_be_always_effective(name: str) -> None:
    options = options_of(COMMANDS[name])
    ruled = {
        option.name
        for option in options
        if option.requires or option.excludes or option.useless_without or option.takes is not None
    }
    assert {option.name for option in options} - ruled == ALWAYS[name]
    declared = {parameter.name for parameter in COMMANDS[name].params} - {"version", "help_all"}
    assert declared - {option.name for option in options} <= {"paths", "path", "data", "files"}


@pytest.mark.parametrize("name", COMMANDS)
def test_rules_name_only_parameters_that_exist(name: str) -> None:
    names = {parameter.name for parameter in COMMANDS[name].params}
    for option in options_of(COMMANDS[name]):
        assert set(option.takes or ()) <= names
        with click.Context(COMMANDS[name], **COMMANDS[name].context_settings) as context:
            for condition in (*option.requires, *option.excludes, *option.useless_without):
                assert condition.words(context)


# What an option requires that a lenient mode does not refuse.
NEEDED = {
    ("edge-train", "budget"): ["--model=auto"],
    ("edge-train", "unlabelled"): ["--teacher=teacher.keras"],
}
MODES = [
    (name, option) for name in COMMANDS for option in options_of(COMMANDS[name]) if option.takes is not None
]


@pytest.mark.parametrize(("name", "mode"), MODES, ids=[f"{name} {mode.opts[0]}" for name, mode in MODES])
def test_mode_refuses_or_names_every_option_that_it_does_not_take(name: str, mode: Option) -> None:
    command, takes = COMMANDS[name], mode.takes or ()
    start = ["m.tflite"] if {"path", "data", "files"} & set(takes) else []
    for option in options_of(command):
        needed = NEEDED.get((name, option.name), []) if mode.lenient else []
        said = complaint(command, [*start, *words_of(mode), *needed, *words_of(option)])
        if option is mode or option.name in takes:
            assert f"with {mode.opts[0]}" not in said
        else:
            assert {mode.opts[0], option.opts[0]} <= set(re.findall(r"--[a-z-]+", said)), (option.opts, said)
            assert "does not go with" in said or "no effect with" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_option_that_requires_another_is_refused_alone(name: str) -> None:
    command = COMMANDS[name]
    start = ["data", "--model=cnn"] if command is train else positional(command)
    for option in options_of(command):
        if option.requires and option.name != "recursive":
            said = complaint(command, [*start, *words_of(option)])
            assert said.startswith(f"{option.opts[0]} goes with "), said


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (classify, ["x.png", "-r"], "--recursive has no effect without a folder"),
        (classify, ["x.png", "--json", "--csv"], "--csv does not go with --json. Leave one of them out."),
        (classify, ["x.png", "--camera", "0"], "--camera does not go with a PATH. Leave one of them out."),
        (classify, ["--doctor", "x", "--camera", "0"], ""),
        (classify, ["--camera", "0", "-r"], "--recursive goes with PATH, which is not given."),
        (convert, ["m", "--variant=float16", "--calibration-images=5"],
         "--calibration-images has no effect without an int8 variant"),
        (convert, ["m", "--doctor", "--calibration-images=5"], ""),
        (convert, ["m", "--variant=int16x8", "--calibration-images=5"], ""),
        (train, ["x", "--model=resnet50", "--compute=float32"],
         "--compute has no effect without cnn among --model"),
        (train, ["x", "--weights=none", "--views=3", "--batch-norm=frozen", "--alpha=0.35"],
         "--views and --batch-norm have no effect without pretrained --weights"),
        (train, ["x", "--batch-norm=frozen", "--epochs=3,0"],
         "--batch-norm has no effect without epochs of phase 2"),
        (train, ["x", "--preset=fast", "--fine-tune-layers=9"], ""),
        (train, ["x", "--mix=cutmix", "--views=3"],
         "--views has no effect without a --mix other than cutmix"),
        (train, ["x", "--model=cnn", "--head-units=0"],
         "--head-units goes with a backbone among --model, which is not given."),
        (train, ["x", "--budget=size=1MB"], "--budget goes with --model auto, which is not given."),
        (train, ["x", "--model=auto", "--budget=size=1MB", "--alpha=0.5"],
         "--alpha does not go with --model auto. Leave one of them out."),
        (train, ["x", "--model=auto", "--budget=size=1MB", "--image-size=96"],
         "--image-size does not go with --model auto. Leave one of them out."),
        (train, ["x", "--model=auto", "--budget=size=1MB", "--weights=none"],
         "--weights does not go with --model auto. Leave one of them out."),
        (train, ["x", "--class-weights=none", "--imbalance=auto"],
         "--imbalance does not go with --class-weights. Leave one of them out."),
        (benchmark, ["m", "--base=m"], "--base has no effect without several files, --threads or --runtime"),
        (benchmark, ["m", "--base=m", "--threads=1,2"], ""),
        (benchmark, ["m", "--keep", "--on=adb"], "--keep goes with --on user@host, which is not given."),
        (benchmark, ["m", "--benchmark-model=t", "--on=pi"],
         "--benchmark-model goes with --on adb, which is not given."),
        (benchmark, ["m", "--report=r", "--on=adb", "--on=pi"], ""),
    ],
)  # fmt: skip
def test_rule_that_depends_on_values_says_what_is_missing(
    command: click.Command, words: list[str], said: str
) -> None:
    assert complaint(command, words) == said


def test_default_and_environment_are_no_reason_to_complain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_CAMERA", "0")
    monkeypatch.setenv("EDGE_CLASSIFY_PUBLISH", "mqtt://h/t")
    assert complaint(classify, ["--list-cameras"]) == ""
    assert complaint(classify, ["--frames=3"]) == ""  # The camera of the environment counts,
    assert "goes with --camera" in complaint(classify, ["x.png", "--frames=3"])  # but not beside files.


def parsed(command: click.Command, words: list[str]) -> dict[str, Any]:
    with click.Context(command, **command.context_settings) as context:
        command.parse_args(context, words)
        return context.params


@pytest.mark.parametrize("name", ["edge-classify", "edge-benchmark"])
def test_command_line_made_of_values_is_parsed_to_the_same_values(name: str) -> None:
    command = COMMANDS[name]
    for option in options_of(command):
        if option.name == "budget":  # Only read here, never passed on.
            continue
        words = [*positional(command), *words_of(option)]
        values = parsed(command, words)
        assert values[str(option.name)] != parsed(command, positional(command))[str(option.name)], option.opts
        assert parsed(command, to_arguments(command.params, values)) == values, option.opts


def test_another_machine_gets_the_options_on_how_to_measure_and_none_on_files_or_results() -> None:
    how = ["--threads=1,2", "--runs=7", "--delegate=l.so", "--delegate-option=a=b", "--by-operation"]
    here = ["--on=pi@host", "--base=m", "--json", "--budget=size=1MB", "--keep"]
    given = benchmark.make_context("edge-benchmark", ["m", *how, *here]).params
    assert set(how) == set(read_remote_options(given).arguments) - {"--processes=5"}


def test_paths_that_begin_with_a_dash_are_no_options() -> None:
    assert parsed(classify, to_arguments(classify.params, {"paths": ("-x.png",)}))["paths"] == ("-x.png",)


@pytest.mark.parametrize("text", ["0..255", "-1..1", "127.5,127.5"])
def test_normalizations_are_written_as_they_were_named(text: str) -> None:
    values = parsed(classify, [f"--normalization={text}"])
    named = {"127.5,127.5": "-1..1"}.get(text, text)
    assert f"--normalization={named}" in to_arguments(classify.params, values)


def test_automatic_threads_survive_the_command_line() -> None:
    values = parsed(classify, ["--threads=auto"])
    assert "--threads=auto" in to_arguments(classify.params, values)


def test_options_for_moving_pictures_are_named_where_only_photos_came(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path / "data", 1)
    words = [str(shapes), "-r", "-m", str(DEFAULT_MODEL), "--smooth", "5", "--hold", "2", "--every", "1"]
    result = CliRunner().invoke(classify, words)
    assert result.exit_code == 0
    remark = "--smooth, --hold and --every have no effect without a video or a camera"
    assert remark in result.stderr.splitlines()
    assert "no effect" not in CliRunner().invoke(classify, words[:4]).stderr


def test_remark_about_options_has_the_format_of_the_log(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path / "data", 1)
    photo = next(shapes.rglob("*.png"))
    result = CliRunner().invoke(classify, [str(photo), "-r", "--log", "json"])
    assert '"message": "--recursive has no effect without a folder"' in result.stderr
