"""One run of edge-benchmark on other machines: what is sent there, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..edge.console import INTERRUPTED, say
from ..edge.errors import BenchmarkError, OptionError
from ..edge.labelled import LabelledImage
from ..edge.modelfile import ModelFile
from .devices.remote_job import RemoteJob
from .devices.run import run_on
from .devices.target import AdbTarget, Target
from .measuring.plan import PROCESSES
from .results.reading import parse_record
from .results.result import Failure, Result
from .scoring.labelled import LabelledData, labelled_images
from .session import Outcome
from .stages.cold import as_option

if TYPE_CHECKING:
    from .cli import Options


def measure_far(files: tuple[Path, ...], options: Options) -> Outcome:
    """Measure on all targets at once; one that fails costs the others nothing.

    Raises ModelFileError for a model that cannot be read here, before anything is sent.
    """
    from .scoring.labelled import choose_sample

    for path in files:
        ModelFile.read(path)
    _refuse_on_android(options)
    data = labelled_images(options.data, options.images) if options.data is not None else None
    sample = choose_sample(data.images, options.sample) if data else []
    # The far side takes its first file as the base.
    ordered = tuple(sorted(files, key=lambda path: path != options.base))
    job = RemoteJob(
        files=ordered,
        arguments=_arguments(options),
        images=tuple(sample),
        data=f"{data.name}, a sample" if data else "",
        labels=options.labels,
        wheels=_wheels(options.wheels),
        keep=options.keep,
        threads=options.threads,
        runs=options.runs,
        benchmark_model=options.benchmark_model,
    )
    received = _Received()
    outcomes = run_on(options.targets, job, received.take)
    status = 0
    for outcome in outcomes:
        if outcome.error is not None:
            say(f"Error: {outcome.error}", "error")
        if outcome.left is not None:
            say(outcome.left)
        if outcome.error is not None or outcome.status not in (0, None):
            status = max(status, 1)
    if any(outcome.interrupted for outcome in outcomes):
        status = INTERRUPTED
    results = _with_training_images(received.results, data, sample, options) if data else received.results
    return Outcome(results, status, tuple(received.others))


class _Received:
    """The records of all devices, in the order in which they come."""

    def __init__(self) -> None:
        self.results: list[Result | Failure] = []
        self.others: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def take(self, target: Target, records: Sequence[dict[str, Any]]) -> None:
        """Keep what a device gave; a record that cannot be understood is told."""
        for record in records:
            if "tool" in record:
                self.others.append(record)
                continue
            try:
                result = parse_record(record)
            except BenchmarkError as error:
                say(f"{target.name} gave a result that cannot be read: {error}", "error")
                continue
            with self._lock:
                self.results.append(result)


def _refuse_on_android(options: Options) -> None:
    """Refuse what TensorFlow Lite's own tool cannot do, which would else be ignored; raises OptionError."""
    android = [isinstance(target, AdbTarget) for target in options.targets]
    beyond: dict[str, object] = {
        "--data": options.data,
        "--camera": options.camera,
        "--soak": options.soak,
        "--by-operation": options.by_operation,
        "--runtime": options.runtimes,
        "--delegate": options.delegate,
        "--processes": options.processes != PROCESSES,
    }
    # Its means are no results of edge-benchmark's, of which other devices may give some.
    judged: dict[str, object] = {
        "--base": options.base,
        "--baseline": options.baseline,
        "--budget": options.budget,
        "--markdown": options.markdown,
        "--report": options.report,
    }
    given = [name for name, value in {**beyond, **(judged if all(android) else {})}.items() if value]
    if given and any(android):
        raise OptionError(
            f"{given[0]} cannot be had by adb: benchmark_model only tells mean times of models on the "
            "processor. Leave it out, or measure the phone apart"
        )


def _wheels(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files, and those in the folders; raises OptionError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.whl")) if path.is_dir() else [path]
        if not inside:
            raise OptionError(f"--wheel {path} is a folder without .whl files. Fill it with pip download")
        found += inside
    return tuple(found)


def _arguments(options: Options) -> tuple[str, ...]:
    """Return the options that the far edge-benchmark gets as they are."""
    valued = {
        "--threads": ",".join(map(str, options.threads)),
        "--runtime": ",".join(options.runtimes) if options.runtimes else None,
        "--delegate": options.delegate,
        "--runs": options.runs,
        "--processes": options.processes,
        "--normalization": as_option(options.normalization) if options.normalization else None,
        "--camera": options.camera,
        "--soak": options.soak,
    }
    flags = {
        "--delegate-fallback": options.delegate_fallback,
        "--stages": options.stages,
        "--by-operation": options.by_operation,
    }
    arguments = [part for name, value in valued.items() if value is not None for part in (name, str(value))]
    arguments += [part for text in options.delegate_options for part in ("--delegate-option", text)]
    return (*arguments, *(name for name, given in flags.items() if given))


def _with_training_images(
    results: Sequence[Result | Failure], data: LabelledData, sample: Sequence[LabelledImage], options: Options
) -> list[Result | Failure]:
    """Look the sample up in the splits that are known here, since they are not there."""
    from .scoring.training_images import choose_split, find_overlap, find_splits, hash_images, training_remark

    splits = find_splits(
        data, [Path(r.subject.file) for r in results if isinstance(r, Result)], options.split
    )
    names = [str(image.path) for image in sample]
    hashed = list(zip(names, hash_images(sample), strict=True)) if splits else []
    done: list[Result | Failure] = []
    for result in results:
        if not isinstance(result, Result) or result.accuracy is None:
            done.append(result)
            continue
        path = Path(result.subject.file)
        found = choose_split(ModelFile.read(path).card, splits)
        if found is None:
            done.append(result)
            continue
        seen = find_overlap(*found, hashed)
        accuracy = replace(
            result.accuracy,
            training_images=seen.training,
            validation_images=seen.validation,
            training_examples=seen.examples,
            own_split=seen.own,
        )
        remark = training_remark(accuracy, path.name)
        remarks = (*result.remarks, remark) if remark else result.remarks
        done.append(replace(result, accuracy=accuracy, remarks=remarks))
    return done
