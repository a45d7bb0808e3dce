"""The options of edge-classify, by what they are about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .cli_types import (
    FINGERPRINT,
    HTTPS_CAMERA,
    FiniteRange,
    ParsedType,
    bytes_to_text,
    parse_bytes,
    parse_size,
    parse_threads,
    section,
    size_to_text,
)
from .data_options import DATA_OPTION_NAMES, image_label_options
from .log import Format, use_format
from .model_options import delegate_options, foreign_model_options
from .option_rules import Given, When
from .runtime import RUNTIMES

_PATH = click.Path(path_type=Path)
_DOCTOR_TAKES = (
    "paths", "models", "labels", "normalization", "color", "outputs", "output_index", "runtime", "threads",
    "delegate", "delegate_options", "delegate_fallback", "require_signature", "camera", "size",
    "fps", "rotate", "frozen_after", "tls_fingerprint", "as_json", *DATA_OPTION_NAMES,
)  # fmt: skip
_LISTING = "-"  # As FileSource has it.
# Known only when the frames have come: a path may be a list, a folder, or an animation.
MOVING = When("a video or a camera", lambda _: True)
_FOLDER = When("a folder", lambda given: any(map(_may_be_folder, given["paths"])))
_CAMERA, _COLLECT = Given("camera"), Given("collect")


def _may_be_folder(path: str) -> bool:
    return path == _LISTING or os.path.isdir(path)  # noqa: PTH112 - Path's raises on long names.


def _region(text: str) -> Any:
    from .answers.region import Region

    return Region.parse(text)


def _unless_files_are_named(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Leave out a camera that an environment variable names where files are typed: these are meant."""
    typed = context.get_parameter_source("camera") is not ParameterSource.ENVIRONMENT
    return value if typed or context.params.get("doctor") or not context.params.get("paths") else None


def _use_format(_: click.Context, __: click.Parameter, value: Format) -> Format:
    """Write remarks so from now on, those about options included."""
    use_format(value)
    return value


