"""Convolutions and max pooling in a form that accelerators compute fast for many members.

With the weights of each member in a convolution of its own, `jax.vmap` makes a grouped convolution,
whose gradients cuDNN computes for one group after another. Written as a product of patches and a
kernel, all members are one batched matrix product.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras

from dropout_zoo.models.graph.model_graph import flat_layers


class PatchConvolution:
    """A convolution layer of Keras that multiplies patches of its inputs by its kernel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> jax.Array:
        """Convolve; the results of `keras.ops.conv` up to rounding."""
        x, weights = jnp.asarray(inputs), jnp.asarray(kernel)
        patches = jnp.concatenate(list(_shifted(self, x, weights.shape)), axis=-1)
        return patches @ weights.reshape(-1, weights.shape[-1])


class PatchConv1D(PatchConvolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D` as a matrix product."""


class PatchConv2D(PatchConvolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` as a matrix product."""


class BlockMaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D` of windows that do not overlap, without scattering gradients."""

    def call(self, inputs: Any) -> jax.Array:
        """Return the largest value of each window; the gradient goes to the first such value."""
        x = jnp.asarray(inputs)
        (high, wide), (batch, *size, channels) = self.pool_size, x.shape
        rows, columns = size[0] // high, size[1] // wide
        x = x[:, : rows * high, : columns * wide]
        x = x.reshape(batch, rows, high, columns, wide, channels)
        x = jnp.moveaxis(x, 2, 3).reshape(batch, rows, columns, high * wide, channels)
        largest = jax.lax.stop_gradient(jnp.argmax(x, 3, keepdims=True))
        chosen = jnp.arange(high * wide)[:, None] == largest
        return jnp.sum(jnp.where(chosen, x, 0), 3)


def vectorize_layers(model: keras.Model) -> None:
    """Give the layers of a model that are slow for many members a faster form, in place.

    Args:
        model: a model of this package, never a caller's. Its results change by rounding.
    """
    for layer in flat_layers(model):
        if type(layer) in _PATCHES and _is_plain_convolution(layer):
            layer.__class__ = _PATCHES[type(layer)]
        elif type(layer) is keras.layers.MaxPooling2D and _has_blocks(layer):
            layer.__class__ = BlockMaxPooling2D


_PATCHES: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.Conv1D: PatchConv1D,
    keras.layers.Conv2D: PatchConv2D,
}


def _is_plain_convolution(layer: Any) -> bool:
    return (
        layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.padding in ("valid", "same")
    )


def _has_blocks(layer: Any) -> bool:
    return (
        tuple(layer.strides) == tuple(layer.pool_size)
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
    )


def _shifted(layer: Any, x: jax.Array, kernel_shape: Sequence[int]) -> Iterator[jax.Array]:
    """Yield, for each position in the kernel, the values that it is multiplied by."""
    axes = range(len(kernel_shape) - 2)
    effective_sizes = [(kernel_shape[axis] - 1) * layer.dilation_rate[axis] + 1 for axis in axes]
    if layer.padding == "same":
        margins = [_margins(layer, x, axis, effective_sizes[axis]) for axis in axes]
        x = jnp.pad(x, [(0, 0), *margins, (0, 0)])
    counts = [
        (x.shape[1 + axis] - effective_sizes[axis]) // layer.strides[axis] + 1 for axis in axes
    ]
    for position in itertools.product(*(range(size) for size in kernel_shape[:-2])):
        begins = [position[axis] * layer.dilation_rate[axis] for axis in axes]
        spans = [
            slice(begin, begin + (count - 1) * stride + 1, stride)
            for begin, count, stride in zip(begins, counts, layer.strides, strict=True)
        ]
        yield x[:, *spans]


def _margins(layer: Any, x: jax.Array, axis: int, effective_size: int) -> tuple[int, int]:
    size, stride = x.shape[1 + axis], layer.strides[axis]
    total = max(0, (math.ceil(size / stride) - 1) * stride + effective_size - size)
    return total // 2, total - total // 2
