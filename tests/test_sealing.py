"""What other readers of the file rely on is verified when it is written."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.builder import TableBuilder
from edge_classify.edge.tflite.metadata import add_metadata, append_files, build_metadata, check_metadata
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal

from .support.tiny_model import LABELS, TinyModel, card, classifier, golden_pixels


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


def test_weights_behind_the_flatbuffer_are_taken_in_instead_of_lost() -> None:
    model = TinyModel()
    given, result = model.tensor("given", (1, 4)), model.tensor("result", (1, 4))
    weights = model.tensor("weights", (4,), range(4))
    model.operator("ADD", [given, weights], [result], schema.AddOptionsT())
    values = model.buffers[1].data.tobytes()
    model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, 1024, len(values)
    packed = model.pack([given], [result])
    assert len(packed) < 1024
    interpreter = load_interpreter(add_metadata(packed.ljust(1024, b"\0") + values, b"any"), 1)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 4), np.float32))
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist() == [[1, 2, 3, 4]]
