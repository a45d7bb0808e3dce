"""Files of results: one JSON object a line, as edge-benchmark --output writes and --compare reads them."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError
from ...edge.files import write_result
from ...edge.json_files import JsonError, parse_json, structured
from ...edge.small_files import read_small
from .bits import unpack
from .result import FORMAT, ChoiceAnswers, Failure, Latency, Result, Subject

_MAX_BYTES = 256 * 1024**2
# Keys of lines that are no results: judgements, and figures of other tools.
_NOT_COMPARED = {"recommendation", "comparison", "tool"}
_MAJOR = FORMAT.partition(".")[0]
_AGAIN = "measure again with edge-benchmark --output"


def read_results(path: Path, remark: Callable[[str], None] = say) -> list[Result | Failure]:
    """Read a file of results of at most 256 MiB.

    A last line that was cut off, as by a full disk, is left out, and `remark` is called with a sentence that
    says so. Raises BenchmarkError, with the number of the line, for any other line that is no result of this
    major version.
    """
    lines = _read_lines(path)
    results: list[Result | Failure] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cut_off = number == len(lines) and not line.endswith(b"\n")
        try:
            record = parse_json(line)
        except JsonError as error:
            if cut_off and results:
                remark(f"{path}: line {number}, its last, is cut off and left out; those before it are whole")
                break
            raise BenchmarkError(
                f"{path}, line {number} is not a result of edge-benchmark --output: {error}"
                f"{'. It is cut off; ' + _AGAIN if cut_off else ''}"
            ) from None
        if isinstance(record, dict) and record.keys() & _NOT_COMPARED:
            continue
        try:
            results.append(parse_record(record))
        except BenchmarkError as error:
            raise BenchmarkError(f"{path}, line {number}: {error}") from None
    if not results:
        raise BenchmarkError(f"{path} holds no results; {_AGAIN} {path}")
    return results


def write_results(
    path: Path,
    results: Sequence[Result | Failure],
    force: bool = False,
    others: Sequence[dict[str, Any]] = (),
) -> None:
    """Write one JSON object a line, the records of other tools last.

    What cannot be written as `path`, for example because that exists and `force` is not given, is kept in
    another file: then OutputKeptError names it. Raises OutputLostError where there is no place for it either.
    """
    records = [*(result.to_record() for result in results), *others]
    text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    write_result(path, text, replace=force)


def parse_record(record: object) -> Result | Failure:
    """Return the result or failure of which `to_record` made this record.

    Unknown keys are ignored, since a newer minor version may add some. Raises BenchmarkError when the record
    is of another major version, lacks a field, or holds an impossible value.
    """
    if not isinstance(record, dict):
        raise BenchmarkError(f"a result must be a JSON object. Received: {reprlib.repr(record)}")
    _check_version(record)
    try:
        if "error" in record:
            return structured(Failure, record)
        result = structured(Result, _nested(record))
    except JsonError as error:
        # Subject and latency are objects only here, not in the file.
        raise BenchmarkError(re.sub(r"^(subject|latency)\.", "", str(error))) from None
    check_figures(result)
    return result


def check_figures(result: Result) -> None:
    """Raise BenchmarkError for a time that is not above 0, a count below 1, or a share outside of 0..1."""
    latency = result.latency
    for name in ("load_ms", "first_ms", "median_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"):
        _require(name, getattr(latency, name), getattr(latency, name) > 0, "above 0")
    for name in ("runs", "processes"):
        _require(name, getattr(latency, name), getattr(latency, name) >= 1, "at least 1")
    _require("threads", result.subject.threads, result.subject.threads >= 1, "at least 1")
    _require("size_bytes", result.subject.size_bytes, result.subject.size_bytes >= 1, "at least 1")
    _check_blocks("blocks", latency.blocks)
    if result.yardstick is not None:
        _check_blocks("yardstick.blocks", result.yardstick.blocks)
    if result.accuracy is not None:
        images, top1 = result.accuracy.images, result.accuracy.top1
        _require("accuracy.images", images, images >= 1, "at least 1")
        _require("accuracy.top1", top1, 0 <= top1 <= 1, "0 to 1")
        if result.accuracy.choice is not None:
            _check_choice(result.accuracy.choice)


def _check_choice(choice: ChoiceAnswers) -> None:
    _require("accuracy.choice.images", choice.images, choice.images >= 1, "at least 1")
    for name in ("right", "float_right"):
        text = getattr(choice, name)
        try:
            _ = None if text is None else unpack(text, choice.images)
        except ValueError:
            rule = f"base64 of one bit for each of {choice.images} images"
            _require(f"accuracy.choice.{name}", reprlib.repr(text), False, rule)


def _read_lines(path: Path) -> list[bytes]:
    """Return the lines with their ends; a pipe is read too."""
    raw = read_small(path, _MAX_BYTES, "results of edge-benchmark --output", BenchmarkError)
    return raw.splitlines(keepends=True)


def _check_version(record: dict[str, Any]) -> None:
    version = record.get("format")
    if version is None:
        raise BenchmarkError(f'it has no "format": written by an earlier version; {_AGAIN}')
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", version) if isinstance(version, str) else None
    if match is None:
        raise BenchmarkError(f'"format" must be such as "{FORMAT}". Received: {reprlib.repr(version)}')
    if match[1] != _MAJOR:
        raise BenchmarkError(
            f"it has format {version}, and this program reads {_MAJOR}.x. Replace the older one of the two "
            "by a newer one from where it came from, and measure again"
        )


def _nested(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with subject and latency as objects again."""
    sections = {"subject": Subject, "latency": Latency}
    parts = {
        name: {field.name: record[field.name] for field in fields(section) if field.name in record}
        for name, section in sections.items()
    }
    # How a model was run is no part of the format: a key of that name would be one of a newer version.
    rest = {name: value for name, value in record.items() if name != "execution"}
    return {**rest, **parts}


def _check_blocks(name: str, blocks: Sequence[Sequence[float]]) -> None:
    _require(name, len(blocks), len(blocks) > 0 and all(blocks), "of at least one block of each process")
    lowest = min(value for process in blocks for value in process)
    _require(name, lowest, lowest > 0 and math.isfinite(math.log(lowest)), "above 0")


def _require(name: str, value: object, right: bool, rule: str) -> None:
    if not right:
        raise BenchmarkError(f"{name} must be {rule}. Received: {value}")
