"""The audit as a page: each kind of finding with a few of its pictures. Needs no TensorFlow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from ..edge.durable import make_folders
from ..edge.errors import ImageError, OutputKeptError, OutputLostError
from ..edge.files import write_result
from ..edge.image import load_image
from .built_in import BUILT_IN
from .cache import open_cache
from .dataset import prepare_audit
from .findings import Audit, AuditedImage, Leak, Remark, TwinGroup
from .options import TrainOptions
from .output import AUDIT, REPORT, check_output, require_apart, require_place
from .report import environment

_SIDE = 96  # Pixels of a picture's longer side.
_QUALITY = 70
_MAX_ITEMS = 24  # Of each kind; audit.json lists all.
_MAX_BYTES = 700_000  # Of all pictures; base64 makes a third more of it. Later ones are left out.
_MAX_NAMED = 2  # Pictures of one group of twins.


@dataclass(frozen=True)
class AuditPicture:
    """One file: a small JPEG of it (None: cannot be shown), its path, and the text below it."""

    jpeg: bytes | None
    path: str
    note: str


@dataclass(frozen=True)
class AuditItem:
    """Pictures that belong together, and a text about them."""

    pictures: tuple[AuditPicture, ...]
    text: str


@dataclass(frozen=True)
class AuditFinding:
    """A kind of fault: `items` are the first of `total`."""

    title: str
    explanation: str
    total: int
    items: tuple[AuditItem, ...]

    @property
    def more(self) -> int:
        """The number of items that are not shown."""
        return self.total - len(self.items)


@dataclass(frozen=True)
class AuditView:
    """The content of report_audit.html; `subsets` is ("all",) for a data set without subset folders.

    `faults` is the number of lines of `summary` that are about faults.
    """

    summary: tuple[str, ...]
    findings: tuple[AuditFinding, ...]
    unreadable: tuple[Remark, ...]
    more_unreadable: int
    subsets: tuple[str, ...]
    classes: dict[str, dict[str, int]]
    largest: int
    faults: int = 0


class _Thumbnails:
    """Makes small pictures up to a number of bytes in all, and decodes each file once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: dict[str, bytes | None] = {}
        self._left = _MAX_BYTES

    def __call__(self, path: str, note: str) -> AuditPicture:
        if path not in self._made:
            self._made[path] = self._make(path)
        return AuditPicture(self._made[path], path, note)

    def _make(self, path: str) -> bytes | None:
        if self._left <= 0:
            return None
        try:
            image = load_image(self._root / path)
        except (ImageError, ValueError):  # ValueError: a name that no file can have.
            return None
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=_QUALITY)
        self._left -= buffer.tell()
        return buffer.getvalue()


def view_audit(audit: Audit, root: Path) -> AuditView:
    """Choose the findings for a page, and make small pictures of the files below `root`.

    A file that is missing, or comes after the first 0.7 MB of pictures, is shown by its name alone.
    """
    thumbnail = _Thumbnails(root)
    subsets = tuple(
        s for s in ("all", "train", "validation", "test") if s in next(iter(audit.classes.values()), {})
    )
    return AuditView(
        summary=tuple(audit.summary()),
        findings=tuple(finding for finding in _findings(audit, thumbnail) if finding.total),
        unreadable=audit.unreadable[:_MAX_ITEMS],
        more_unreadable=max(0, len(audit.unreadable) - _MAX_ITEMS),
        subsets=subsets,
        classes=audit.classes,
        largest=max((sum(counts.values()) for counts in audit.classes.values()), default=0),
        faults=len(audit.faults()),
    )


def render_audit(dataset: str, view: AuditView, facts: Mapping[str, Any]) -> str:
    """Return a page with the audit alone; `facts` maps names to values. All text is escaped."""
    template = environment().get_template("audit_page.html")
    return template.render(dataset=dataset, audit=view, facts=facts)


