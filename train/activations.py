"""Activations of the frozen part of a network: computed once for some views of every image, and cached."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.console import say
from ..edge.progress import progress
from .cache import ATTEMPTS, Cache
from .dataset import Examples
from .disk_arrays import new_array, open_array
from .feeds import ExampleTable, Stacked
from .frozen import CHUNK, Divided, divide, run_front
from .phases import Phase
from .task import Task
from .views import ViewedImages, Views, digest_pixels, plan_views

_FILE = "activations.npy"
BUDGET = 4 * 1024**3  # Bytes; every epoch reads all of it, so it should stay in memory.


@dataclass(frozen=True)
class Cut:
    """Training and validation activations at a cut, and the part of the base behind it (None: nothing).

    `viewed` are images whose views, in the order of Views.places, have the rows of `table.values` from the
    first on: all rows that `table` uses.
    """

    table: ExampleTable
    validation: ExampleTable
    back: Any | None
    viewed: tuple[ViewedImages, ...]


def cut_activations(task: Task, phase: Phase) -> Cut | None:
    """Return the activations for a phase; None if it has no frozen part, or if they would be too large.

    Where the task has a pool, those of all its images are computed at once, so that other splits of the pool
    find them in the cache. Its rows ascend. Each split still uses those of its own images only. Raises
    DatasetError when the disk is full.
    """
    divided = _frozen_part(task, phase)
    if divided is None:
        return None
    views = plan_views(task.train.truth, task.classes, task.hyperparameters, phase.epochs)
    wanted = _Work(divided, task.train, task.validation, views)
    if task.pool is not None and (cut := _cut_of_pool(task, task.pool, wanted)) is not None:
        return cut
    key = _cache_key(task, wanted)
    work = _affordable(task, wanted, key)
    if work is None:
        return None
    values = _compute(task, work, key)
    last = work.views.total + np.arange(len(task.validation.rows))
    return Cut(
        ExampleTable(values, work.views.places(), work.views.counts, task.train.truth),
        ExampleTable(values, last[None], np.ones_like(last), task.validation.truth),
        divided.back,
        (work.viewed(task),),
    )


def refit_activations(task: Task, phase: Phase, epochs_before: int) -> Cut | None:
    """Return the activations for a refit, which learns all images of the task, by ascending rows.

    The phase before, of `epochs_before` epochs, has used views of the training images: as long as the cache
    holds these, only those of the validation images are computed. The result is the same without. None as in
    `cut_activations`.
    """
    chosen, train, validation = task.hyperparameters, task.train, task.validation
    everything = replace(task, train=train.joined(validation), validation=validation.first(0))
    if chosen.imbalance == "oversample":  # The number of an image's views follows from all images.
        return cut_activations(everything, phase)
    divided = _frozen_part(task, phase)
    if divided is None:
        return None
    learned, nothing = everything.train, everything.validation
    views = plan_views(learned.truth, task.classes, chosen, phase.epochs)
    before = plan_views(train.truth, task.classes, chosen, max(epochs_before, phase.epochs))
    if task.pool is not None:
        wanted = _Work(divided, learned, nothing, views)
        if (cut := _cut_of_pool(task, task.pool, wanted, before.most)) is not None:
            return cut
    of_train = _with_cached_views(task, _Work(divided, train, validation, before), views.most)
    of_validation = _Work(divided, validation, nothing, Views(np.full(len(validation.rows), views.most)))
    key = _cache_key(task, of_train)
    if not _fits(task, of_train, key, _room(task.cache) - of_validation.bytes):  # Then fewer views of all.
        return cut_activations(replace(everything, pool=None), phase)
    values = _compute(task, of_train, key)
    further = _compute(task, of_validation, _cache_key(task, of_validation))
    places = [of_train.views.places()[: views.most], len(values) + of_validation.views.places()]
    order = np.argsort(np.concatenate([train.rows, validation.rows]), kind="stable")
    both: Any = Stacked(values, further)
    table = ExampleTable(both, np.concatenate(places, 1)[:, order], views.counts, learned.truth)
    none = ExampleTable(values, places[0][:1, :0], views.counts[:0], nothing.truth)
    viewed = (of_train.viewed(task), ViewedImages.unchanged(validation), of_validation.viewed(task))
    return Cut(table, none, divided.back, viewed)


def _frozen_part(task: Task, phase: Phase) -> Divided | None:
    """Return the network in two parts; None where nothing of it is frozen, or pixels are mixed."""
    mixes_pixels = task.hyperparameters.mix == "cutmix"
    if not task.built.pretrained or phase.first_trained == 0 or mixes_pixels:
        return None
    return divide(task.built, phase.first_trained)


def _cut_of_pool(task: Task, pool: Examples, wanted: _Work, more_views: int = 0) -> Cut | None:
    """Return activations that were computed for all images of a pool; None where they are not for all.

    Those of up to `more_views` views of each image serve too, if the cache holds them.
    """
    shared = wanted.of_pool(pool)
    if shared is None:
        return None
    number = shared.views.most
    if more_views > number:
        longest = replace(shared, views=Views(np.full(len(pool.rows), more_views)))
        shared = _with_cached_views(task, longest, number)
    key = _cache_key(task, shared)
    if not _fits(task, shared, key, _room(task.cache)):
        return None
    values, places = _compute(task, shared, key), shared.views.places()[:number]
    of_train, of_validation = (np.searchsorted(pool.rows, e.rows) for e in (wanted.train, wanted.validation))
    return Cut(
        ExampleTable(values, places[:, of_train], wanted.views.counts, wanted.train.truth),
        ExampleTable(values, places[:1, of_validation], np.ones_like(of_validation), wanted.validation.truth),
        wanted.divided.back,
        (shared.viewed(task),),
    )


def _with_cached_views(task: Task, work: _Work, least: int) -> _Work:
    """Return the work with the most views of each image that the cache holds, or else with the `least`."""
    key = _cache_key(task, work)
    found: _Work | None = work
    while found is not None and found.views.most > least:
        if task.cache.entry("features", _entry(found, key)) is not None:
            return found
        found = found.fewer()
    return replace(work, views=Views(np.minimum(work.views.counts, least)))


@dataclass(frozen=True)
class _Work:
    """The input of the frozen part: the views of the training images, then the validation images."""

    divided: Divided
    train: Examples
    validation: Examples
    views: Views

    @property
    def rows(self) -> int:
        return self.views.total + len(self.validation.rows)

    @property
    def bytes(self) -> int:
        return self.rows * math.prod(self.divided.shape) * 4

    def viewed(self, task: Task) -> ViewedImages:
        """Return the views of the training images."""
        chosen = task.hyperparameters
        return ViewedImages(self.train, self.views, chosen.augment, chosen.views, task.seed)

    def fewer(self) -> _Work | None:
        """Return the same work with fewer views; None if each image has only one."""
        counts = self.views.counts
        return replace(self, views=Views(np.maximum(1, counts * 3 // 4))) if counts.max() > 1 else None

    def of_pool(self, pool: Examples) -> _Work | None:
        """Return the work for all images of a pool; None if each split needs other views of an image.

        The first view is the image itself, so validation images need nothing more.
        """
        views = self.views.most
        if (self.views.counts != views).any():
            return None
        nothing = Examples(pool.pixels, pool.rows[:0], pool.truth[:0])
        counts = np.full(len(pool.rows), views, np.int64)
        return replace(self, train=pool, validation=nothing, views=Views(counts))


def _affordable(task: Task, wanted: _Work, key: dict[str, Any]) -> _Work | None:
    """Return the work with as many views as fit, or None; tell the user if that is less than wanted.

    Cached activations need no room: a continued training gets the views with which it began.
    """
    name, room = task.built.model.name, _room(task.cache)
    work: _Work | None = wanted
    smallest = wanted
    while work is not None:
        if _fits(task, work, key, room):
            if work is not wanted:
                say(
                    f"{name}: {work.views.total:,} augmented views instead of {wanted.views.total:,}: "
                    f"these need {wanted.bytes / 1e9:.1f} GB, and {room / 1e9:.1f} GB are allowed"
                )
            return work
        smallest, work = work, work.fewer()
    say(
        f"{name}: the frozen part is run in every epoch, because one view of every image needs "
        f"{smallest.bytes / 1e9:.1f} GB, and {room / 1e9:.1f} GB are allowed"
    )
    return None


def _room(cache: Cache) -> int:
    return min(BUDGET, shutil.disk_usage(cache.root).free // 2)


def _entry(work: _Work, key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "views": work.views.digest()}


def _fits(task: Task, work: _Work, key: dict[str, Any], room: int) -> bool:
    """Return whether the activations fit into `room` bytes, or are cached already."""
    return work.bytes <= room or (
        work.bytes <= BUDGET and task.cache.entry("features", _entry(work, key)) is not None
    )


def _compute(task: Task, work: _Work, key: dict[str, Any]) -> NDArray[np.float32]:
    """Return the activations [rows, ...] from the cache, computed now if they are not there."""
    shape = (work.rows, *work.divided.shape)

    def write(folder: Path) -> None:
        array = new_array(folder / _FILE, shape, np.float32)
        _fill(array, task, work)
        array.flush()

    for _ in range(ATTEMPTS):
        folder = task.cache.make("features", _entry(work, key), write)
        values = open_array(folder / _FILE, shape, np.float32)
        if values is not None:
            return values
        task.cache.discard(folder)
    return task.cache.fail()


def _fill(array: NDArray[np.float32], task: Task, work: _Work) -> None:
    most = work.views.most
    title = f"{task.built.model.name}: frozen part, {most} view{'' if most == 1 else 's'}"
    with progress(title, len(array), "images") as advance:
        run_front(work.divided, _chunks(work, work.viewed(task)), array, advance)


def _chunks(work: _Work, viewed: ViewedImages) -> Iterator[NDArray[Any]]:
    """Yield the images, uint8 or float32 [n, side, side, 3]; the first view is the unchanged image."""
    for view in range(work.views.most):
        yield from viewed.chunks(view)
    validation = work.validation
    for start in range(0, len(validation.rows), CHUNK):
        yield validation.pixels[validation.rows[start : start + CHUNK]]


def _cache_key(task: Task, work: _Work) -> dict[str, Any]:
    """Return everything that decides the activations, except the views."""
    front = work.divided.front
    weights = hashlib.blake2b(digest_size=16)
    for array in front.get_weights():
        weights.update(array.tobytes())
    return {
        "input": front.input_shape[1:],
        "shape": work.divided.shape,
        "layer": front.layers[-1].layers[-1].name,
        "weights": weights.hexdigest(),
        "images": digest_pixels(work.train, work.validation),
        **work.viewed(task).recipe(),
        "versions": [version("tensorflow"), version("ai-edge-litert"), version("edge-classify")],
    }
