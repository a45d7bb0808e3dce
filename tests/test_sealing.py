"""What other readers of the file rely on is verified when it is written."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.card import ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.tflite.builder import TableBuilder
from edge_classify.edge.tflite.metadata import add_metadata, append_files, build_metadata, check_metadata
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal

from .support.tflite_contents import tensors
from .support.tiny_model import LABELS, card, classifier, golden_pixels


@pytest.fixture
def finished() -> ModelCard:
    return complete_card(classifier(), card(), "float32")


def test_sealing_twice_gives_the_same_bytes(finished: ModelCard) -> None:
    golden = [Golden(golden_pixels(1), np.array([0.1, 0.2, 0.3, 0.4], np.float32), 0.01)]
    assert seal(classifier(), finished, golden) == seal(classifier(), finished, golden)


@pytest.mark.parametrize("labels", [LABELS[:3], (*LABELS, "fifth")])
def test_labels_of_another_number_than_outputs_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConversionError, match=rf"tiny: {len(labels)} labels need as many outputs.*\[1, 4\]"):
        seal(classifier(), card(labels))


@pytest.mark.parametrize("blank", [" ", "\t", "\u3000"])
def test_label_that_is_blank_to_a_reader_of_labels_is_refused(blank: str) -> None:
    with pytest.raises(ConversionError, match=r"labels cannot be written: labels\.txt has a blank line"):
        seal(classifier(), card(("red", blank, "blue", "grey")))


def test_labels_with_spaces_around_them_stay_in_the_card(finished: ModelCard, tmp_path: Path) -> None:
    labels = (" red", "grün ", "blue", "101 dalmatians")
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(classifier(), replace(finished, labels=labels)))
    assert ModelFile.read(path).labels == labels
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(labels)


def with_labels(metadata: bytes) -> bytes:
    return append_files(add_metadata(classifier(), metadata), [("labels.txt", "\n".join(LABELS).encode())])


@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (0.0, 255.0)])
def test_normalization_that_the_graph_does_not_expect_is_refused(mean: float, std: float) -> None:
    wrong = with_labels(build_metadata(card(), Normalization((mean,), (std,))))
    with pytest.raises(ConversionError, match="must give mean 0 and std 1, since scaling is in the graph"):
        check_metadata(wrong, card())
    check_metadata(with_labels(build_metadata(card())), card())


def test_metadata_that_names_no_labels_is_refused() -> None:
    builder = TableBuilder()
    builder.Finish(builder.add_table({0: builder.CreateString("tiny")}), file_identifier=b"M001")
    with pytest.raises(ConversionError, match=r"the metadata does not name labels\.txt"):
        check_metadata(with_labels(bytes(builder.Output())), card())


def test_files_behind_the_model_have_no_time_and_are_stored_for_mediapipe(finished: ModelCard) -> None:
    with zipfile.ZipFile(io.BytesIO(seal(classifier(), finished))) as archive:
        for info in archive.infolist():
            assert (info.date_time, info.compress_type) == ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)


def test_sealed_file_says_raw_pixels_and_names_its_labels(finished: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(classifier(), finished))
    file = ModelFile.read(path)
    assert (file.normalization, file.labels) == (Normalization((0.0,), (1.0,)), LABELS)


def test_finished_file_sealed_again_gives_the_same_bytes(finished: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    golden = [Golden(golden_pixels(1), np.array([0.1, 0.2, 0.3, 0.4], np.float32), 0.01)]
    path.write_bytes(seal(classifier(), finished, golden))
    file = ModelFile.read(path)
    assert file.card is not None
    assert seal(path.read_bytes()[: file.zip_offset], file.card, golden) == path.read_bytes()


def test_finished_file_takes_other_names_and_labels_and_does_not_grow(
    finished: ModelCard, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(seal(classifier(), finished))
    sizes, names = [], ("a much longer name than tiny", "tiny", "another", "a much longer name than tiny")
    for number, name in enumerate(names):
        old = ModelFile.read(path)
        assert old.card is not None
        labels = tuple(f"{label} {number}" for label in LABELS)
        path.write_bytes(
            seal(path.read_bytes()[: old.zip_offset], replace(old.card, name=name, labels=labels))
        )
        new = ModelFile.read(path)
        assert (new.labels, new.normalization) == (labels, Normalization((0.0,), (1.0,)))
        sizes.append(new.zip_offset)
        assert Classifier.from_file(path).classify_pixels(golden_pixels(1)).best.label in labels
    assert sizes[0] == sizes[3] and sizes[1] < sizes[0]


def test_file_of_an_earlier_release_is_sealed_again_in_its_own_size() -> None:
    file = ModelFile.read(DEFAULT_MODEL)
    assert file.card is not None
    old = DEFAULT_MODEL.read_bytes()[: file.zip_offset]
    again = seal(old, file.card)
    with zipfile.ZipFile(io.BytesIO(again)) as archive:
        assert min(info.header_offset for info in archive.infolist()) == file.zip_offset
    assert tensors(again) == tensors(old)


def test_files_are_not_appended_behind_others(finished: ModelCard) -> None:
    with pytest.raises(ConversionError, match="has appended files already"):
        seal(seal(classifier(), finished), finished)
