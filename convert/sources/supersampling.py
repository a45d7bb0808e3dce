"""A larger input in front of a network, whose pixels are averaged inside the file.

MediaPipe takes four pixels of a photo for each pixel of the input, and skips the others whatever a file says.
For an input of twice the network's size it takes four times as many, and their mean is nearer to the mean of
all, which is what edge-classify feeds (studies/resizing.py). Computer graphics calls this supersampling on a
regular grid. Imported only after TensorFlow was loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def supersampled(call: Callable[[Any], Any], times: int) -> Callable[[Any], Any]:
    """Return `call` for images [n, times * height, times * width, channels]; it gets [n, height, width, ...].

    Each pixel that it gets is the mean of times x times pixels. 1 changes nothing, and adds no operation.
    """
    if times == 1:
        return call
    return lambda image: call(tf.nn.avg_pool2d(image, times, times, "VALID"))
