"""The models of one run, and how many threads work on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..classifier import Classifier, load_classifiers
from ..console import say
from ..cores import workers_of
from ..default_model import DEFAULT_MODEL, describe_default
from ..labels import read_label_file
from ..option_rules import no_effect
from .settings import ModelSettings


def load_models(settings: ModelSettings) -> list[Classifier]:
    """Load all files, or the default model, and print remarks that a user should read about them.

    Raises ModelFileError (CardError, LabelError, SignatureError) as load_classifiers does, and OptionError
    for a file of keys that is none.
    """
    keys = None
    if settings.keys is not None:
        from ..trusted_keys import TrustedKeys

        keys = TrustedKeys.read(settings.keys)
    names = read_label_file(settings.labels) if settings.labels else None
    files = settings.files or (DEFAULT_MODEL,)
    facts = replace(settings.facts, labels=names)
    classifiers = load_classifiers(files, facts, settings.execution, keys)
    if not settings.files:
        say(describe_default(classifiers[0].labels))
    for classifier in classifiers:
        if classifier.labels[0] == "class 0" and names is None and classifier.file.labels is None:
            say(f"{classifier.file.name} names no classes: numbers are shown. Name them with --labels FILE")
        for remark in classifier.remarks:
            say(remark, "warning")
    return classifiers


def say_what_is_never_unknown(classifiers: Sequence[Classifier]) -> None:
    """Say for which models --no-unknown has no effect."""
    for classifier in classifiers:
        if classifier.unknown_label is None:
            say(no_effect(("--no-unknown",), f"with {classifier.file.name}: it cannot answer unknown"))


def share_out(
    settings: ModelSettings, classifiers: list[Classifier], live: bool, several: bool
) -> tuple[list[Classifier], int]:
    """Return the classifiers to use, and how many workers share out the frames.

    A live source has one worker, since only its newest frame counts; so has a single photo. Others have one
    a core, or fewer where each has several threads. With --threads auto both are measured on the first model,
    and printed.
    """
    if settings.auto_threads and not (live or several):
        say(no_effect(("--threads auto",), "with a single photo"))
    if not settings.auto_threads or not (live or several):
        return classifiers, workers_of(settings.execution.threads) if several else 1
    from ..threads import choose_parallelism, choose_threads

    choose = choose_threads if live else choose_parallelism
    choice = choose(classifiers[0].with_threads)
    say(f"--threads auto: {choice.describe()}")
    threads = choice.chosen.threads
    return [classifier.with_threads(threads) for classifier in classifiers], choice.chosen.workers
