"""Floating-point operations: how many a model needs, and how many this machine can do."""

from __future__ import annotations

import time
from typing import Any


def flop_per_example(model: Any) -> float:
    """Count floating-point operations per training example, in dense and conv layers.

    Returns 0 for models of sequences, most of whose operations are in other layers.
    """
    import keras

    if any(
        isinstance(layer, keras.layers.LayerNormalization | keras.layers.LSTM)
        for layer in model.layers
    ):
        return 0.0
    total, first = 0.0, True
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
            kernel = layer.kernel.shape
            positions = 1
            if isinstance(layer, keras.layers.Conv2D):
                positions = layer.output.shape[1] * layer.output.shape[2]
            forward = 2.0 * positions
            for axis in kernel:
                forward *= axis
            # The backward pass costs as much again for the weights and for the inputs; the first
            # layer needs no gradient of its inputs.
            total += forward * (2 if first else 3)
            first = False
    return total


def matmul_peak() -> float:
    """Measure FLOP/s of a large float32 matrix multiplication on all cores."""
    import tensorflow as tf

    a = tf.random.normal((3072, 3072))
    times = []
    for _ in range(8):
        started = time.perf_counter()
        (a @ a)[0, 0].numpy()
        times.append(time.perf_counter() - started)
    return 2 * 3072**3 / min(times)
