"""Exports of annotation tools and data set sites, each in the form that its origin writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.labelled import scan_class_folders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support.labelled_folders import found, scan, touch, write

EXPECTED = {"all": {"cat": ["1.jpg"], "dog": ["2.jpg"]}}


def dump(root: Path, name: str, value: Any) -> Path:
    return write(root, name, json.dumps(value))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return touch(tmp_path / "data", "1.jpg", "2.jpg")


@pytest.mark.parametrize(
    "value",
    [
        {"1.jpg": "cat", "2.jpg": "dog"},
        {"cat": ["1.jpg"], "dog": ["2.jpg"]},
        {"1": {"label": "cat"}, "2": {"label": "dog"}},
        [{"image": "1.jpg", "label": "cat"}, {"image": "2.jpg", "label": "dog"}],
        [["1.jpg", "cat"], ["2.jpg", "dog"]],
        {"classes": ["cat", "dog"], "labels": {"1": 0, "2": 1}},  # FiftyOne's image classification
        [{"source-ref": "s3://b/1.jpg", "class": "cat", "class-metadata": {"confidence": 1}},  # SageMaker
         {"source-ref": "s3://b/2.jpg", "class": "dog", "class-metadata": {"confidence": 1}}],
        {"info": {"version": 1}, "data": [{"path": "x/1.jpg", "labels": ["cat"]},
                                          {"path": "x/2.jpg", "labels": ["dog"]}]},
        [{"image": "1.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]},  # CreateML
         {"image": "2.jpg", "annotations": [{"label": "dog"}, {"label": "dog"}]}],
    ],
)  # fmt: skip
def test_json_maps_and_lists_are_read(data: Path, value: Any) -> None:
    assert found(data, dump(data, "labels.json", value)) == EXPECTED


def test_metadata_of_an_imagefolder_is_read(tmp_path: Path) -> None:
    """The metadata.jsonl of Hugging Face's ImageFolder, one in each split: file_name, and other columns."""
    data = touch(tmp_path, "train/1.png", "train/2.png", "test/1.png")
    lines = '{"file_name": "1.png", "label": 0}\n{"file_name": "2.png", "label": 1}\n'
    write(data, "train/metadata.jsonl", lines)
    write(data, "test/metadata.jsonl", '{"file_name": "1.png", "label": 0}\n')
    assert found(data, "metadata.jsonl") == {
        "test": {"0": ["test/1.png"]},
        "train": {"0": ["train/1.png"], "1": ["train/2.png"]},
    }
    write(data, "train/metadata.jsonl", lines + "{broken\n")
    with pytest.raises(DatasetError, match=r"metadata\.jsonl: line 3 cannot be read as JSON"):
        scan(data, "metadata.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"1.jpg": "cat", "1.jpg": "dog"}', "has the key '1.jpg' twice, with different values"),
        ('{"1.jpg": ', "cannot be read as JSON"),
        ("[1, 2]", "is JSON of a form that is not known. Known are a list of objects"),
        ("{}", "is empty"),
        ('[{"a": 1}]', "which column names the picture: it has a"),
        (
            '{"1.jpg": ["cat", "dog"], "2.jpg": ["dog"]}',
            "entry '1.jpg': 1.jpg has several classes, cat and dog",
        ),
        ("[" * 100_000, "is nested deeper"),
    ],
)
def test_json_that_cannot_be_used_is_refused_by_its_reason(data: Path, text: str, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        scan(data, write(data, "labels.json", text))
    assert said in str(caught.value)


WORDS = st.sampled_from(
    ["image", "label", "images", "annotations", "categories", "id", "file_name", "image_id", "category_id",
     "name", "data", "result", "value", "choices", "type", "from_name", "1.jpg", "http://[", "\ud800",
     "\0", "..", ""]
)  # fmt: skip
VALUES = st.recursive(
    WORDS | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
)


@given(VALUES | st.lists(st.fixed_dictionaries({"data": VALUES, "annotations": VALUES}), min_size=1))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused_in_a_sentence(data: Path, value: Any) -> None:
    table = dump(data, "labels.json", value)
    try:
        folder = scan(data, table)
    except DatasetError as error:
        assert str(error)
    else:
        assert folder.labels


def coco(images: dict[str, list[int]], bbox: list[int]) -> dict[str, Any]:
    """COCO's form, with the first category that Roboflow writes, which no annotation has."""
    names = ["animals", "cat", "dog"]
    pairs = [(number, category) for number, own in enumerate(images.values()) for category in own]
    return {
        "info": {"year": "2024"},
        "licenses": [{"id": 1, "url": "", "name": "CC BY 4.0"}],
        "categories": [{"id": i, "name": name, "supercategory": "animals"} for i, name in enumerate(names)],
        "images": [
            {"id": i, "license": 1, "file_name": name, "height": 9, "width": 9}
            for i, name in enumerate(images)
        ],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": bbox, "area": 1, "iscrowd": 0}
            for i, (image, category) in enumerate(pairs)
        ],
    }


