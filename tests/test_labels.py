from __future__ import annotations

from pathlib import Path

import pytest
from edge_classify.edge.errors import LabelError
from edge_classify.edge.labels import MAX_BYTES, check_label_count, parse_labels, read_label_file
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff")).map(str.strip)


@given(
    st.lists(NAMES.filter(bool), min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans()
)
def test_label_lines_with_any_line_end_and_mark_give_the_same_labels(
    names: list[str], end: str, marked: bool, closed: bool
) -> None:
    text = end.join(names) + (end if closed else "")
    assert parse_labels(text.encode("utf-8-sig" if marked else "utf-8"), "labels") == tuple(names)


@given(st.binary())
def test_label_bytes_of_any_kind_give_labels_or_a_label_error(raw: bytes) -> None:
    try:
        labels = parse_labels(raw, "labels")
    except LabelError:
        return
    assert labels
    assert all(labels)


def test_label_that_starts_with_a_number_is_the_class_of_its_line() -> None:
    assert parse_labels(b"101 dalmatians\n0 cats\n", "labels") == ("101 dalmatians", "0 cats")


def test_label_that_repeats_is_kept_since_public_lists_have_such() -> None:
    assert parse_labels(b"crane\nheron\ncrane\n", "labels") == ("crane", "heron", "crane")


def test_label_file_with_a_blank_line_in_the_middle_is_refused_with_its_number() -> None:
    with pytest.raises(LabelError, match="words has a blank line, number 2"):
        parse_labels(b"cat\n  \ndog\n\n\n", "words")


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_label_file_without_labels_is_refused(raw: bytes) -> None:
    with pytest.raises(LabelError, match="is empty"):
        parse_labels(raw, "labels")


def _read(tmp_path: Path, name: str, content: str | bytes) -> tuple[str, ...]:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_label_file(tmp_path / name)


def test_label_file_in_latin_1_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"names\.txt is not UTF-8 text \(.* at byte \d\)"):
        _read(tmp_path, "names.txt", "gr\xfcn\n".encode("latin-1"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_label_file_in_any_unicode_encoding_gives_its_labels(encoding: str, tmp_path: Path) -> None:
    text = "\ufeffcat\r\ndog\r\n" if encoding.endswith("e") and "16" in encoding else "cat\r\ndog\r\n"
    assert _read(tmp_path, "names.txt", text.encode(encoding)) == ("cat", "dog")
    assert _read(tmp_path, "names.txt", text.lstrip("\ufeff").encode(encoding)) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("class_indices.json", '{"dog": 1, "cat": 0}'),
        ("index.json", '{"1": "dog", "0": "cat"}'),
        ("imagenet_class_index.json", '{"0": ["n02121620", "cat"], "1": ["n02084071", "dog"]}'),
        ("config.json", '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog"}}'),
        ("list.json", '["cat", "dog"]'),
        ("coco.json", '{"categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]}'),
        ("idx_to_labels.txt", "{0: 'cat',\n 1: 'dog'}"),
        ("one.txt", "cat,dog\n"),
        ("one.txt", "cat; dog;\n"),
        ("one.txt", '"cat", "dog"'),
        ("table.csv", 'index,label\n1,"dog"\n0,"cat"\n'),
        ("table.tsv", "Name\tid\tcolour\ncat\t0\tred\ndog\t1\tblue\n"),
        ("table.csv", "label\ncat\ndog\n"),
        ("bare.csv", '0,"cat"\n1,"dog"\n'),
        ("map.pbtxt", "item {\n id: 1\n name: 'cat'\n}\nitem { name: 'n1' display_name: \"dog\" id: 2 }\n"),
        ("labels.txt", "1: cat\n2: dog\n"),
        ("labels.txt", "cat,0\ndog,1\n"),
        ("labels.txt", "cat: 0\ndog: 1\n"),
        ("labels.txt", "cat\rdog\r"),
        ("labels.txt", '"cat",\n"dog"\n'),
        ("labels.txt", "- cat\n- dog\n"),
        ("inverted.json", '{"cat": "0", "dog": "1"}'),
        ("numbers.json", '{"cat": 0.0, "dog": 1.0}'),
        ("map.pbtxt", "item { id: 1 name: 'cat' }  # {it's}\nitem { id: 2 display_name: \"dog\" name: '}' }"),
    ],
)  # fmt: skip
def test_label_file_of_another_form_gives_the_classes_by_their_numbers(
    name: str, content: str, tmp_path: Path
) -> None:
    assert _read(tmp_path, name, content) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"cat": 0', "begins as JSON and cannot be read"),
        ("a.json", '{"cat": 0, "dog": 2}', "its 2 classes from 0 to 1: 0 have the number 1"),
        ("a.json", '{"cat": 0, "dog": 0}', "from 0 to 1: 2 have the number 0"),
        ("a.json", '{"size": {"w": 3}}', "JSON that names no classes"),
        ("a.json", '["cat\\ndog", "x"]', "class 0 has no name that is a single line"),
        ("a.json", '{"0\\u001d": "cat", "0": "dog"}', "its 2 classes from 0 to 1"),
        ("a.json", "[" * 100_000, "nested too deeply|cannot be read"),
        ("a.csv", "wnid,synset\nn1,cat\n", "columns wnid, synset; none is called label or name"),
        ("a.csv", "index,label\n0,cat\n1\n", "line 3 has 1 columns"),
        ("a.yaml", "names:\n- cat\n", "is YAML"),
        ("a.json", '{"0": "cat", "0": "dog"}', "'0' more than once"),
        ("a.csv", "file,label\n1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n", "2 classes in 3 lines, as tables of pict"),
        ("a.txt", "version https://git-lfs.github.com/spec/v1\noid\n", "Git LFS pointer.*git lfs pull"),
        ("a.txt", "<!DOCTYPE html>\n<html></html>\n", "is a web page"),
        ("a.txt", b"cat\0dog\n", "zero bytes"),
    ],
)  # fmt: skip
def test_file_that_is_no_label_file_is_called_what_it_is(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(LabelError, match=message):
        _read(tmp_path, name, content)


@given(
    st.one_of(st.binary(), st.text("[]{}\"':,0123 ab\n").map(str.encode)),
    st.sampled_from(["json", "csv", "txt"]),
)
def test_label_file_of_any_bytes_gives_distinct_labels_or_a_label_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(raw)
    try:
        labels = read_label_file(path)
    except LabelError:
        return
    assert labels and all(labels) and len(set(labels)) == len(labels)


def test_names_that_occur_twice_are_told_apart_and_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As in ImageNet's own list, where "crane" is class 134, a bird, and class 517, a machine.
    for _ in range(2):
        assert _read(tmp_path, "l.txt", "crane\ntench\ncrane\n") == (
            "crane (class 0)",
            "tench",
            "crane (class 2)",
        )
    assert capsys.readouterr().err.count("occur more than once (crane)") == 1


def test_decomposed_letters_are_composed_as_those_of_class_folders_are(tmp_path: Path) -> None:
    assert _read(tmp_path, "nfd.txt", "cafe\u0301\ntea\n") == ("caf\u00e9", "tea")


def test_numbers_from_one_are_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _read(tmp_path, "one.txt", "1 cat\n2 dog\n")
    assert "from 1: number 1 was taken for the model's first output" in capsys.readouterr().err


def test_numbers_that_count_only_some_classes_are_said_to_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _read(tmp_path, "gap.txt", "0 cat\n2 dog\n3 owl\n") == ("0 cat", "2 dog", "3 owl")
    assert "do not count its classes (1 is missing)" in capsys.readouterr().err
    assert _read(tmp_path, "coins.txt", "1 cent\n2 cent\n5 cent\n") == ("1 cent", "2 cent", "5 cent")
    assert capsys.readouterr().err == ""


def test_comment_among_labels_is_named_where_the_number_is_wrong() -> None:
    with pytest.raises(LabelError, match="also '# animals': remove comments"):
        check_label_count(("# animals", "cat", "dog"), 2, "labels.txt")


def test_label_file_that_is_missing_a_folder_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    for name, reason in (
        ("none.txt", "No such file"),
        ("", "Is a directory"),
        ("large.txt", "larger than 4"),
    ):
        with pytest.raises(LabelError, match=reason):
            read_label_file(tmp_path / name)


def test_label_count_one_apart_is_refused_with_a_hint_at_the_background_class() -> None:
    with pytest.raises(LabelError, match=r"f names 1000 classes.* 1001 outputs.*background class first"):
        check_label_count(("x",) * 1000, 1001, "f")


def test_label_count_further_apart_is_refused_without_the_hint() -> None:
    with pytest.raises(LabelError, match=r"names 3 classes, and the model has 5 outputs$"):
        check_label_count(("x",) * 3, 5, "f")
    check_label_count(("x",) * 5, 5, "f")
