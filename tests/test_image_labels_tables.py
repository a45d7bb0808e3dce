"""Tables that name the class of each picture, in the forms in which spreadsheets and scripts write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.image_labels.columns import Columns

from .support.labelled_folders import found, scan, touch, write

PICTURES = ("pics/1.jpg", "pics/2.jpg", "pics/3.jpg")
EXPECTED = {"all": {"cat": ["pics/1.jpg", "pics/3.jpg"], "dog": ["pics/2.jpg"]}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return touch(tmp_path / "data", *PICTURES)


@pytest.mark.parametrize(
    "table",
    [
        "filename,label\npics/1.jpg,cat\npics/2.jpg,dog\npics/3.jpg,cat\n",
        "Image_ID;Class\r\n1;cat\r\n2;dog\r\n3;cat\r\n",  # Excel of countries with a decimal comma.
        "sep=;\r\nimage;label\r\n1.jpg;cat\r\n2.jpg;dog\r\n3.jpg;cat\r\n",
        "path\tcategory\npics\\1.jpg\tcat\n.\\pics\\2.JPG\tdog\nC:\\x\\data\\pics\\3.jpg\tcat\n",
        ',file name,species\n0,"1.jpg","cat"\n1,"2.jpg","dog"\n2,"3.jpg","cat"\n',  # pandas, with its index.
        "/kaggle/input/x/pics/1.jpg,cat\n/kaggle/input/x/pics/2.jpg,dog\n/kaggle/input/x/pics/3.jpg,cat\n",
        "dog,2.jpg\ncat,1.jpg\ncat,3.jpg\n",
        "pics/1.jpg cat\npics/2.jpg dog\npics/3.jpg cat\n",  # Caffe's lists.
        "id,label,label_name\n1,0,cat\n2,1,dog\n3,0,cat\n",
        "image,cat,dog,fox\n1,1.0,0.0,0.0\n2,0.0,1.0,0.0\n3,1.0,0.0,0.0\n",  # ISIC 2019.
    ],
)
def test_table_of_usual_columns_is_read_whatever_its_delimiter_and_paths(data: Path, table: str) -> None:
    assert found(data, write(data, "labels.txt", table)) == EXPECTED
    assert found(data, "labels.txt") == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_table_of_another_encoding_is_read(data: Path, encoding: str) -> None:
    table = "image\tlabel\n1.jpg\tKätzchen\n2.jpg\tHund\n".encode(encoding)
    assert scan(data, write(data, "labels.tsv", table)).labels == ("Hund", "Kätzchen")


def test_composed_and_decomposed_names_are_the_same_in_pictures_and_classes(tmp_path: Path) -> None:
    data = touch(tmp_path, "e\u0301 1.jpg", "\u00e9 2.jpg")
    table = "image,label\n\u00e9 1.jpg,caf\u00e9\ne\u0301 2.jpg,cafe\u0301\n"
    folder = scan(data, write(data, "labels.csv", table))
    assert folder.labels == ("caf\u00e9",) and len(folder.images("all")) == 2


def test_columns_that_were_taken_are_said_and_images_without_an_entry_counted(data: Path) -> None:
    table = write(data, "labels.csv", "id,fold,class\n1,0,cat\n2,1,dog\n2,1,dog\n")
    assert scan(data, table).remarks == (
        f"{table}: pictures from column id, classes from column class",
        f"{table}: column fold holds none of train, validation and test, and is not used",
        "labels.csv: entries that stand there more than once, and agree: 1",
        "Pictures that labels.csv does not name, left out: 1, such as pics/3.jpg",
    )


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ("photo_of,what\n1,cat\n2,dog\n", "image=photo_of,label=what",
         "which column names the picture: it has "
         r"photo_of, what\. Say it with --label-columns"),
        ("image,label,category\n1,cat,a\n2,dog,a\n", "label=label", "which column names the class: it has"),
        ("1.jpg,cat,x\n2.jpg,dog,y\n", "image=1,label=2", r"has no header.* --label-columns image=1,label=2"),
    ],
)  # fmt: skip
def test_columns_that_are_not_clear_are_listed_and_can_be_said(
    data: Path, table: str, columns: str, said: str
) -> None:
    path = write(data, "labels.csv", table)
    with pytest.raises(DatasetError, match=said):
        scan(data, path)
    assert found(data, path, columns=columns) == {"all": {"cat": ["pics/1.jpg"], "dog": ["pics/2.jpg"]}}
    with pytest.raises(DatasetError, match=r"has no column 'nix'\. Its columns are"):
        scan(data, path, columns="image=nix,label=2")


def test_words_of_label_columns_are_read_and_written_alike() -> None:
    assert Columns.parse("image=a, b,split=c") == Columns("a, b", split="c")
    assert Columns.parse(Columns("a", "b,c").to_text()) == Columns("a", "b,c")
    for wrong in ("a", "image=", "picture=a", "image=a,image=b"):
        with pytest.raises(ValueError, match="must name columns as image=NAME"):
            Columns.parse(wrong)


def test_split_column_makes_the_subsets(data: Path) -> None:
    """The columns of Kaggle's sports pictures (class id, filepaths, labels, card type, data set)."""
    rows = "0,pics/1.jpg,archery,x,train\n0,pics/2.jpg,archery,x,test\n0,pics/3.jpg,archery,y,valid\n"
    table = write(data, "sports.csv", f"class id,filepaths,labels,card type,data set\n{rows}")
    assert found(data, table) == {
        "test": {"archery": ["pics/2.jpg"]},
        "train": {"archery": ["pics/1.jpg"]},
        "validation": {"archery": ["pics/3.jpg"]},
    }
    table.write_text("image,label,split\n1,a,train\n2,a,test\n3,a,unused\n")
    with pytest.raises(DatasetError, match="line 4: column split holds 'unused', which is none of train"):
        scan(data, table)
    table.write_text("TRAIN,gs://bucket/x/1.jpg,a\nTEST,gs://bucket/x/2.jpg,a\n")  # Google's AutoML Vision.
    assert found(data, table) == {"test": {"a": ["pics/2.jpg"]}, "train": {"a": ["pics/1.jpg"]}}
    table.write_text("image,label,split\n1,a,val\n2,a,test\n")
    with pytest.raises(DatasetError, match="test and validation images, and none for training"):
        scan(data, table)


