"""What the runtime of 32-bit Pis cannot run is found in the file, whatever version the file states."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.tflite.compatibility import converter_settings, find_older_runtime, unsupported
from edge_classify.edge.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

from .support.tiny_tflite import model_with

OLD = find_older_runtime("tflite-runtime-2.14")
REFUSED = ["FULLY_CONNECTED version 12 (it knows 10)"]


def pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def convert_dense() -> Any:
    """Return a function that converts a dense layer with 8-bit weights, with given converter settings."""
    import keras
    import tensorflow as tf

    inputs = keras.Input(batch_shape=(1, 64))
    model = keras.Model(inputs, keras.layers.Dense(32, activation="softmax")(inputs))
    model.layers[-1].set_weights([np.random.default_rng(0).normal(0, 0.1, (64, 32)), np.zeros(32)])

    def convert(settings: dict[str, Any]) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        for name, value in settings.items():
            assert hasattr(converter, name), "the converter would ignore it"
            setattr(converter, name, value)
        return bytes(converter.convert())

    return convert


def test_dynamic_file_made_without_the_settings_is_refused_with_operation_and_versions(
    convert_dense: Any,
) -> None:
    assert unsupported(convert_dense({}), OLD) == REFUSED


def test_dynamic_file_made_with_the_settings_can_be_run(convert_dense: Any) -> None:
    settings = converter_settings(OLD, dynamic=True)
    assert unsupported(convert_dense(settings), OLD) == []


def test_settings_are_needed_only_by_dynamic_files_and_only_for_a_target() -> None:
    assert converter_settings(OLD, dynamic=False) == {}
    assert converter_settings(None, dynamic=True) == {}


def test_dense_weights_a_channel_are_found_in_a_file_that_states_version_one(convert_dense: Any) -> None:
    model = schema.ModelT.InitFromPackedBuf(convert_dense({}))
    for code in model.operatorCodes:
        code.version = 1
    assert unsupported(pack(model), OLD) == REFUSED


@given(st.sampled_from(sorted(OLD.operations)), st.integers(1, 20))
def test_an_operation_is_refused_from_the_first_version_that_the_target_lacks(
    name: str, version: int
) -> None:
    known = OLD.operations[name]
    expected = [f"{name} version {version} (it knows {known})"] if version > known else []
    assert unsupported(model_with(getattr(schema.BuiltinOperator, name), version), OLD) == expected


def test_operations_that_the_target_has_never_heard_of_are_named() -> None:
    code = schema.BuiltinOperator
    assert unsupported(model_with(code.STABLEHLO_CBRT), OLD) == ["STABLEHLO_CBRT (it has no such operation)"]
    assert unsupported(model_with(9999), OLD) == ["operation 9999 (it has no such operation)"]
    assert unsupported(model_with(code.CUSTOM, custom="FlexErf"), OLD) == [
        "custom operation 'FlexErf' (it has no such operation)"
    ]


def test_unknown_target_is_an_error_that_lists_the_valid_ones() -> None:
    with pytest.raises(OptionError, match=r"Received: 'tflite-2'\. Valid: tflite-runtime-2\.14"):
        find_older_runtime("tflite-2")
