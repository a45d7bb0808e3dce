from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.edge.errors import DatasetError, ImageError, OptionError
from edge_classify.edge.image import load_image
from edge_classify.edge.labelled import LabelledImage, is_text, scan_class_folders

from .support.pictures import make_picture

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def _touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _found(root: Path) -> dict[str, dict[str, list[str]]]:
    found = scan_class_folders(root)
    return {
        subset: {label: [p.relative_to(root).as_posix() for p in paths] for label, paths in classes.items()}
        for subset, classes in found.subsets.items()
    }


def test_class_folders_are_listed_in_natural_order_with_the_folders_inside(tmp_path: Path) -> None:
    _touch(tmp_path, "10/a.png", "9/10.PNG", "9/9.jpeg", "9/sub dir/é.webp", "Größe/x.gif")
    assert scan_class_folders(tmp_path).labels == ("9", "10", "Größe")
    assert _found(tmp_path)["all"] == {
        "9": ["9/9.jpeg", "9/10.PNG", "9/sub dir/é.webp"],
        "10": ["10/a.png"],
        "Größe": ["Größe/x.gif"],
    }


def test_hidden_files_and_other_suffixes_are_left_out(tmp_path: Path) -> None:
    root = _touch(tmp_path / "d", "a/1.png", "a/.2.png", "a/.h/3.png", "a/notes.txt", "a/png", ".b/4.png")
    assert _found(root) == {"all": {"a": ["a/1.png"]}}


def test_links_in_a_class_are_followed_to_other_places_once_and_never_to_another_class(
    tmp_path: Path,
) -> None:
    root = _touch(tmp_path / "d", "a/1.png", "b/2.png")
    (root / "a" / "disk").symlink_to(_touch(tmp_path / "disk", "3.png", "deep/4.png"))
    (root / "a" / "again").symlink_to(tmp_path / "disk" / "deep")
    (root / "a" / "other").symlink_to(root / "b")
    (root / "c").symlink_to(_touch(tmp_path / "class", "5.png"))
    (tmp_path / "class" / "round").symlink_to(tmp_path / "class")
    found = _found(root)["all"]
    assert found["b"] == ["b/2.png"] and found["c"] == ["c/5.png"]
    assert sorted(Path(name).name for name in found["a"]) == ["1.png", "3.png", "4.png"]
    assert scan_class_folders(root).remarks == (
        "Links to folders that are in the data set already, not followed: 2",
    )


def test_labels_that_are_numbers_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"{label}/{label}.png" for label in ("0", "1", "10", "2", "b1", "b10", "b9")))
    assert scan_class_folders(tmp_path).labels == ("0", "1", "2", "10", "b1", "b9", "b10")


def test_links_to_files_are_followed_and_links_in_a_circle_end_in_one_clear_reason(tmp_path: Path) -> None:
    root = _touch(tmp_path / "d", "a/1.png")
    make_picture("blue 3", 1).save(tmp_path / "elsewhere.png")
    (root / "a" / "2.png").symlink_to(tmp_path / "elsewhere.png")
    (root / "a" / "3.png").symlink_to("4.png")
    (root / "a" / "4.png").symlink_to("3.png")
    (root / "a" / "parent").symlink_to("..")
    (root / "whole").symlink_to(".")
    (root / "above").symlink_to(tmp_path)
    (root / "round").symlink_to("round")
    assert _found(root) == {"all": {"a": ["a/1.png", "a/2.png", "a/3.png", "a/4.png"]}}
    assert load_image(root / "a" / "2.png").size == (48, 40)
    with pytest.raises(ImageError, match=r"4\.png cannot be read \(Too many levels of symbolic links\)"):
        load_image(root / "a" / "4.png")


def test_class_folder_that_is_a_link_to_elsewhere_is_a_class(tmp_path: Path) -> None:
    root = _touch(tmp_path / "d", "a/1.png")
    (root / "b").symlink_to(_touch(tmp_path / "elsewhere", "2.png"))
    assert _found(root) == {"all": {"a": ["a/1.png"], "b": ["b/2.png"]}}


