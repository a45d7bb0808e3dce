"""COCO's JSON: images, annotations, categories (cocodataset.org/#format-data). Their places are not used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from .rows import LabelRow, LabelTable, label_texts

_PARTS = ("images", "annotations", "categories")


def is_coco(value: Any) -> bool:
    """Return whether a JSON value has COCO's three lists."""
    return isinstance(value, dict) and all(isinstance(value.get(part), list) for part in _PARTS)


def read_coco(path: Path, value: Mapping[str, Any]) -> LabelTable:
    """Return a row for each image, with the names of all categories that are annotated in it.

    Raises DatasetError where an image, category or annotation lacks what it must have.
    """
    try:
        return _read(path, value)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} is no whole COCO file ({type(error).__name__}: {error}): images need id and file_name, "
            "categories id and name, annotations image_id and category_id"
        ) from None


def _read(path: Path, value: Mapping[str, Any]) -> LabelTable:
    names = {category["id"]: label_texts(category["name"]) for category in value["categories"]}
    labels: dict[Any, list[str]] = {image["id"]: [] for image in value["images"]}
    boxes = 0
    for annotation in value["annotations"]:
        category, image = annotation["category_id"], annotation["image_id"]
        if category not in names or image not in labels:
            missing = f"category {category}" if category not in names else f"image {image}"
            raise DatasetError(
                f"{path}: annotation {annotation.get('id')} is of {missing}, which is not there"
            )
        labels[image] += names[category]
        boxes += any(annotation.get("bbox") or ())
    rows = tuple(
        LabelRow(
            str(image["file_name"]), tuple(dict.fromkeys(labels[image["id"]])), None, f"image {image['id']}"
        )
        for image in value["images"]
    )
    remark = f"{path} marks places in pictures ({boxes:,}): the whole pictures are used"
    return LabelTable(path, rows, (remark,) if boxes else (), annotated=True)
