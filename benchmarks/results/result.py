"""One line of edge-benchmark's JSON: one model, run in one way on one machine, and its sections.

Times are ms, memory is MB (10^6 bytes), shares are 0..1, and intervals (`*_ci95`) are of 95 %. A figure that
could not be measured is None, and a text beside it says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...edge.runtime import Execution
from ..host import Host

Interval = tuple[float, float]


@dataclass(frozen=True)
class Caveat:
    """A disturbance that makes figures less reliable; `kind` is one of CAVEATS.

    `text` is a sentence with a figure and a remedy, and `value` is that figure, where there is one.
    """

    kind: str
    text: str
    value: float | None = None


# neighbours: other programs used the processor. clock: its frequency changed. hot, throttled: the board
# slowed itself down or is about to. governor: the system does not keep the clock up. unsteady: the latency
# was never steady. swap: memory was swapped while measuring.
CAVEATS = ("neighbours", "clock", "hot", "throttled", "governor", "unsteady", "swap")


@dataclass(frozen=True)
class Conditions:
    """The machine while it was measured.

    `neighbours` is the mean number of cores that other programs kept busy, with the time that a hypervisor
    gave to other machines, and `neighbours_max` the most in half a second. `clock_mhz` (of the fastest core,
    at the ends of blocks) and `temperature_c` are the lowest and the highest values; `throttled` holds the
    problems that the firmware of the board reports ("under-voltage", ...). None: not known.
    """

    neighbours: float | None
    neighbours_max: float | None
    clock_mhz: Interval | None
    temperature_c: Interval | None
    throttled: tuple[str, ...] | None
    governor: str | None
    warnings: tuple[Caveat, ...] = ()


@dataclass(frozen=True)
class Ratio:
    """The time of this model as a multiple of that of the base, from turns that followed each other.

    `base` is the file of the base; `median`, `lowest` and `highest` are those of the ratios of all turns.
    """

    base: str
    median: float
    ci95: Interval
    lowest: float
    highest: float


@dataclass(frozen=True)
class Yardstick:
    """The model of benchmarks/measuring/yardstick.py, measured in turn with the others, and run as they are.

    A machine that is slower for a while slows both: results of two days are compared by multiples of the
    yardstick's time. `ratio` is such a multiple, and `blocks` are those of all blocks, by process.
    """

    sha256: str
    median_ms: float
    ratio: float
    ratio_ci95: Interval
    blocks: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process that runs the model, Python included.

    `peak` is the most since the process started, `loaded` that with the model loaded, `steady` that after the
    last run, and `slope` the growth in 1,000 runs after the warm-up.
    """

    peak: float
    loaded: float
    steady: float
    slope: float


@dataclass(frozen=True)
class Energy:
    """The energy of one inference in mJ, by the meter `source`; None: `reason` says why."""

    per_inference_mj: float | None
    source: str | None
    reason: str | None


@dataclass(frozen=True)
class Spread:
    """The distribution of a time over images or runs, ms."""

    median: float
    p90: float
    p99: float
    maximum: float


@dataclass(frozen=True)
class Stages:
    """The stages of a picture on its way to the answer, on one thread, and how many pictures a second.

    `source` is "files" or the value of --camera. `decode` is reading and decoding, `resize` resizing to the
    input tensor, `invoke` running the model, and `post` from output tensor to answer; `whole` is from file to
    answer, timed in one go. `per_second` is the rate of one worker, `per_second_all` that of all `workers`
    (None for a camera). `waited` is the time until a frame of the camera came, and `age` the time from then
    to its answer. `skipped` pictures could not be read; `remarks` are for the user.
    """

    source: str
    images: int
    decode: Spread
    resize: Spread
    invoke: Spread
    post: Spread
    whole: Spread
    per_second: float
    workers: int
    per_second_all: float | None
    waited: Spread | None = None
    age: Spread | None = None
    skipped: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColdStart:
    """`edge-classify PHOTO` as a whole process, from start to exit, and the peak of its memory."""

    median_ms: float
    lowest_ms: float
    highest_ms: float
    runs: int
    peak_mb: float | None


@dataclass(frozen=True)
class ClassScore:
    """One class of the labelled images."""

    label: str
    support: int
    precision: float
    precision_ci95: Interval
    recall: float
    recall_ci95: Interval
    f1: float
    f1_ci95: Interval


@dataclass(frozen=True)
class Change:
    """An image that two models answer differently."""

    image: str
    truth: str
    base: str
    this: str


