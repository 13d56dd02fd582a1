"""Inputs in the form in which `fit`, `evaluate` and `predict` of Keras take them."""

from __future__ import annotations

import keras

from dropout_zoo.training.data.array_checks import Array
from dropout_zoo.training.data.structures import Structure, map_arrays


def as_keras_inputs(x: Structure) -> Structure:
    """Return inputs with strings as tensors, since Keras takes no arrays of them with two axes.

    Args:
        x: inputs.

    Returns:
        A structure of the same form. Only TensorFlow has tensors of strings.
    """
    return map_arrays(_as_keras_input, x) if keras.backend.backend() == "tensorflow" else x


def _as_keras_input(array: Array) -> Array:
    return keras.ops.convert_to_tensor(array, "string") if array.dtype == object else array