def test_folders_and_names_of_tables_make_subsets_where_no_column_does(tmp_path: Path) -> None:
    data = touch(tmp_path, "train/1.jpg", "test/1.jpg")
    expected = {"test": {"a": ["test/1.jpg"]}, "train": {"a": ["train/1.jpg"]}}
    table = write(data, "labels.csv", "image,label\ntrain/1.jpg,a\ntest/1.jpg,a\n")
    assert found(data, table) == expected
    assert "Subsets are those of the folders" in scan(data, table).remarks[-1]
    write(data, "train.csv", "image,label\ntrain/1.jpg,a\n")
    write(data, "test_labels.csv", "image,label\ntest/1.jpg,a\n")
    assert found(data, "train.csv", "test_labels.csv") == expected


def test_same_name_in_several_folders_is_the_one_beside_the_table_or_is_asked_about(tmp_path: Path) -> None:
    data = touch(tmp_path, "a/1.jpg", "b/1.jpg")
    text = "image,label\n1.jpg,cat\n"
    assert found(data, write(data, "b/labels.csv", text)) == {"all": {"cat": ["b/1.jpg"]}}
    with pytest.raises(DatasetError, match=r"line 2: 1\.jpg may be a/1\.jpg and b/1\.jpg\. Give the paths"):
        scan(data, write(data, "labels.csv", text))


