"""What a fault has cost: results that are lost or half-written, and a next run that does not recover."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from studies.faults.commands import visible
from studies.faults.kinds import Ended, Trial

_LONGEST = 600.0
_GIVEN_WAY = ("exists", "not empty", "Another edge-", "appeared meanwhile", "not finished")  # Of two writers.


@dataclass(frozen=True)
class Verdict:
    """What went wrong in a trial, in sentences; nothing where all is well."""

    lost: tuple[str, ...]
    half: tuple[str, ...]
    unrecovered: tuple[str, ...]


def judge(trial: Trial, ended: Sequence[Ended]) -> Verdict:
    """Look at the files after a fault, start the next run, and look again."""
    half = trial.subject.find_half_written(trial.folder, trial.cwd)
    lost = [
        *(f"traceback: {each.said.splitlines()[-1]}" for each in ended if "Traceback" in each.said),
        *_older_lost(trial, ended),
        *(_lost_of_two(trial, ended) if len(ended) > 1 else _lost_of_one(trial, ended[0])),
    ]
    left = [path.name for path in trial.folder.glob(".*.part") if path.stat().st_size]
    return Verdict(tuple(lost), tuple(half), tuple(_unrecovered(trial, left)))


def _lost_of_one(trial: Trial, ended: Ended) -> list[str]:
    if ended.status == 0:
        return trial.subject.missing(trial.folder)
    if ended.status is None:
        return []
    if not ended.said.strip():
        return [f"status {ended.status} without a word"]
    kept = [path.name for path in visible(trial.folder, trial.cwd) if ".kept" in path.name]
    parts = [path.name for path in trial.folder.glob(".*.part") if path.stat().st_size]
    unnamed = [name for name in (*kept, *parts) if name not in ended.said]
    return [f"{name} is not named" for name in unnamed]


def _lost_of_two(trial: Trial, ended: Sequence[Ended]) -> list[str]:
    """Each of two writers has either its result, or says why not; a result that was made is there."""
    if not any(each.status == 0 for each in ended):
        return [f"neither was written: {each.said.strip().splitlines()[-1:]}" for each in ended]
    silent = [each for each in ended if each.status and not any(word in each.said for word in _GIVEN_WAY)]
    path = trial.folder / trial.subject.result
    made = sum(each.status == 0 or "kept" in each.said for each in ended)
    found = len([*path.parent.glob(path.name), *path.parent.glob(f"{path.stem}.kept*{path.suffix}")])
    missing = trial.subject.missing(trial.folder)
    return [
        *(f"status {each.status}: {each.said.strip().splitlines()[-1:]}" for each in silent),
        *([] if found >= made else [f"{made} results were made, {found} are there"]),
        *missing,
    ]


def _older_lost(trial: Trial, ended: Sequence[Ended]) -> list[str]:
    """Return which older results are neither as they were nor replaced by a whole one."""
    if any(each.status == 0 for each in ended):
        return [str(path.name) for path in trial.before if not path.is_file()]
    return [
        f"{path.name}, which was older"
        for path, data in trial.before.items()
        if not path.is_file() or (path.read_bytes() != data and not trial.subject.replaces(path))
    ]


def _unrecovered(trial: Trial, left: Sequence[str]) -> list[str]:
    command = trial.subject.recovery(trial.folder)
    done = subprocess.run(
        command,
        cwd=trial.cwd,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_LONGEST,
        check=False,
    )
    found = [f"{name} was left, and the next run does not say so" for name in left if name not in done.stderr]
    if done.returncode != 0:
        found.append(f"the next run ends with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    found += [f"missing after the next run: {what}" for what in trial.subject.missing(trial.folder)]
    return [*found, *trial.subject.find_half_written(trial.folder)]
