"""What to type after a benchmark: measure accuracy too, or run the file that is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..edge.next_step import quoted, suggest
from .budget import Budget
from .recommend import advise
from .results.result import Failure, Result


def suggest_after(results: Sequence[Result | Failure], budget: Budget) -> None:
    """Say what to type next, for results of one machine."""
    measured = [result for result in results if isinstance(result, Result)]
    advice = advise(measured, budget)
    if len(advice) != 1:
        return
    chosen = dict(zip(advice[0].names, measured, strict=True)).get(advice[0].recommendation.name or "")
    command, when = command_after(measured, chosen)
    if command:
        suggest(command, when)


def command_after(measured: Sequence[Result], chosen: Result | None) -> tuple[str, str]:
    """Return what to type after these results of one machine, of which one is recommended, and when.

    Both are "" where nothing can be named, as on a phone.
    """
    if measured[0].device is None and all(result.accuracy is None for result in measured):
        files = words_of(list(dict.fromkeys(Path(result.file) for result in measured)))
        return f"edge-benchmark {files} --data photos", "with a folder of labelled images"
    if chosen is None:
        return "", ""
    if chosen.device is None:
        threads = f" --threads {chosen.subject.threads}" if chosen.subject.threads > 1 else ""
        return f"edge-classify -m {quoted(chosen.file)}{threads} photo.jpg", ""
    if "@" in chosen.device and ":" not in chosen.device:  # Not adb, nor ssh:// with a port.
        return f"scp {quoted(chosen.file)} {quoted(chosen.device)}:", ""
    return "", ""


def words_of(files: Sequence[Path]) -> str:
    """Return the files as words for the shell: FOLDER/*.tflite where these are all that the folder has."""
    folder = files[0].parent
    try:
        all_of_folder = len(files) > 1 and set(folder.glob("*.tflite")) == set(files)
    except (OSError, ValueError):  # ValueError: a name that no folder can have, in results of others.
        all_of_folder = False
    if all_of_folder:
        return "*.tflite" if folder == Path() else f"{quoted(folder)}/*.tflite"
    return " ".join(map(quoted, files))