def _findings(audit: Audit, thumbnail: _Thumbnails) -> Iterable[AuditFinding]:
    yield AuditFinding(
        "Twins of test and validation images",
        "A model would be measured on its training images. The twin is left out of training.",
        len(audit.leaks),
        tuple(
            AuditItem(
                (_show(leak.image, thumbnail), _show(leak.twin, thumbnail)),
                _describe(leak),
            )
            for leak in audit.leaks[:_MAX_ITEMS]
        ),
    )
    yield _twins(
        "The same picture under several labels",
        "Identical files are left out of training, because at most one label is right. Near-duplicates are "
        "kept in one subset: check their labels.",
        audit.conflicts,
        thumbnail,
    )
    yield AuditFinding(
        "Mirror images under different labels",
        "Either mirroring changes the class, as with left and right arrows: then all is well. Or one of the "
        "two labels is wrong. They stay in one subset, and none is left out.",
        len(audit.mirrored),
        tuple(
            AuditItem((_show(pair.image, thumbnail), _show(pair.mirror, thumbnail)), "mirror images")
            for pair in audit.mirrored[:_MAX_ITEMS]
        ),
    )
    yield _twins(
        "Copies and near-duplicates",
        "They stay in one subset, so that they do not falsify the measured accuracy.",
        audit.copies,
        thumbnail,
    )
    for title, explanation, remarks in (
        (
            "Blank images",
            "A model learns nothing from them, or that an empty picture means this class.",
            audit.blank,
        ),
        ("Small images", "They are enlarged, and show little detail.", audit.small),
        (
            "Names that say another format",
            "They are used: the content of the file counts, not its name.",
            audit.misnamed,
        ),
    ):
        items = (AuditItem((thumbnail(r.path, r.label),), r.remark) for r in remarks[:_MAX_ITEMS])
        yield AuditFinding(title, explanation, len(remarks), tuple(items))


def _twins(title: str, explanation: str, groups: Sequence[TwinGroup], thumbnail: _Thumbnails) -> AuditFinding:
    items = []
    for group in groups[:_MAX_ITEMS]:
        # One of each label first, to show a contradiction.
        first = {image.label: image for image in reversed(group.images)}.values()
        chosen = list(dict.fromkeys([*reversed(first), *group.images]))[:_MAX_NAMED]
        kind = _describe(group)
        more = len(group.images) - len(chosen)
        text = f"{kind}, and {more:,} more" if more else kind
        items.append(AuditItem(tuple(_show(image, thumbnail) for image in chosen), text))
    return AuditFinding(title, explanation, len(groups), tuple(items))


def _describe(found: Leak | TwinGroup) -> str:
    if found.identical:
        return "the same file"
    return "mirror images" if found.mirrored else "near-duplicates"


def _show(image: AuditedImage, thumbnail: _Thumbnails) -> AuditPicture:
    subset = "" if image.subset == "all" else f" ({image.subset})"
    return thumbnail(image.path, f"{image.label}{subset}")


def audit_only(
    data: str, output: Path | None, options: TrainOptions, force: bool, command: str, unwritten: list[str]
) -> Audit:
    """Audit `data` without training; with `output`, write audit.json and report.html there.

    A sentence joins `unwritten` for each of the two that had to be kept elsewhere, or could not be written.
    Raises DatasetError, OptionError and OutputExistsError.
    """
    root = None if data in BUILT_IN else Path(data)
    if output is not None:
        check_output(output, force)
        if root is not None:
            require_apart(root, output)
        require_place(output)
    with (
        tempfile.TemporaryDirectory(prefix="edge-train-") as folder,
        open_cache(options.cache, Path(folder), root) as cache,
    ):
        audited = prepare_audit(data, Path(folder), cache, options, audit_only=True)
        view = view_audit(audited.audit, audited.found.root)
        if output is not None:
            page = render_audit(audited.name, view, {"Command": command})
            made: dict[str, bytes | str] = {
                AUDIT: audited.audit.to_json(),
                REPORT: page.encode("utf-8", "backslashreplace"),
            }
            make_folders(output)
            for name, content in made.items():
                try:
                    write_result(output / name, content, force)
                except (OutputKeptError, OutputLostError) as error:
                    unwritten.append(str(error))
    return audited.audit
