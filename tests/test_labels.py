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


@pytest.mark.parametrize("raw", ["gr\xfcn\n".encode("latin-1"), "cat\n".encode("utf-16")])
def test_label_file_in_another_encoding_is_refused_by_name(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(raw)
    with pytest.raises(LabelError, match=r"names\.txt is not UTF-8 text \(.* at byte \d\)"):
        read_label_file(tmp_path / "names.txt")


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
