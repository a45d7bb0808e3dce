"""The options of edge-classify, by what they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .cli_types import ParsedType, parse_bytes, parse_size, parse_threads, section
from .console import NormalizationType
from .runtime import RUNTIMES

_PATH = click.Path(path_type=Path)


def _region(text: str) -> Any:
    from .answers.region import Region

    return Region.parse(text)


_what = section("Where pictures come from")
SOURCE = (
    _what("--recursive", "-r", is_flag=True, help="Search the sub-folders of folders too."),
    _what("--camera", metavar="SOURCE", envvar="EDGE_CLASSIFY_CAMERA",
          help="A camera's number, picamera, auto, a stream's URL (http, https, rtsp), or a video file "
               "in real time."),
    _what("--list-cameras", is_flag=True, help="Show the cameras here, with what they deliver."),
    _what("--size", type=ParsedType("WxH", parse_size),
          help="Of the camera's picture. Small ones are faster."),
    _what("--fps", type=click.FloatRange(0.01, 1000), metavar="N",
          help="Frames a second to ask the camera for."),
    _what("--rotate", type=click.Choice(["0", "90", "180", "270"]), default="0",
          help="Turn the camera's picture clockwise, in degrees."),
    _what("--frozen-after", type=click.FloatRange(0), default=10.0, show_default=True, metavar="SECONDS",
          help="Without a frame, or with the same one, for so long: the camera is opened anew; "
          "with 0 a picture may stand still."),
    _what("--frames", type=click.IntRange(1), metavar="N", help="With --camera: stop after N frames."),
    _what("--roi", "region", type=ParsedType("X,Y,W,H", _region),
          help="Only look at this part: pixels, or all four in per cent (25%,25%,50%,50%)."),
)  # fmt: skip
_model = section("Which model, and how it is run")
MODEL = (
    _model("--model", "-m", "models", multiple=True, envvar="EDGE_CLASSIFY_MODEL", type=_PATH, metavar="FILE",
           show_default="a small model of ten things, to try with",
           help="A .tflite file; several give several answers, side by side."),
    _model("--labels", type=_PATH, metavar="FILE",
           help="For a model that carries none: one label a line, the line number is the class."),
    _model("--normalization", type=NormalizationType(),
           help="For a float model that does not say: 0..255, 0..1, -1..1, or MEAN,STD: 2 numbers, or 3 "
                "and 3."),
    _model("--runtime", type=click.Choice(RUNTIMES), help="Instead of the first that is installed."),
    _model("--threads", type=ParsedType("N|auto", parse_threads), default="1", show_default=True,
           help="Of the interpreter; auto measures what is fastest now. Files are shared out among all "
                "cores anyway."),
    _model("--delegate", metavar="LIBRARY", help="An accelerator's library, such as libedgetpu.so.1."),
    _model("--delegate-option", "delegate_options", multiple=True, metavar="KEY=VALUE",
           help="What the delegate wants to know; may be repeated."),
    _model("--delegate-fallback", is_flag=True,
           help="Where the delegate fails, use the processor and say so."),
    _model("--untrusted", is_flag=True,
           help="Run the model in a process of its own: one that crashes or hangs it is only an error."),
)  # fmt: skip
_answer = section("Answers")
ANSWERS = (
    _answer("--top", "-k", type=click.IntRange(1), default=3, show_default=True, help="Labels an image."),
    _answer("--threshold", type=click.FloatRange(0, 1), metavar="P", show_default="the model's own",
            help='Below this probability the answer is "unknown"; 0 for always an answer.'),
    _answer("--smooth", type=click.IntRange(1, 1000), default=1, metavar="N",
            help="Average the probabilities of the last N frames; photos are never averaged."),
    _answer("--hold", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
            help="Change the label only after the new one, or unknown, has been ahead for so long."),
    _answer("--every", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
            help="Look at one frame in so many seconds."),
    _answer("--on-change", is_flag=True, help="Only tell when the label changes."),
)  # fmt: skip
_output = section("Where answers go")
OUTPUT = (
    _output("--json", "as_json", is_flag=True, help="Print one JSON object for each image and model."),
    _output("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets."),
    _output("--output", "-o", type=_PATH, metavar="FILE",
            help="Write lines, JSON or CSV there instead of printing them."),
    _output("--save-annotated", type=_PATH, metavar="DIR",
            help="Keep every picture with its answer drawn on it."),
    _output("--force", is_flag=True,
            help="Replace what --output or --install-service find; let --save-annotated add to a folder."),
    _output("--show", is_flag=True,
            help="Open a window with picture, label and frames a second; q closes it."),
    _output("--publish", metavar="URL", envvar="EDGE_CLASSIFY_PUBLISH",
            help="An MQTT broker: mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC, or mqtts:// for TLS. Home "
                 "Assistant finds it."),
    _output("--webhook", "webhooks", multiple=True, metavar="URL", envvar="EDGE_CLASSIFY_WEBHOOK",
            help="POST each answer there, as JSON; may be repeated."),
    _output("--log", "log_format", type=click.Choice(["text", "json"]), default="text", show_default=True,
            help="How remarks on stderr look."),
)  # fmt: skip
_collect = section("Collecting what the model is unsure of")
COLLECT = (
    _collect("--collect", type=_PATH, metavar="DIR",
             help="Keep such frames there, ready to be labelled and trained on."),
    _collect("--collect-below", type=click.FloatRange(0, 1), metavar="P",
             show_default="the model's threshold, or 0.5", help="Those less probable than this."),
    _collect("--collect-tie", type=click.FloatRange(0, 1), metavar="P", default=0.1, show_default=True,
             help="Those whose two best are no further apart."),
    _collect("--collect-random", type=click.FloatRange(0, 1), metavar="SHARE",
             help="And this share of all frames, by chance."),
    _collect("--collect-rate", type=click.FloatRange(0, min_open=True), default=6.0, show_default=True,
             metavar="N", help="At most so many a minute of a camera or video."),
    _collect("--collect-max", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
             help="At most so many pictures in DIR, those sorted already included."),
    _collect("--collect-bytes", type=ParsedType("SIZE", parse_bytes), default="500MB", show_default=True,
             help="At most so much in DIR, in all."),
)  # fmt: skip
_other = section("Checks and set-up")
OTHER = (
    _other("--self-check", "checked", type=_PATH, metavar="FILE",
           help="Prove that a model file is whole and that its golden examples come out right here."),
    _other("--doctor", is_flag=True,
           help="Check this machine, the models, the camera, and what a folder of labelled images tells."),
    _other("--install-service", "service", metavar="NAME",
           help="Write a systemd user service of the rest of this command line; shows it and asks."),
    _other("--yes", is_flag=True, help="With --install-service: write it without asking."),
)  # fmt: skip


def classify_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options, in the order in which --help shows them."""
    for option in reversed((*SOURCE, *MODEL, *ANSWERS, *OUTPUT, *COLLECT, *OTHER)):
        command = option(command)
    return command