def test_coco_gives_the_one_category_of_each_image_and_counts_the_others(data: Path) -> None:
    """The form is that of cocodataset.org, as the tools export it."""
    touch(data, "both.jpg", "none.jpg")
    images = {"1.jpg": [1, 1], "2.jpg": [2], "both.jpg": [1, 2], "none.jpg": []}
    table = dump(data, "instances.json", coco(images, [1, 2, 3, 4]))
    assert found(data, table) == EXPECTED
    assert scan(data, table).remarks == (
        f"{table} marks places in pictures (5): the whole pictures are used",
        "instances.json: pictures without a class, left out: 1",
        "instances.json: pictures with several classes, or on which people differ, left out, since one class "
        "is trained for each image: 1, such as both.jpg",
    )


def test_coco_of_mostly_several_categories_or_of_missing_parts_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match="several classes to 2 pictures and one class to 0, but one class"):
        scan(data, dump(data, "l.json", coco({"1.jpg": [1, 2], "2.jpg": [1, 2]}, [])))
    with pytest.raises(DatasetError, match="annotation 0 is of category 7, which is not there"):
        scan(data, dump(data, "l.json", coco({"1.jpg": [7]}, [])))
    broken = coco({"1.jpg": [1]}, [])
    del broken["images"][0]["file_name"]
    with pytest.raises(DatasetError, match=r"is no whole COCO file \(KeyError: 'file_name'\)"):
        scan(data, dump(data, "l.json", broken))


def test_coco_of_two_years_and_folders_is_two_subsets(tmp_path: Path) -> None:
    """train2017/, val2017/ and annotations/, as COCO itself is unpacked."""
    data = touch(tmp_path, "train2017/1.jpg", "train2017/2.jpg", "val2017/3.jpg")
    dump(data, "annotations/instances_train2017.json", coco({"1.jpg": [1], "2.jpg": [2]}, []))
    dump(data, "annotations/instances_val2017.json", coco({"3.jpg": [1]}, []))
    with pytest.raises(
        DatasetError, match=r"are subsets, not classes\. .*give --image-labels .*train2017\.json"
    ):
        scan(data)
    tables = [f"annotations/instances_{name}2017.json" for name in ("train", "val")]
    assert found(data, *tables) == {
        "train": {"cat": ["train2017/1.jpg"], "dog": ["train2017/2.jpg"]},
        "validation": {"cat": ["val2017/3.jpg"]},
    }


def test_roboflow_folders_are_a_data_set_of_their_own(tmp_path: Path) -> None:
    """Roboflow's classification export "Folder Structure"."""
    data = touch(tmp_path, "README.dataset.txt", "README.roboflow.txt")
    for part in ("train", "valid", "test"):
        touch(data, f"{part}/cat/1_jpg.rf.0a1b.jpg", f"{part}/dog/2_jpg.rf.2c3d.jpg")
    assert set(scan_class_folders(data).subsets) == {"train", "validation", "test"}


@pytest.mark.parametrize("form", ["_classes.csv", "_annotations.coco.json"])
def test_roboflow_tables_in_each_split_are_given_by_their_name_alone(tmp_path: Path, form: str) -> None:
    """Roboflow's "Multiclass Classification" (one column of 0 and 1 a class, after a space), and its COCO."""
    data = tmp_path / "data"
    for part in ("train", "valid", "test"):
        touch(data, f"{part}/a_jpg.rf.1.jpg", f"{part}/b_jpg.rf.2.jpg")
        if form == "_classes.csv":
            text = "filename, cat, dog\na_jpg.rf.1.jpg, 1, 0\nb_jpg.rf.2.jpg, 0, 1\n"
            write(data, f"{part}/{form}", text)
        else:
            dump(data, f"{part}/{form}", coco({"a_jpg.rf.1.jpg": [1], "b_jpg.rf.2.jpg": [2]}, []))
    for root in (data, tmp_path):  # The latter is a wrapper.
        with pytest.raises(DatasetError, match=rf"are subsets, not .* give --image-labels {form}, or"):
            scan(root)
    assert scan(tmp_path, form).labels == ("cat", "dog")
    subsets = found(data, form)
    assert list(subsets) == ["test", "train", "validation"]
    assert subsets["validation"] == {"cat": ["valid/a_jpg.rf.1.jpg"], "dog": ["valid/b_jpg.rf.2.jpg"]}