def test_folder_named_like_an_image_is_a_folder_and_empty_class_is_a_class_without_images(
    tmp_path: Path,
) -> None:
    root = _touch(tmp_path, "a/1.jpg/2.png", "b.png/3.png")
    (root / "c").mkdir()
    assert _found(root) == {"all": {"a": ["a/1.jpg/2.png"], "b.png": ["b.png/3.png"], "c": []}}


@needs_pipes
def test_pipe_named_like_an_image_is_left_out_and_broken_link_is_kept_to_be_reported(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    (tmp_path / "a" / "3.png").symlink_to("nowhere")
    assert _found(tmp_path)["all"]["a"] == ["a/1.png", "a/3.png"]


@pytest.mark.parametrize(
    ("names", "subsets"),
    [
        (("train", "test"), ("test", "train")),
        (("Train", "val", "TEST"), ("test", "train", "validation")),
        (("training", "validation"), ("train", "validation")),
        (("train",), ("train",)),
    ],
)
def test_subset_folders_with_classes_in_them_are_subsets(
    tmp_path: Path, names: tuple[str, ...], subsets: tuple[str, ...]
) -> None:
    for name in names:
        _touch(tmp_path, f"{name}/a/1.png", f"{name}/b/2.png")
    found = scan_class_folders(tmp_path)
    assert tuple(found.subsets) == subsets and found.labels == ("a", "b")
    assert [path.name for path in found.subsets["train"]["b"]] == ["2.png"]


def test_subset_name_beside_other_folders_is_a_class(tmp_path: Path) -> None:
    _touch(tmp_path, "train/freight/1.png", "bus/2.png", "train_station/1.png", "test tube/1.png")
    assert scan_class_folders(tmp_path).labels == ("bus", "test tube", "train", "train_station")


def test_subset_folders_without_classes_are_refused_and_never_become_classes(tmp_path: Path) -> None:
    loose = _touch(tmp_path / "loose", "train/cat.1.png", "train/cat.2.png", "train/dog.1.png", "test/2.png")
    _touch(tmp_path / "loose", "train/dog.2.png")
    with pytest.raises(
        DatasetError,
        match=r"test, train, which must hold.*names in .*train begin with cat, dog.*-names start",
    ):
        scan_class_folders(loose)
    with pytest.raises(DatasetError, match=r"test, val, and no folder for training.*give one of them alone"):
        scan_class_folders(_touch(tmp_path / "no_train", "test/a/1.png", "val/a/1.png"))


@pytest.mark.parametrize(
    ("names", "folders", "said"),
    [
        (("training_set", "test_set"), {"train": "training_set", "test": "test_set"}, ""),
        (("s_train/s_train", "s_test/s_test"), {"train": "s_train/s_train"}, "lie in s_test/s_test"),
        (("Flowers-Train", "Flowers-Valid"), {"validation": "Flowers-Valid"}, ""),
        (("trainset", "testimages"), {"test": "testimages"}, ""),
        (("zip/set/train", "zip/set/dev_set"), {"validation": "zip/set/dev_set"}, "lie in zip/set"),
        (("archive/set", "__MACOSX/set/x"), {"all": "archive/set"}, "lie in archive/set"),
    ],
)  # fmt: skip
def test_classes_are_found_in_subsets_of_other_names_and_in_wrappers(
    tmp_path: Path, names: tuple[str, ...], folders: dict[str, str], said: str
) -> None:
    for name in names:
        _touch(tmp_path, f"{name}/a/1.png", f"{name}/b/2.png")
    found = scan_class_folders(tmp_path)
    assert found.labels == ("a", "b")
    for subset, folder in folders.items():
        assert found.subsets[subset]["a"] == [tmp_path / folder / "a" / "1.png"]
    assert said in " ".join(found.remarks) and bool(said) == bool(found.remarks)


def test_folder_beside_the_subsets_is_left_out_and_named(tmp_path: Path) -> None:
    _touch(tmp_path, "seg_train/a/1.png", "seg_test/a/2.png", "seg_pred/seg_pred/3.png")
    found = scan_class_folders(tmp_path)
    assert found.labels == ("a",) and any("seg_pred" in remark for remark in found.remarks)


def test_class_folders_that_hold_subsets_are_used_whole_and_said_to_be(tmp_path: Path) -> None:
    _touch(tmp_path, "cat/train/1.png", "cat/test/2.png", "dog/train/1.png", "dog/test/2.png")
    found = scan_class_folders(tmp_path)
    assert found.labels == ("cat", "dog") and len(found.subsets["all"]["cat"]) == 2
    assert "cat is a class that holds test, train: all of them are used together" in found.remarks[0]


def test_single_class_with_a_folder_inside_is_no_wrapper(tmp_path: Path) -> None:
    assert _found(_touch(tmp_path, "cat/2020/1.png")) == {"all": {"cat": ["cat/2020/1.png"]}}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a/1.png", "b/2.png", "3.png"), "without a class.*: 1, such as .*3.png"),
        (("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png", "test/5.png"), "folder: 1, such"),
        (("a/1.png", "b/2.png", "c/notes.txt"), r"Classes without pictures: c \(1\)"),
        (("train/a/1.png", "train/b/n.txt", "test/a/3.png", "test/b/4.png"), "without training pictures: b"),
        (("pets/cat/1.png", "pets/dog/2.png", "plants/3.png"), r"folders.*: 1, such .*pets \(cat, dog\)"),
        (("train/pets/cat/1.png", "train/b/2.png", "test/b/3.png", "test/pets/4.png"), "hold folders.* 1"),
    ],
)  # fmt: skip
def test_what_a_user_may_have_meant_otherwise_is_said(
    names: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert any(re.search(said, remark) for remark in scan_class_folders(_touch(tmp_path, *names)).remarks)


def test_class_names_in_composed_and_decomposed_letters_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    _touch(tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/2.png")
    found = scan_class_folders(tmp_path)
    assert found.labels == (composed,) and found.images("test")[0].label == composed


def test_table_beside_loose_images_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"labels\.csv may name the classes: give --image-labels \S+csv, or"
    ):
        scan_class_folders(_touch(tmp_path, "1.png", "2.png", "labels.csv"))


@pytest.mark.parametrize("content", ["test/1.png", "test/.keep"])
def test_test_folder_without_classes_beside_train_with_classes_is_refused(
    tmp_path: Path, content: str
) -> None:
    # It would otherwise become a data set with the two classes "train" and "test".
    _touch(tmp_path, "train/a/1.png", "train/b/1.png", content)
    with pytest.raises(DatasetError, match=r"test must hold one sub-folder for each class, as .*train does"):
        scan_class_folders(tmp_path)


def test_two_folders_for_one_subset_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "train/a/1.png", "val/a/1.png", "validation/a/1.png")
    with pytest.raises(DatasetError, match="are both for validation: keep one"):
        scan_class_folders(tmp_path)


