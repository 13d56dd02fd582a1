"""The PyTorch version of the documented MLP, and the transfer of weights between the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dropout_zoo.models.guidance import rates_per_layer

if TYPE_CHECKING:
    import keras
    import numpy as np
    import torch


def build_torch_mlp(*, hidden_rates: float | Sequence[float] = (0.5, 0.3)) -> torch.nn.Module:
    """Build the PyTorch version of the documented MLP: 784-128-64-10, returning logits.

    Args:
        hidden_rates: rates (fractions dropped, in [0, 1)) after ``fc1`` and ``fc2``, or one rate
            for both.

    Returns:
        A `torch.nn.Module` of class ``NeuralNet`` with layers ``fc1``, ``dropout1``, ``fc2``,
        ``dropout2``, ``fc3``. It takes a float tensor of shape (batch, 784) or (batch, 28, 28)
        and returns logits of shape (batch, 10).

    Raises:
        ImportError: PyTorch is not installed.
        ValueError: a rate is out of range, or the number of rates is not two.

    Example:
        >>> from dropout_zoo.models import build_torch_mlp
        >>> net = build_torch_mlp(hidden_rates=(0.5, 0.4))
        >>> net.dropout2.p
        0.4
    """
    try:
        from dropout_zoo.models.architectures.torch_net import NeuralNet
    except ImportError as error:
        raise ImportError(
            "build_torch_mlp needs the package torch; run pip install torch"
        ) from error
    first, second = rates_per_layer(hidden_rates, (128, 64), "hidden_rates", of="units")
    return NeuralNet(first, second)


def keras_weights_to_torch(source: keras.Model, target: torch.nn.Module) -> torch.nn.Module:
    """Copy the weights of a Keras MLP to its PyTorch version.

    Args:
        source: a model from `build_mlp`.
        target: a network from `build_torch_mlp`.

    Returns:
        The target with the weights of the source, in evaluation mode.

    Raises:
        ValueError: the shapes of the weights differ.

    Example:
        >>> from dropout_zoo.models import build_mlp, build_torch_mlp, keras_weights_to_torch
        >>> net = keras_weights_to_torch(build_mlp(), build_torch_mlp())
        >>> net.training
        False
    """
    import torch

    with torch.no_grad():
        for dense, linear in _twins(source, target):
            kernel, bias = (_as_numpy(value) for value in dense.weights)
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias.copy()))
    return target.eval()


def torch_weights_to_keras(source: torch.nn.Module, target: keras.Model) -> keras.Model:
    """Copy the weights of a PyTorch network to a Keras MLP.

    Args:
        source: a network from `build_torch_mlp`.
        target: a model from `build_mlp`.

    Returns:
        The target, with the weights of the source.

    Raises:
        ValueError: the shapes of the weights differ.

    Example:
        >>> from dropout_zoo.models import build_mlp, build_torch_mlp, torch_weights_to_keras
        >>> model = torch_weights_to_keras(build_torch_mlp(), build_mlp())
        >>> model.count_params()
        109386
    """
    for dense, linear in _twins(target, source):
        dense.set_weights(
            [
                linear.weight.detach().cpu().numpy().T,
                linear.bias.detach().cpu().numpy(),
            ]
        )
    return target


def _twins(
    model: keras.Model, net: torch.nn.Module
) -> list[tuple[keras.layers.Dense, torch.nn.Linear]]:
    """Pair the dense layers of both networks in order."""
    from torch import nn

    dense = [layer for layer in model.layers if layer.weights]
    linear = [layer for layer in net.children() if isinstance(layer, nn.Linear)]
    dense_shapes = [tuple(layer.weights[0].shape) for layer in dense]
    linear_shapes = [(layer.in_features, layer.out_features) for layer in linear]
    if dense_shapes != linear_shapes:
        raise ValueError(
            "expected two networks with the same dense layers, received kernels of shapes "
            f"{dense_shapes} (Keras) and {linear_shapes} (PyTorch)"
        )
    return list(zip(dense, linear, strict=True))


def _as_numpy(value: keras.Variable) -> np.ndarray:
    from keras import ops

    array: np.ndarray = ops.convert_to_numpy(value)
    return array
