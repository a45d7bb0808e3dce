"""One line of edge-benchmark's JSON: one model, with so many threads, on one machine, and its sections.

Times are ms, memory is MB (10^6 bytes), shares are 0..1. An interval (`*_ci95`) is of 95 %. What could not be
measured is None, and a text beside it says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...edge.runtime import Execution
from ..host import Host

Interval = tuple[float, float]


@dataclass(frozen=True)
class Caveat:
    """Something that makes the figures less than they seem; `kind` is one of CAVEATS.

    `text` is a sentence with the figure in it, and `value` that figure, where there is one.
    """

    kind: str
    text: str
    value: float | None = None


# neighbours: other programs used the processor. clock: its frequency changed. hot, throttled: the board
# slowed itself down or is about to. governor: the system does not keep the clock up. unsteady: the latency
# never came to rest. swap: memory was swapped while measuring.
CAVEATS = ("neighbours", "clock", "hot", "throttled", "governor", "unsteady", "swap")


@dataclass(frozen=True)
class Conditions:
    """The machine while it was measured.

    `neighbours` is how many cores other programs kept busy, on average (time that a hypervisor gave to
    others included), and `neighbours_max` the most in half a second. `clock_mhz` (of the fastest core, at the
    ends of blocks) and `temperature_c` are the lowest and the highest seen; `throttled` names what the
    board's firmware said ("under-voltage", ...); None: not told.
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
    """This model's time as a multiple of another's, of turns that followed each other.

    `base` is that one's file; `median` of the turns' ratios, with their `lowest` and `highest`.
    """

    base: str
    median: float
    ci95: Interval
    lowest: float
    highest: float


@dataclass(frozen=True)
class Yardstick:
    """The model that comes with this package, measured in turn with the others, as they are run.

    What slows the machine down slows both: results of two days are compared by their multiples of it.
    `ratio` is the measured model's time as a multiple of it, and `blocks` that of every block, by process.
    """

    sha256: str
    median_ms: float
    ratio: float
    ratio_ci95: Interval
    blocks: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process that runs the model, Python included.

    `peak` since it started; `loaded` and `steady` the resident memory with the model loaded and after the
    last run; `slope` what it grew by in 1,000 runs after the warm-up.
    """

    peak: float
    loaded: float
    steady: float
    slope: float


@dataclass(frozen=True)
class Energy:
    """What one inference took, in mJ, by the meter `source`; None: `reason` says why."""

    per_inference_mj: float | None
    source: str | None
    reason: str | None


@dataclass(frozen=True)
class Spread:
    """A time's distribution over images or runs, ms."""

    median: float
    p90: float
    p99: float
    maximum: float


@dataclass(frozen=True)
class Stages:
    """A picture's way to its answer, one after the other on one thread, and how many a second that makes.

    `source` is "files" or what --camera named. `decode` is reading and decoding, `resize` to the input's
    tensor, `invoke` the model, `post` from output tensor to answer; `whole` from file to answer, timed at
    once. `per_second` is by one worker, `per_second_all` by `workers` at once (None for a camera). `waited`
    is the time for a camera's frame, and `age` how old one is at its answer, since it arrived. `skipped`
    pictures could not be read; `remarks` are what the user should know.
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
    """Two models on the same images: `base` is the other one's file.

    `agreement` is the share of images with the same top-1. `only_base` and `only_this` count those that just
    one has right; `p_value` is of McNemar's exact test. `changed` lists what is answered differently.
    """

    base: str
    agreement: float
    agreement_ci95: Interval
    only_base: int
    only_this: int
    p_value: float
    changed: tuple[Change, ...]


@dataclass(frozen=True)
class MeasuredAccuracy:
    """How right the answers are.

    `outputs` is how many classes the model knows: of five or fewer, top5 says nothing. `classes`, and macro
    F1 over them, are those that have images. Of the scored images, `training_images` were used to train that
    model, and the figures are too good, and `validation_images` to choose its best epoch and threshold.
    `own_split` is whether the split.json that says so is the one that the model was trained on; None: none is
    known.
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


@dataclass(frozen=True)
class OperatorTime:
    """One operator of the graph. `ms` of one inference, None where the runtime does not tell.

    `by` is what runs it: "XNNPACK", the delegate's name, "the runtime", or None where that is not known.
    `macs` are multiply-accumulates, `bytes` what it reads and writes; None where not known. `share` is of the
    whole time.
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
    """Where the time goes. `profiler` says what measured each operator, or why none could.

    `macs` of one inference; `gmacs_per_s` is macs over the median; `best_gmacs_per_s` the best that synthetic
    convolutions of the same type reach on this machine with the same runtime and threads, and `of_best` the
    share of it that this model reaches. `outside` are operators that neither XNNPACK nor the delegate takes.
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
    """One stretch of a soak: seconds since its start, what was seen in it, None where not told."""

    seconds: float
    median_ms: float
    p99_ms: float
    temperature_c: float | None
    clock_mhz: float | None
    neighbours: float | None
    rss_mb: float | None


@dataclass(frozen=True)
class Soak:
    """A model run without a pause. `slowdown` is the last tenth's median over the first tenth's, minus 1."""

    minutes: float
    slowdown: float
    points: tuple[SoakPoint, ...]


# Another major version is refused; unknown keys of a newer minor one are ignored.
FORMAT = "1.0"


@dataclass(frozen=True)
class Origin:
    """What made the result: version of this package, git commit of the working folder, and when (UTC)."""

    version: str
    commit: str | None
    started: str


@dataclass(frozen=True)
class Subject:
    """What is measured: a model file, and how it is run.

    `file` is the path as given, `sha256` of its bytes. `device` is the host as --on named it, None for this
    machine. `runtime` is package and version.
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

    `load_ms` from file to allocated tensors and `first_ms` of the first inference are medians over the
    `processes`. `warm_up_runs` came before the others, until the time was `steady`, or the patience at its
    end. `blocks` are the medians of blocks, by process: what varies between them is not in the percentiles.
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

    def on(self, device: str) -> Result:
        """Return the result as one of another device, called so."""
        return replace(self, subject=replace(self.subject, device=device))


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

    def on(self, device: str) -> Failure:
        """Return it as one of another device, called so."""
        return replace(self, device=device)


@dataclass(frozen=True)
class ToolResult:
    """What another program, `tool`, measured on a device that cannot run this one: Android's benchmark_model.

    Times are ms, memory MB (10^6 bytes), None where the tool did not tell. `mean_ms` is an average over
    `runs`: it stands in for no median. `memory_growth_mb` is since the tool started.
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