def test_class_that_only_the_test_folder_has_is_refused_by_name(tmp_path: Path) -> None:
    _touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png")
    with pytest.raises(DatasetError, match=r"test has classes that .*train lacks: c\. Add training images"):
        scan_class_folders(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
@pytest.mark.parametrize(
    "name", ["two\nlines", "bell\x07", " space", "space ", "para\u2029graph", "by\udcfftes"]
)
def test_folder_whose_name_cannot_be_a_label_is_refused(tmp_path: Path, name: str) -> None:
    try:
        _touch(tmp_path, f"{name}/1.png", "b/1.png")
    except OSError:
        pytest.skip("this file system refuses such names itself")
    with pytest.raises(DatasetError, match="cannot name a class") as caught:
        scan_class_folders(tmp_path)
    assert is_text(str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no images were found"),
        (("1.png", "2.jpg", "x.txt"), "2 images lie in it directly"),
        (("a/x.txt", "b/y.txt"), "no images were found"),
    ],
)
def test_folder_without_labelled_images_is_refused_with_what_was_found(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DatasetError, match=f"must hold one sub-folder for each class.*{message}"):
        scan_class_folders(_touch(tmp_path, *names))


def test_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        scan_class_folders(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"file\.png is not a folder"):
        scan_class_folders(_touch(tmp_path, "file.png") / "file.png")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_folder_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    closed = _touch(tmp_path, "a/1.png", "b/2.png") / "b"
    closed.chmod(0)
    try:
        with pytest.raises(DatasetError, match=r"b cannot be read \(Permission denied\)"):
            scan_class_folders(tmp_path)
    finally:
        closed.chmod(0o700)


