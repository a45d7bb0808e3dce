"""TensorFlow and Keras print nothing and warn of nothing on a user's screen, whatever Python is asked for."""

from __future__ import annotations

import os
import subprocess
import sys

_CODE = """
import warnings
from edge_classify.convert.quiet import import_tensorflow
tensorflow, keras = import_tensorflow("Testing", "train")
network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
network.predict(tensorflow.zeros((1, 4)), verbose=0)
for module in ("keras.src.models", "tensorflow.python.eager", "kerasish"):
    warnings.warn_explicit(f"of {module}", UserWarning, "x.py", 1, module=module)
"""


def test_libraries_are_silent_and_other_warnings_are_not() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", _CODE],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["x.py:1: UserWarning: of kerasish"]