@dataclass(frozen=True)
class Pairing:
    """This model and another on the same images: `base` is the file of the other.

    `agreement` is the share of images with the same top-1. `only_base` and `only_this` are the numbers of
    images that only one of them has right; `p_value` is that of McNemar's exact test. `changed` lists the
    images that are answered differently. `is_origin` says that this model counts as made from the base: by
    their cards, or because the user named the base.
    """

    base: str
    agreement: float
    agreement_ci95: Interval
    only_base: int
    only_this: int
    p_value: float
    changed: tuple[Change, ...]
    is_origin: bool = False


@dataclass(frozen=True)
class ChoiceAnswers:
    """Which of the images that one of several files is chosen by this file has right.

    `data` names these images, and `sha256` is the hash of their names and classes. `right` is base64 of one
    bit for each image, the first in the highest bit; `float_right` is the same of the float model that this
    file was made from, None where that is not among the models. On `compared` images, these and the scored
    ones, `differing` answers are not the float model's.
    """

    data: str
    images: int
    sha256: str
    right: str
    float_right: str | None = None
    differing: int | None = None
    compared: int | None = None


@dataclass(frozen=True)
class MeasuredAccuracy:
    """How often the answers of a model are right.

    `outputs` is the number of classes that the model knows: with five or fewer, top5 says nothing. `classes`
    are those that have images, and macro F1 is over them. Of the scored images, `training_images` were used
    to train the model, which makes the figures too good, and `validation_images` to choose its best epoch and
    threshold. `own_split` is whether the split.json that says so is that of the model's own training; None:
    no split is known. `choice` holds the answers by which a file is recommended.

    `chance` is the share of right answers that the same answers give in a random order, and `above_chance_p`
    the probability that chance gives as many as were measured; see edge/statistics/chance.py. Both are None
    in older records, and `above_chance_p` where all images are of one class.

    All figures are of the classes alone. `unknown` is the share of images that are answered with the output
    for unknown things instead, and `lost_to_unknown` that of the right answers; None without such an output.
    """

    data: str
    images: int
    skipped: int
    outputs: int
    top1: float
    top1_ci95: Interval
    top5: float
    top5_ci95: Interval
    macro_f1: float
    macro_f1_ci95: Interval
    ece: float
    ece_ci95: Interval
    classes: tuple[ClassScore, ...]
    pairing: Pairing | None
    training_images: int | None
    training_examples: tuple[str, ...]
    validation_images: int | None = None
    own_split: bool | None = None
    choice: ChoiceAnswers | None = None
    chance: float | None = None
    above_chance_p: float | None = None
    unknown: float | None = None
    lost_to_unknown: float | None = None


@dataclass(frozen=True)
class OperatorTime:
    """One operator of the graph; `ms` is its time in one inference, and `share` that of the whole time.

    `by` is what runs it: "XNNPACK", the name of the delegate, or "the runtime". `macs` are its
    multiply-accumulates, `bytes` the bytes that it reads and writes. None: not known.
    """

    index: int | None
    name: str
    output: str
    by: str | None
    ms: float | None
    share: float | None
    macs: int | None
    bytes: int | None


@dataclass(frozen=True)
class Operations:
    """The time of each operator. `profiler` says what measured it, or why it could not be measured.

    `macs` are those of one inference, `gmacs_per_s` is macs over the median, `best_gmacs_per_s` the best rate
    of synthetic convolutions of the same type on this machine with the same runtime and threads, and
    `of_best` the share of it that this model reaches. `outside` are operators that neither XNNPACK nor the
    delegate runs.
    """

    profiler: str
    operators: tuple[OperatorTime, ...]
    outside: tuple[str, ...] | None
    macs: int | None
    uncounted: tuple[str, ...]
    gmacs_per_s: float | None
    best_gmacs_per_s: float | None
    of_best: float | None
    best_shape: str | None


@dataclass(frozen=True)
class SoakPoint:
    """One stretch of a soak, which ended `seconds` after its start; None: not known."""

    seconds: float
    median_ms: float
    p99_ms: float
    temperature_c: float | None
    clock_mhz: float | None
    neighbours: float | None
    rss_mb: float | None


@dataclass(frozen=True)
class Soak:
    """A model that ran without a pause; `slowdown` is the last tenth's median over the first's, minus 1."""

    minutes: float
    slowdown: float
    points: tuple[SoakPoint, ...]