_what = section("Where pictures come from")
SOURCE = (
    _what("--recursive", "-r", first=True, is_flag=True, requires=Given("paths"), useless_without=_FOLDER,
          help="Search the sub-folders of folders too, and links to other folders."),
    _what("--camera", first=True, metavar="SOURCE", envvar="EDGE_CLASSIFY_CAMERA",
          callback=_unless_files_are_named,
          excludes=When("a PATH", lambda given: given["paths"] and not given["doctor"]),
          help="A camera's number, picamera (not tried on a real Pi), auto, a stream's URL (http, https, "
               "rtsp), or a video file in real time."),
    _what("--list-cameras", is_flag=True, takes=("as_json",),
          help="List the cameras of this machine and their formats."),
    _what("--size", type=ParsedType("WxH", parse_size, size_to_text), requires=_CAMERA,
          help="Picture size to ask for; small ones are faster."),
    _what("--fps", type=FiniteRange(0.01, 1000), metavar="N", requires=_CAMERA,
          help="Frames a second to ask the camera for."),
    _what("--rotate", type=click.Choice(["0", "90", "180", "270"]), default="0", requires=_CAMERA,
          help="Turn the camera's picture clockwise, in degrees."),
    _what("--frozen-after", type=FiniteRange(0), default=10.0, show_default=True, metavar="SECONDS",
          requires=_CAMERA,
          help="Open the camera again after this time without a frame, or with the same one; 0 allows a "
               "picture that stands still."),
    _what("--tls-fingerprint", type=FINGERPRINT, requires=HTTPS_CAMERA,
          help="Trust the https camera whose certificate has this SHA-256 fingerprint, and no other."),
    _what("--frames", type=click.IntRange(1), metavar="N", requires=_CAMERA,
          help="With --camera: stop after N answered frames."),
    _what("--roi", "region", type=ParsedType("X,Y,W,H", _region),
          help="Classify only this part: pixels, or all four in per cent (25%,25%,50%,50%)."),
)  # fmt: skip
_model = section("Which model, and how it is run")
MODEL = (
    _model("--model", "-m", "models", first=True, multiple=True, envvar="EDGE_CLASSIFY_MODEL",
           type=_PATH, metavar="FILE", show_default="a small model of ten things, to try with",
           help="A .tflite file; several give several answers, side by side."),
    *foreign_model_options(_model),
    _model("--runtime", type=click.Choice(list(RUNTIMES)), help="Use this, not the first one installed."),
    _model("--threads", type=ParsedType("N|auto", parse_threads), default="1", show_default=True,
           help="Threads of the interpreter; auto measures the fastest number now. Files are shared "
                "out among all cores anyway."),
    *delegate_options(_model),
    _model("--untrusted", is_flag=True,
           help="Run models and decode pictures in processes that can crash, hang and be taken over without "
                "harm: no files, no network. What this machine cannot forbid them is said; see SECURITY.md."),
    _model("--require-signature", type=_PATH, metavar="KEYS", requires=Given("models", "checked"),
           help="Run only files that edge-convert --sign has signed with one of the keys in KEYS: lines as "
                "in OpenSSH's .pub files, with min-version=N in front to refuse older files."),
)  # fmt: skip
_answer = section("Answers")
ANSWERS = (
    _answer("--top", "-k", first=True, type=click.IntRange(1), metavar="N", default=3, show_default=True,
            help="Labels an image."),
    _answer("--threshold", first=True, type=FiniteRange(0, 1), metavar="P", show_default="the model's own",
            help='Below this probability the answer is "unsure"; 0 for never.'),
    _answer("--no-unknown", is_flag=True,
            help='Never answer "unknown", as files of edge-convert may where a picture shows none of their '
                 "classes: name the likeliest class."),
    _answer("--smooth", first=True, type=click.IntRange(1, 1000), default=1, metavar="N",
            useless_without=MOVING,
            help="Average the probabilities of the last N frames; photos are never averaged."),
    _answer("--hold", type=FiniteRange(0), default=0.0, metavar="SECONDS", useless_without=MOVING,
            help="Change the label only after the new one, or unsure or unknown, has led for this time."),
    _answer("--every", type=FiniteRange(0, min_open=True), metavar="SECONDS", useless_without=MOVING,
            help="Classify one frame in this time."),
    _answer("--on-change", is_flag=True, useless_without=MOVING, help="Report only changes of the label."),
)  # fmt: skip
_output = section("Where answers go")
OUTPUT = (
    _output("--json", "as_json", first=True, is_flag=True,
            help="Print one JSON object for each image and model."),
    _output("--csv", "as_csv", first=True, is_flag=True, excludes=Given("as_json"),
            help="Print a table for spreadsheets."),
    _output("--output", "-o", first=True, type=_PATH, metavar="FILE",
            help="Write lines, JSON or CSV to FILE instead of printing. It gets its name at the end; a power "
                 "cut before loses about a second. {start} in the name stands for the time of the start."),
    _output("--save-annotated", type=_PATH, metavar="DIR",
            help="Save every picture with its answer drawn on it."),
    _output("--force", is_flag=True, requires=Given("output", "save_annotated", "service"),
            help="Replace the files of --output and --install-service; let --save-annotated add to DIR."),
    _output("--show", first=True, is_flag=True,
            help="Open a window with picture, label and frames a second; q closes it."),
    _output("--publish", metavar="URL", envvar="EDGE_CLASSIFY_PUBLISH",
            help="An MQTT broker: mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC, or mqtts:// for TLS. Home "
                 "Assistant finds it."),
    _output("--webhook", "webhooks", multiple=True, metavar="URL", envvar="EDGE_CLASSIFY_WEBHOOK",
            help="POST each answer to URL, as JSON; may be repeated."),
    _output("--log", "log_format", type=click.Choice(["text", "json"]), default="text", show_default=True,
            callback=_use_format, help="Format of remarks on stderr."),
)  # fmt: skip
_collect = section("Collecting what the model is unsure of, or does not know")
COLLECT = (
    _collect("--collect", type=_PATH, metavar="DIR",
             help="Keep such frames in DIR, ready to be labelled and trained on."),
    _collect("--collect-below", type=FiniteRange(0, 1), metavar="P", requires=_COLLECT,
             show_default="the model's threshold, or 0.5", help="Keep frames less probable than this."),
    _collect("--collect-tie", type=FiniteRange(0, 1), metavar="P", default=0.1, show_default=True,
             requires=_COLLECT, help="Keep frames whose two best are this close."),
    _collect("--collect-random", type=FiniteRange(0, 1), metavar="SHARE", requires=_COLLECT,
             help="Keep this share of all frames, by chance."),
    _collect("--collect-rate", type=FiniteRange(0, min_open=True), default=6.0, show_default=True,
             metavar="N", requires=_COLLECT, useless_without=MOVING,
             help="Keep at most N a minute of a camera or video."),
    _collect("--collect-max", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
             requires=_COLLECT, help="Keep at most N pictures in DIR, sorted ones included."),
    _collect("--collect-bytes", type=ParsedType("SIZE", parse_bytes, bytes_to_text), default="500MB",
             show_default=True, requires=_COLLECT, help="Keep at most this much in DIR."),
)  # fmt: skip
_other = section("Checks and set-up")
OTHER = (
    _other("--self-check", "checked", type=_PATH, metavar="FILE", takes=("require_signature", "as_json"),
           help="Prove that a model file is whole and gives its golden examples' answers here."),
    _other("--doctor", first=True, is_flag=True, takes=_DOCTOR_TAKES,
           help="Check this machine, the models, the camera, and the models on the labelled images of PATH."),
    *image_label_options(_other, (Given("doctor"), Given("paths"))),
    _other("--install-service", "service", metavar="NAME",
           help="Write a systemd user service of the rest of this command line; shows it and asks."),
    _other("--yes", is_flag=True, requires=Given("service"),
           help="With --install-service: write it without asking."),
)  # fmt: skip
OPTIONS = (*SOURCE, *MODEL, *ANSWERS, *OUTPUT, *COLLECT, *OTHER)