def test_entry_of_another_folder_is_not_taken_for_a_picture_of_the_same_name(data: Path) -> None:
    table = write(data, "labels.csv", "image,label\nother/1.jpg,cat\npics/2.jpg,dog\n")
    assert found(data, table)["all"]["cat"] == ["other/1.jpg"]  # Listed, so that reading it fails.
    assert "labels.csv: pictures that are not there: 1, such as other/1.jpg" in scan(data, table).remarks


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "is empty: it must name pictures and their classes"),
        ("image,label\n", "has a header, and no entries below it"),
        ("image\n1.jpg\n", "has one column only, and needs two"),
        ("image,label\n1,cat\n2\n", "line 3 has 1 of 2 columns"),
        ("image,label\n1,cat\npics/1.jpg,dog\n", r"csv, line 2 and .*csv, line 3 contradict each other on "
         r"pics/1\.jpg: cat, and dog\. Keep one"),
        ("image,label,split\n1,cat,train\n1,cat,test\n", r"on 1: cat \(train\), and cat \(test"),
        ("image,cat,dog\n1,1,1\n2,0,1\n", "line 2: 1 has several classes, cat and dog, as have 1 of 2 "
         "entries, but one class is trained for each image"),
        ("image,labels\n1,cat\n2,dog\n3,cat|dog\n", "line 4: 3 has several classes, cat and dog"),
        ("image,labels\n1,cat\n2,\"['cat', 'dog']\"\n", "line 3: 2 has several classes"),
        ("image,label\n1,\n2,\n", r"gives no picture a class \(2 entries\)"),
        ("image,label\nx/8.jpg,cat\nx/9.jpg,dog\n", r"names 2 pictures, such as x/8\.jpg, and none of them "
         r"is in \S+, which holds 3 pictures, such as pics/1\.jpg"),
        ("image_url,label\nhttps://a.b/8.jpg,cat\n", "addresses, such as https://a.b/8.jpg, and nothing is"),
        ('image,label\n1,"two\nlines"\n', "'two.nlines' cannot name a class"),
        (b"image,label\n1,K\xe4fer\n", r"is not UTF-8 text .*Save it as UTF-8"),
        ("image,label\n1,train\n2,test\n", "gives test, train as classes, which are subsets"),
        ('<?xml version="1.0"?><annotations>', "is XML, which is not read"),
        (b"PK\3\4\x14", "is a workbook or another packed file. Save its table as CSV"),
        ("<!doctype html><html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    ],
)  # fmt: skip
def test_table_that_cannot_be_used_is_refused_by_its_reason(
    data: Path, table: str | bytes, said: str
) -> None:
    with pytest.raises(DatasetError, match=said) as caught:
        scan(data, write(data, "labels.csv", table))
    assert "labels.csv" in str(caught.value)


def test_table_that_is_nowhere_or_a_folder_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match=re.escape(f"nix.csv: no such file, neither here nor in {data}")):
        scan(data, "nix.csv")
    with pytest.raises(DatasetError, match=r"pics is a folder\. Give the file in it"):
        scan(data, "pics")
    touch(data, "a/two.csv", "b/two.csv")
    with pytest.raises(
        DatasetError, match=r"there are 2 of this name in .*a/two\.csv\. Give the path of one"
    ):
        scan(data, "two.csv")


def test_class_made_of_other_classes_is_pointed_out(data: Path) -> None:
    """The labels of Plant Pathology 2021 have a space between several classes, and others have one within."""
    table = write(data, "train.csv", "image,labels\n1.jpg,scab\n2.jpg,rust\n3.jpg,scab rust\n")
    said = f"{table}: 'scab rust' is made of other classes, and is taken as a class of its own"
    assert said in scan(data, table).remarks


def test_table_of_boxes_gives_the_pictures_of_one_class(data: Path) -> None:
    """The columns of TensorFlow's object detection tutorials, a row for each box."""
    rows = "1.jpg,9,9,cat,1,1,2,2\n1.jpg,9,9,cat,3,3,4,4\n2.jpg,9,9,dog,1,1,2,2\n3.jpg,9,9,cat,1,1,2,2\n"
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    table = write(data, "boxes.csv", f"{header}{rows}3.jpg,9,9,dog,3,3,4,4\n")
    assert found(data, table) == {"all": {"cat": ["pics/1.jpg"], "dog": ["pics/2.jpg"]}}
    assert f"{table} marks places in pictures: the whole pictures are used" in scan(data, table).remarks


def test_table_in_place_of_the_folder_is_named_with_the_remedy(data: Path) -> None:
    table = write(data, "labels.csv", "image,label\n1,cat\n")
    with pytest.raises(DatasetError, match=r"is not a folder\. Give the folder .* --image-labels \S+csv"):
        scan(table)


def test_addresses_count_by_their_ends_where_the_pictures_are_there(data: Path) -> None:
    table = write(data, "labels.csv", "url,label\nhttps://a.b/c/1.jpg?w=3,cat\nhttps://a.b/c/2.jpg,dog\n")
    assert found(data, table)["all"] == {"cat": ["pics/1.jpg"], "dog": ["pics/2.jpg"]}