@pytest.mark.parametrize(
    ("names", "subset"),
    [
        (("a/1.png",), "all"),
        (("train/a/1.png", "val/a/2.png", "test/a/3.png"), "test"),
        (("train/a/1.png", "val/a/2.png"), "validation"),
        (("train/a/1.png",), "train"),
    ],
)
def test_evaluation_subset_is_what_training_saw_least_of(
    tmp_path: Path, names: tuple[str, ...], subset: str
) -> None:
    found = scan_class_folders(_touch(tmp_path, *names))
    assert found.evaluation_subset == subset
    assert found.images(subset) == [LabelledImage(tmp_path / names[-1], "a")]


def test_classifying_a_photo_imports_no_reader_of_labelled_folders(tmp_path: Path) -> None:
    make_picture("blue 3", 1).save(tmp_path / "photo.png")
    code = (
        "import sys\nfrom edge_classify.edge.cli import main\n"
        "main([sys.argv[1]], standalone_mode=False)\n"
        "print('edge_classify.edge.labelled' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "photo.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def _write_run(folder: Path, root: Path, *subsets: str) -> Path:
    """Write a run with an image a/1.png, a/2.png and so on in each of the subsets."""
    images = tuple(
        SplitImage(f"a/{number}.png", str(number) * 64, "a", subset)
        for number, subset in enumerate(subsets, 1)
    )
    folder.mkdir(exist_ok=True)
    Split(str(root), ("a", "b"), images).write(folder)
    return folder


def test_labelled_images_of_a_run_are_those_of_its_test_split(tmp_path: Path) -> None:
    data = _touch(tmp_path / "data", "a/1.png", "a/2.png", "a/3.png")
    run = _write_run(tmp_path / "run", data, "train", "validation", "test")
    rows, name, root, split, validation = labelled_images(run)
    assert name == "run (test split)" and root == data and split == Split.read(run)
    assert [row.path for row in validation] == [data / "a/2.png"]
    assert [(row.path, row.label, row.sha256) for row in rows] == [(data / "a/3.png", "a", "3" * 64)]
    rows, name, *_ = labelled_images(_write_run(run, data, "train", "validation"))
    assert name == "run (validation split)" and [row.path.name for row in rows] == ["2.png"]


def test_photos_of_a_run_that_moved_are_found_where_they_are_said_to_be(tmp_path: Path) -> None:
    run = _write_run(tmp_path / "run", tmp_path / "gone", "train", "test")
    moved = _touch(tmp_path / "moved", "a/2.png")
    with pytest.raises(DatasetError, match=r"are not in '.*gone'.* Say where they are with --images FOLDER"):
        labelled_images(run)
    assert labelled_images(run, moved).images[0].path == moved / "a/2.png"
    other = _touch(tmp_path / "other", "b/2.png")
    with pytest.raises(DatasetError, match=r"other holds none of the 1 test images of .*run. Say where"):
        labelled_images(run, other)
    with pytest.raises(OptionError, match=r"--images says where .* and .*other is not a run"):
        labelled_images(other, moved)


def test_labelled_images_of_a_folder_are_its_test_part_or_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path / "parts", "train/a/1.png", "train/b/2.png", "test/b/3.png")
    _touch(tmp_path / "whole", "a/1.png", "b/2.png")
    rows, name, *_ = labelled_images(tmp_path / "parts")
    assert name == "parts (test folder)" and [(r.path.name, r.label) for r in rows] == [("3.png", "b")]
    monkeypatch.chdir(tmp_path / "whole")
    rows, name, *_ = labelled_images(Path())
    assert name == "whole" and [(r.path.name, r.label) for r in rows] == [("1.png", "a"), ("2.png", "b")]


def test_labelled_images_of_an_empty_test_part_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "train/a/1.png", "test/a/readme.txt")
    with pytest.raises(DatasetError, match="holds no test images"):
        labelled_images(tmp_path)
