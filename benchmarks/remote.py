"""One run of edge-benchmark on other machines: what is sent there, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..edge.card import ModelCard
from ..edge.console import INTERRUPTED, say
from ..edge.errors import BenchmarkError, OptionError
from ..edge.labelled import LabelledImage
from ..edge.modelfile import ModelFile
from .devices.remote_job import RemoteJob, pictures_to_send
from .devices.run import run_on
from .devices.target import AdbTarget, Target
from .request import RemoteOptions, Request
from .results.reading import parse_record
from .results.result import Failure, Result
from .scoring.labelled import LabelledData
from .session import Outcome, say_untold


def measure_far(request: Request, remote: RemoteOptions) -> Outcome:
    """Measure on all targets at once; one that fails costs the others nothing.

    Raises ModelFileError for a model that cannot be read here, before anything is sent.
    """
    from .scoring.labelled import choose_sample

    cards = {str(path): ModelFile.read(path).card for path in request.files}
    data = request.data
    sample = pictures_to_send(choose_sample(data.images, remote.sample)) if data else ()
    # The other machine takes its first file as the base.
    ordered = tuple(sorted(request.files, key=lambda path: path != request.base))
    job = RemoteJob(
        files=ordered,
        arguments=remote.arguments,
        images=sample,
        data=f"{data.name}, a sample" if data else "",
        labels=request.labels,
        wheels=_wheels(remote.wheels),
        keep=remote.keep,
        threads=tuple(dict.fromkeys(execution.threads for execution in request.executions)),
        runs=request.runs,
        benchmark_model=remote.benchmark_model,
    )
    received = _Received()
    outcomes = run_on(remote.targets, job, received.take)
    status = 0
    for outcome in outcomes:
        if outcome.error is not None:
            say(f"Error: {outcome.error}", "error")
        if outcome.left is not None:
            say(outcome.left)
        if outcome.error is not None or outcome.status not in (0, None):
            status = max(status, 1)
    if received.unreadable:
        status = max(status, 1)
    if any(outcome.interrupted for outcome in outcomes):
        status = INTERRUPTED
    results = received.results
    if data is not None:
        results = _with_training_images(results, cards, data, sample, request.split)
        say_untold(results)  # What a device says of a model at chance is shown as it is: its status is 1.
    return Outcome(results, status, tuple(received.others))


class _Received:
    """The records of all devices, in the order in which they come."""

    def __init__(self) -> None:
        self.results: list[Result | Failure] = []
        self.others: list[dict[str, Any]] = []
        self.unreadable = False
        self._lock = threading.Lock()

    def take(self, target: Target, records: Sequence[dict[str, Any]]) -> None:
        """Keep the records of a device, and name those that cannot be read."""
        for record in records:
            if (
                isinstance(target, AdbTarget) and "tool" in record
            ):  # Made here, of what the tool prints there.
                self.others.append(record)
                continue
            try:
                result = parse_record(record)
            except BenchmarkError as error:
                self.unreadable = True
                say(f"{target.name} gave a result that cannot be read: {error}", "error")
                continue
            with self._lock:
                self.results.append(result)


def _wheels(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files, and those in the folders; raises OptionError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.whl")) if path.is_dir() else [path]
        if not inside:
            raise OptionError(f"--wheel {path} is a folder without .whl files. Fill it with pip download")
        found += inside
    return tuple(found)


def _with_training_images(
    results: Sequence[Result | Failure],
    cards: Mapping[str, ModelCard | None],
    data: LabelledData,
    sample: Sequence[LabelledImage],
    split: Path | None,
) -> list[Result | Failure]:
    """Look the sample up in the splits that are known here: other machines have none.

    `cards` are those of the models, by file.
    """
    from .scoring.training_images import choose_split, find_overlap, find_splits, hash_images, training_remark

    splits = find_splits(data, [Path(r.subject.file) for r in results if isinstance(r, Result)], split)
    names = [str(image.path) for image in sample]
    hashed = list(zip(names, hash_images(sample), strict=True)) if splits else []
    done: list[Result | Failure] = []
    for result in results:
        if not isinstance(result, Result) or result.accuracy is None:
            done.append(result)
            continue
        found = choose_split(cards.get(result.file), splits)
        if found is None:
            done.append(result)
            continue
        overlap = find_overlap(*found, hashed)
        accuracy = replace(
            result.accuracy,
            training_images=overlap.training,
            validation_images=overlap.validation,
            training_examples=overlap.examples,
            own_split=overlap.own,
        )
        remark = training_remark(accuracy, Path(result.file).name)
        remarks = (*result.remarks, remark) if remark else result.remarks
        done.append(replace(result, accuracy=accuracy, remarks=remarks))
    return done
