"""What the documented nets are made of. Imports Keras: builders import it when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from dropout_zoo.models.guidance import check_rate, warn_of_keep_probability

BATCH_NORM_ORDERS = (None, "before_dropout", "after_dropout")


def builder_rate(rate: float, name: str) -> float:
    """Check a rate that a builder was given, and warn where it looks like the fraction kept."""
    rate = check_rate(rate, name)
    warn_of_keep_probability(rate, name)
    return rate


def rates_per_layer(
    rates: float | Sequence[float], widths: Sequence[int], name: str, of: str
) -> list[float]:
    """One checked rate for each layer, from one number for all or a sequence.

    Args:
        rates: a rate for all layers, or one a layer; fractions dropped, in [0, 1).
        widths: the widths of the layers.
        name: the argument's name, for messages.
        of: the name of the argument that gives the widths, for messages.

    Returns:
        A list of as many rates as there are widths.

    Raises:
        ValueError: a rate is out of range, or their number is not that of the layers.
    """
    if isinstance(rates, str) or not isinstance(rates, Sequence):
        return [builder_rate(rates, name)] * len(widths)
    if len(rates) != len(widths):
        raise ValueError(
            f"expected {len(widths)} {name}, one for each of {of}={tuple(widths)}, received "
            f"{tuple(rates)}; a single number serves all layers"
        )
    return [builder_rate(rate, f"{name}[{index}]") for index, rate in enumerate(rates)]


def check_widths(widths: Sequence[int], name: str) -> None:
    """Refuse anything but a sequence of positive whole numbers.

    Raises:
        ValueError: an entry is not a positive whole number, or the value is no sequence.
    """
    whole = isinstance(widths, Sequence) and all(
        isinstance(width, int) and not isinstance(width, bool) and width > 0 for width in widths
    )
    if not whole:
        raise ValueError(
            f"expected {name} to be a sequence of positive whole numbers, one a layer, such as "
            f"(128, 64); received {widths!r}"
        )


def dropout(
    rate: float, name: str, layer_class: type[keras.layers.Dropout] = keras.layers.Dropout
) -> keras.layers.Dropout:
    """Make a dropout layer that leaves the layers after it alone when its rate is 0.

    Keras gives a layer with rate 0 no seed generator, which shifts the random initial weights of
    every layer built after it: a control without dropout would start from other weights.

    Args:
        rate: fraction dropped, in [0, 1).
        name: the layer's name.
        layer_class: `Dropout` or one of its kin.

    Returns:
        The layer; making it has drawn one seed, whatever the rate.
    """
    if rate == 0:
        keras.random.SeedGenerator()
    return layer_class(rate, name=name)


def regularized(
    name: str, rate: float | None, batch_norm: str | None, dropout_class: Any = keras.layers.Dropout
) -> list[keras.Layer]:
    """The batch normalisation and dropout that follow a layer, in the order asked for.

    Args:
        name: name of the layer that they follow.
        rate: fraction dropped, or None for no dropout layer.
        batch_norm: None, ``"before_dropout"`` or ``"after_dropout"``.
        dropout_class: `Dropout` or one of its kin.

    Returns:
        None, one or two layers.
    """
    layers = [] if rate is None else [dropout(rate, f"{name}_dropout", dropout_class)]
    if batch_norm is not None:
        layers.insert(
            0 if batch_norm == "before_dropout" else len(layers),
            keras.layers.BatchNormalization(name=f"{name}_batch_norm"),
        )
    return layers


def dense_stack(
    units: Sequence[int],
    rates: Sequence[float],
    *,
    activation: Any,
    kernel_regularizer: Any,
    kernel_constraint: Any,
    batch_norm: str | None,
) -> list[keras.Layer]:
    """Hidden dense layers, each with its dropout: ``hidden_1``, ``hidden_1_dropout``, ..."""
    layers: list[keras.Layer] = []
    for number, (width, rate) in enumerate(zip(units, rates, strict=True), start=1):
        name = f"hidden_{number}"
        dense = keras.layers.Dense(
            width,
            activation=activation,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            name=name,
        )
        layers += [dense, *regularized(name, rate, batch_norm)]
    return layers


def classifier(num_classes: int | None) -> keras.layers.Dense:
    """The last layer: softmax over the classes, or one linear output for regression."""
    if num_classes is None:
        return keras.layers.Dense(1, name="classifier")
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(
            "expected num_classes to be a whole number of at least 2, or None for regression; "
            f"received {num_classes!r}"
        )
    return keras.layers.Dense(num_classes, activation="softmax", name="classifier")


def compile_documented(
    model: keras.Model, optimizer: Any, loss: Any, num_classes: int | None
) -> keras.Model:
    """Compile as documented: cross-entropy and accuracy, or squared and absolute error."""
    if num_classes is None:
        model.compile(optimizer=optimizer, loss=loss or "mean_squared_error", metrics=["mae"])
    else:
        model.compile(
            optimizer=optimizer, loss=loss or "categorical_crossentropy", metrics=["accuracy"]
        )
    return model
