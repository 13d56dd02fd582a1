"""Predicates on calls: the kinds of layers and operations that the audit distinguishes."""

from __future__ import annotations

from typing import Any

import keras

from dropout_zoo.models.graph.model_graph import GraphCall
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY

_AXES = ("1D", "2D", "3D")


def _layers(*names: str) -> tuple[type[keras.Layer], ...]:
    """The Keras layer classes with these names, in all dimensions for names that have several."""
    found = [getattr(keras.layers, name + axes, None) for name in names for axes in ("", *_AXES)]
    return tuple(layer for layer in found if layer is not None)


# Layers, and functions of keras.ops by the names of their classes, which are not public.
_SHAPERS = _layers(
    "Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Masking", "Cropping",
    "ZeroPadding", "UpSampling", "Concatenate", "ActivityRegularization", "GaussianNoise",
)  # fmt: skip
_SHAPING_OPERATIONS = (
    "Reshape", "Transpose", "Squeeze", "ExpandDims", "GetItem", "Cast", "Concatenate", "Pad",
)  # fmt: skip
_POOLS = _layers(
    "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling",
    "AdaptiveMaxPooling", "AdaptiveAveragePooling",
)  # fmt: skip
_POOLING_OPERATIONS = ("MaxPool", "AveragePool", "Mean", "Max")
_ACTIVATIONS = {
    keras.layers.ReLU: "relu",
    keras.layers.LeakyReLU: "leaky_relu",
    keras.layers.PReLU: "prelu",
    keras.layers.ELU: "elu",
    keras.layers.Softmax: "softmax",
}
_ACTIVATION_OPERATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid",
    "Tanh": "tanh", "HardTanh": "hard_tanh", "Softmax": "softmax", "Gelu": "gelu", "Silu": "silu",
    "HardSilu": "hard_silu", "Elu": "elu", "Selu": "selu", "LeakyRelu": "leaky_relu",
    "Softplus": "softplus", "Softsign": "softsign",
}  # fmt: skip

AFFINE = _layers("Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv") + _layers(
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"
)
"""Layers that are affine apart from their activation."""

ATTENTION = _layers("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
"""Attention layers."""

NORMALIZATIONS = _layers(
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization",
    "SpectralNormalization", "UnitNormalization",
)  # fmt: skip
"""Layers that normalize their inputs."""


def is_batch_norm(call: GraphCall) -> bool:
    """Whether a call is batch normalization that updates its statistics, that is, not frozen."""
    operation = call.operation
    return isinstance(operation, keras.layers.BatchNormalization) and operation.trainable


def is_addition(call: GraphCall) -> bool:
    """Whether a call adds tensors; adding a constant does not count."""
    named = isinstance(call.operation, keras.layers.Add) or _operation_name(call) == "Add"
    return named and len(call.received) > 1


def is_multiplication(call: GraphCall) -> bool:
    """Whether a call multiplies tensors; a constant factor does not count."""
    named = isinstance(call.operation, keras.layers.Multiply) or _operation_name(call) == "Multiply"
    return named and len(call.received) > 1


def is_convolution(call: GraphCall) -> bool:
    """Whether a call is a convolution of any kind."""
    return hasattr(call.operation, "kernel_size")


def is_affine(call: GraphCall) -> bool:
    """Whether a call is a dense layer or a convolution."""
    return isinstance(call.operation, AFFINE)


def is_dropout(call: GraphCall) -> bool:
    """Whether a call is a layer of the dropout family."""
    return isinstance(call.operation, DROPOUT_FAMILY)


def keeps_values(call: GraphCall) -> bool:
    """Whether a call returns the values of its inputs, possibly in another shape."""
    return isinstance(call.operation, _SHAPERS) or _operation_name(call) in _SHAPING_OPERATIONS


def keeps_features(call: GraphCall) -> bool:
    """Whether a call returns the features of its inputs reshaped, pooled, activated or dropped."""
    return (
        keeps_values(call)
        or is_dropout(call)
        or isinstance(call.operation, _POOLS)
        or _operation_name(call) in _POOLING_OPERATIONS
        or is_activation(call)
    )


def changes_features(call: GraphCall) -> bool:
    """Whether a call does more to the features of its inputs than `keeps_features` allows."""
    return not keeps_features(call)


def is_embedding(call: GraphCall) -> bool:
    """Whether a call looks up embeddings."""
    return isinstance(call.operation, keras.layers.Embedding)


def is_attention(call: GraphCall) -> bool:
    """Whether a call is an attention layer."""
    return isinstance(call.operation, ATTENTION)


def activates_or_is_affine(call: GraphCall) -> bool:
    """Whether a call is an activation function, or a layer that may end in one."""
    return is_activation(call) or is_affine(call)


def is_activation(call: GraphCall) -> bool:
    """Whether a call is an activation function, and nothing else."""
    operation = call.operation
    return isinstance(operation, (keras.layers.Activation, *_ACTIVATIONS)) or (
        _operation_name(call) in _ACTIVATION_OPERATIONS
    )


def activation_of(call: GraphCall) -> str:
    """The name of the activation function at the end of a call; ``"linear"`` if there is none."""
    operation = call.operation
    for layer_class, name in _ACTIVATIONS.items():
        if isinstance(operation, layer_class):
            return name
    if _operation_name(call) in _ACTIVATION_OPERATIONS:
        return _ACTIVATION_OPERATIONS[_operation_name(call)]
    if isinstance(operation, keras.layers.Activation) or is_affine(call):
        return function_name(operation.activation)
    return "linear"


def function_name(function: Any) -> str:
    """The name of an activation function, whether it is a function, an object or None."""
    if function is None:
        return "linear"
    return str(getattr(function, "__name__", type(function).__name__)).lower()


def _operation_name(call: GraphCall) -> str:
    """The class name of a `keras.ops` operation; empty for layers, some of which share names."""
    return "" if isinstance(call.operation, keras.Layer) else type(call.operation).__name__