def task(number: int, image: str, *chosen: str | None, control: str = "choice") -> dict[str, Any]:
    """A task of Label Studio; each of `chosen` is one person's annotation, None a cancelled one."""
    annotations = [
        {
            "id": 10 * number + person,
            "completed_by": person,
            "was_cancelled": choice is None,
            "ground_truth": False,
            "result": [
                {
                    "value": {"choices": [choice or "fox"]},
                    "id": "J2n3",
                    "from_name": control,
                    "to_name": "image",
                    "type": "choices",
                    "origin": "manual",
                }
            ],
        }
        for person, choice in enumerate(chosen)
    ]
    predicted = {"model_version": "1", "result": [{"value": {"choices": ["fox"]}, "from_name": control,
                                                   "type": "choices"}]}  # fmt: skip
    return {
        "id": number,
        "annotations": annotations,
        "file_upload": image.rpartition("/")[2],
        "drafts": [],
        "predictions": [predicted],
        "data": {"image": image},
        "meta": {},
        "project": 1,
    }


def test_label_studio_gives_what_people_agree_on(tmp_path: Path) -> None:
    """Label Studio 1.x's JSON export: uploads, a local and a cloud storage; two people, one who skipped."""
    data = touch(tmp_path, "photo.jpg", "more/my cat (1).jpg", "sub/3.jpg", "4.jpg", "5.jpg")
    tasks = [
        task(1, "/data/upload/1/0a1b2c3d-photo.jpg", "cat", "cat"),
        task(2, "/data/upload/1/deadbeef-my_cat_1.jpg", "dog", None),
        task(3, "/data/local-files/?d=data%2Fsub%2F3.jpg", "cat"),
        task(4, "s3://bucket/prefix/4.jpg", "cat", "dog"),
        task(5, "5.jpg", None),
    ]
    table = dump(data, "project-1.json", tasks)
    assert found(data, table) == {"all": {"cat": ["photo.jpg", "sub/3.jpg"], "dog": ["more/my cat (1).jpg"]}}
    assert scan(data, table).remarks == (
        "project-1.json: pictures without a class, left out: 1",
        "project-1.json: pictures with several classes, or on which people differ, left out, since one class "
        "is trained for each image: 1, such as 4.jpg",
    )


def test_label_studio_of_several_controls_asks_which(data: Path) -> None:
    first = task(1, "1.jpg", "cat")
    first["annotations"][0]["result"] += task(1, "1.jpg", "sharp", control="quality")["annotations"][0][
        "result"
    ]
    table = dump(data, "p.json", [first])
    with pytest.raises(
        DatasetError, match=r"several controls .*: choice, quality\. Say which with --label-columns"
    ):
        scan(data, table)
    assert scan(data, table, columns="label=quality").labels == ("sharp",)
    with pytest.raises(DatasetError, match="has no control 'nix', but choice, quality"):
        scan(data, table, columns="label=nix")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_label_studio_min_and_csv_are_read_alike(tmp_path: Path, form: str) -> None:
    """Label Studio 1.x's JSON-MIN and CSV exports: a row for each annotation."""
    data = touch(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    chosen: list[tuple[int, Any]] = [
        (1, "cat"),
        (2, "dog"),
        (3, "cat"),
        (3, "dog"),
        (4, {"choices": ["cat", "dog"]}),
    ]
    rows = [
        {"annotation_id": n, "annotator": n, "choice": choice, "created_at": "2024-01-01T00:00:00Z",
         "id": image, "image": f"/data/upload/1/0a1b2c3d-{image}.jpg", "lead_time": 2.1,
         "updated_at": "2024-01-01T00:00:00Z"}
        for n, (image, choice) in enumerate(chosen)
    ]  # fmt: skip
    if form == "json":
        table = dump(data, "p.json", rows)
    else:
        cells = [
            ",".join('"{}"'.format((v if isinstance(v, str) else json.dumps(v)).replace('"', '""'))
                     for v in row.values()) for row in rows
        ]  # fmt: skip
        table = write(data, "p.csv", "\n".join([",".join(rows[0]), *cells]) + "\n")
    assert found(data, table) == EXPECTED
    assert any(
        "people differ, left out" in remark and ": 2, such as" in remark
        for remark in scan(data, table).remarks
    )
