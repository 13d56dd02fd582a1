"""Parts that several builders share. Imports Keras; builders import it when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from dropout_zoo.models.argument_validation import check_count, check_positive, check_sizes
from dropout_zoo.models.guidance import builder_rate, rates_per_layer
from dropout_zoo.models.layers.maxout import Maxout
from dropout_zoo.models.layers.seeded_dropout import seeded_dropout

BATCH_NORM_ORDERS = (None, "before_dropout", "after_dropout")
CONV_DROPOUT = {
    "element": keras.layers.Dropout,
    "spatial": keras.layers.SpatialDropout2D,
}
"""The dropout after convolutions: of single activations, or of whole feature maps."""


def regularized(
    name: str, rate: float | None, batch_norm: str | None, dropout_class: Any = keras.layers.Dropout
) -> list[keras.Layer]:
    """The batch normalization and dropout that follow a layer, in the requested order.

    Args:
        name: name of the layer that they follow.
        rate: fraction dropped; None for no dropout layer.
        batch_norm: None, ``"before_dropout"`` or ``"after_dropout"``.
        dropout_class: `Dropout` or a layer with the same arguments.

    Returns:
        Up to two layers.
    """
    layers = [] if rate is None else [seeded_dropout(rate, f"{name}_dropout", dropout_class)]
    if batch_norm is not None:
        layers.insert(
            0 if batch_norm == "before_dropout" else len(layers),
            keras.layers.BatchNormalization(name=f"{name}_batch_norm"),
        )
    return layers


def constraint_on_kernel(
    max_norm: float | None, kernel_constraint: Any = None, axis: int | tuple[int, ...] = 0
) -> Any:
    """The constraint that the arguments `max_norm` and `kernel_constraint` of a builder stand for.

    Args:
        max_norm: largest norm of the incoming weights of a unit, or None.
        kernel_constraint: any other constraint, or None.
        axis: axes of the kernel along which the weights of one unit lie: 0 for a dense layer,
            (0, 1, 2) for a convolution.

    Returns:
        A constraint, or None for none.

    Raises:
        ValueError: both are given, or the norm is not a number above 0.
    """
    if max_norm is None:
        return kernel_constraint
    if kernel_constraint is not None:
        raise ValueError(
            "expected kernel_constraint or max_norm, received both; max_norm is itself a "
            "constraint on the kernels"
        )
    return keras.constraints.MaxNorm(check_positive(max_norm, "max_norm"), axis=axis)


def dense_stack(
    units: Sequence[int],
    rates: Sequence[float],
    *,
    activation: Any,
    kernel_regularizer: Any,
    kernel_constraint: Any,
    batch_norm: str | None,
    num_pieces: int | None = None,
) -> list[keras.Layer]:
    """Hidden dense layers, each with its dropout: ``hidden_1``, ``hidden_1_dropout``, ..."""
    layers: list[keras.Layer] = []
    for number, (width, rate) in enumerate(zip(units, rates, strict=True), start=1):
        name = f"hidden_{number}"
        settings = {
            "kernel_regularizer": kernel_regularizer,
            "kernel_constraint": kernel_constraint,
            "name": name,
        }
        if num_pieces is None:
            dense = keras.layers.Dense(width, activation=activation, **settings)
        else:
            dense = Maxout(width, num_pieces, **settings)
        layers += [dense, *regularized(name, rate, batch_norm)]
    return layers


def image_shape(input_shape: Sequence[int], example: str) -> tuple[int, int, int]:
    """Validate the shape of an image.

    Args:
        input_shape: height, width and, if there is more than one, the number of channels.
        example: a valid value, for the message.

    Returns:
        Height, width and number of channels.

    Raises:
        ValueError: it is no shape of an image.
    """
    height, width, *channels = check_sizes(input_shape, "input_shape", example, min_length=2)
    if len(channels) > 1:
        raise ValueError(
            "expected input_shape to be (height, width) or (height, width, channels), received "
            f"{tuple(input_shape)}"
        )
    return height, width, channels[0] if channels else 1


def embedded_tokens(
    input_shape: Sequence[int], vocabulary_size: int, embedding_dim: int
) -> tuple[Any, Any]:
    """The input of a model for sequences of tokens, and the embeddings of the tokens.

    Args:
        input_shape: length of a sequence, as ``(32,)``.
        vocabulary_size: number of different tokens.
        embedding_dim: size of the embeddings.

    Returns:
        The input, int32 of shape ``(batch, length)``, and the embeddings, shape ``(batch, length,
        embedding_dim)``.

    Raises:
        ValueError: an argument is out of range.
    """
    shape = check_sizes(input_shape, "input_shape", "(32,), the length of a sequence", min_length=1)
    if len(shape) != 1:
        raise ValueError(
            "expected input_shape to be (length,) for sequences of tokens (such as the dataset "
            f"'topics'), received {shape}"
        )
    check_count(vocabulary_size, "vocabulary_size")
    check_count(embedding_dim, "embedding_dim")
    inputs = keras.Input(shape, dtype="int32")
    return inputs, keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(inputs)


def classifier(num_classes: int | None, kernel_constraint: Any = None) -> keras.layers.Dense:
    """The last layer: softmax over the classes, or one linear output for regression."""
    units, activation = 1, None
    if num_classes is not None:
        check_count(num_classes, "num_classes (None for regression)", minimum=2)
        units, activation = int(num_classes), "softmax"
    return keras.layers.Dense(
        units, activation=activation, kernel_constraint=kernel_constraint, name="classifier"
    )


def input_dropout(rate: float | None) -> list[keras.Layer]:
    """The dropout on the inputs; none for a rate of None."""
    if rate is None:
        return []
    return [seeded_dropout(builder_rate(rate, "input_rate"), "input_dropout")]


def dense_classifier(
    first: Sequence[Any],
    units: Sequence[int],
    hidden_rates: float | Sequence[float],
    *,
    activation: Any,
    kernel_regularizer: Any,
    kernel_constraint: Any,
    max_norm: float | None,
    batch_norm: str | None,
    num_classes: int | None,
    name: str,
    num_pieces: int | None = None,
) -> keras.Sequential:
    """A Sequential model: given layers, hidden ones as in `build_mlp`, and the classifier."""
    constraint = constraint_on_kernel(max_norm, kernel_constraint)
    hidden = dense_stack(
        units,
        rates_per_layer(hidden_rates, units, "hidden_rates", of="units"),
        activation=activation,
        kernel_regularizer=kernel_regularizer,
        kernel_constraint=constraint,
        batch_norm=batch_norm,
        num_pieces=num_pieces,
    )
    last = classifier(num_classes, None if max_norm is None else constraint)
    return keras.Sequential([*first, *hidden, last], name=name)


def compile_documented(
    model: keras.Model, optimizer: Any, loss: Any, num_classes: int | None, *, compile: bool = True
) -> keras.Model:
    """Compile as documented: cross-entropy and accuracy, or squared error and absolute error.

    Args:
        model: the model.
        optimizer: the optimizer.
        loss: the loss; None for the documented one.
        num_classes: number of classes; None for regression.
        compile: the argument of a builder; False leaves the model as it is.

    Returns:
        The same model.
    """
    if not compile:
        return model
    if num_classes is None:
        default_loss, metric = "mean_squared_error", "mae"
    else:
        default_loss, metric = "categorical_crossentropy", "accuracy"
    loss = default_loss if loss is None else loss
    model.compile(optimizer=optimizer, loss=loss, metrics=[metric])
    return model