# Another major version is refused; unknown keys of a newer minor version are ignored. 1.1 added
# accuracy.chance, .above_chance_p and .choice, and accuracy.pairing.is_origin; 1.2 accuracy.unknown and
# .lost_to_unknown.
FORMAT = "1.2"


@dataclass(frozen=True)
class Origin:
    """The version of this package, the commit checked out in the working folder, and the start (UTC)."""

    version: str
    commit: str | None
    started: str


@dataclass(frozen=True)
class Subject:
    """What is measured: a model file, and how it is run.

    `file` is the path as it was given, `sha256` that of its bytes. `device` is the host as --on named it,
    None for this machine. `runtime` is package and version.
    """

    file: str
    sha256: str
    size_bytes: int
    variant: str | None
    threads: int
    runtime: str
    delegate: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Latency:
    """Times of single inferences in ms, all blocks of all processes together.

    `load_ms` is the time from file to allocated tensors, `first_ms` that of the first inference: medians over
    the `processes`. `warm_up_runs` came before the others, until the time was `steady` or a limit was
    reached. `blocks` are the medians of blocks, by process: variation between them is not in the percentiles.
    """

    load_ms: float
    first_ms: float
    warm_up_runs: int
    steady: bool
    median_ms: float
    median_ci95: Interval
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    runs: int
    processes: int
    blocks: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Result:
    """Everything about one subject; sections that were not asked for are None.

    `execution` is how the model was run, for parts of a benchmark that run it again. It is no part of the
    record, and None for a result that was read from a file.
    """

    subject: Subject
    latency: Latency
    memory: Memory | None
    energy: Energy
    conditions: Conditions
    host: Host
    origin: Origin
    ratio: Ratio | None = None
    yardstick: Yardstick | None = None
    accuracy: MeasuredAccuracy | None = None
    stages: tuple[Stages, ...] = ()
    cold_start: ColdStart | None = None
    operations: Operations | None = None
    soak: Soak | None = None
    remarks: tuple[str, ...] = ()
    execution: Execution | None = field(default=None, repr=False, compare=False)

    @property
    def file(self) -> str:
        """The path of the model file, as it was given."""
        return self.subject.file

    @property
    def device(self) -> str | None:
        """The device as --on named it, None for this machine."""
        return self.subject.device

    def known_execution(self) -> Execution:
        """Return how the model was run; raises ValueError for a result that was read from a file."""
        if self.execution is None:
            raise ValueError(f"how {self.file} was run is not in a file of results")
        return self.execution

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints: subject and latency flat, the other sections nested."""
        apart = ("subject", "latency", "execution")
        rest = {name: value for name, value in asdict(self).items() if name not in apart}
        accuracy, memory = self.accuracy, self.memory
        return {
            "format": FORMAT,
            **asdict(self.subject),
            **asdict(self.latency),
            "peak_rss_mb": memory.peak if memory else None,
            "top1": accuracy.top1 if accuracy else None,
            "top1_ci95": accuracy.top1_ci95 if accuracy else None,
            **rest,
        }


@dataclass(frozen=True)
class Failure:
    """A model that could not be measured; `error` is a sentence that names the file."""

    file: str
    threads: int
    error: str
    host: Host
    origin: Origin
    runtime: str | None = None
    delegate: str | None = None
    device: str | None = None

    @classmethod
    def of(cls, path: Path, execution: Execution, error: str, host: Host, origin: Origin) -> Failure:
        """Return the failure of a model file that was to be run so."""
        return cls(
            str(path),
            execution.threads,
            error,
            host,
            origin,
            runtime=execution.runtime,
            delegate=execution.delegate,
        )

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class ToolResult:
    """Figures of another program, `tool`, on a device that cannot run this one: Android's benchmark_model.

    Times are ms, memory MB (10^6 bytes), None where the tool did not report it. `mean_ms` is an average over
    `runs`, and no substitute for a median. `memory_growth_mb` is that since the start of the tool.
    """

    file: str
    sha256: str
    size_bytes: int
    variant: str | None
    threads: int
    tool: str
    device: str
    host: Host
    origin: Origin
    load_ms: float
    first_ms: float
    warm_up_mean_ms: float
    mean_ms: float
    runs: int | None
    min_ms: float | None
    max_ms: float | None
    std_ms: float | None
    median_ms: float | None
    p95_ms: float | None
    memory_growth_mb: float | None
    peak_memory_mb: float | None
    remarks: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {"format": FORMAT, **asdict(self)}
