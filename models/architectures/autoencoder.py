"""An autoencoder whose features and activations show what dropout does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_sizes
from dropout_zoo.models.guidance import SRIVASTAVA, rates_per_layer
from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras


@register_model(
    "autoencoder",
    family="autoencoder",
    parameters=402_448,
    sites={"hidden_1_dropout": 0.5},
    source=f"{SRIVASTAVA}, Figs. 7 and 8: 256 ReLU units, dropout at rate 0.5",
    data="MNIST",
)
def build_autoencoder(
    *,
    input_shape: Sequence[int] = (28, 28),
    units: Sequence[int] = (256,),
    hidden_rates: float | Sequence[float] = 0.5,
    input_rate: float | None = None,
    activation: Any = "relu",
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    max_norm: float | None = None,
    optimizer: Any = "adam",
    loss: Any = "mean_squared_error",
    name: str = "autoencoder",
    compile: bool = True,
) -> keras.Sequential:
    """Build an autoencoder: hidden dense layers with dropout, and an output as wide as the input.

    The default is the autoencoder for MNIST of Srivastava et al. 2014, JMLR 15:1929-1958,
    Sections 7.1 and 7.2 (Figs. 7 and 8). It has 784 inputs, Dense 256 relu, Dropout 0.5 and Dense
    784 sigmoid: 402,448 parameters. Its targets are the flattened inputs, shape
    ``(examples, 784)``; ``load_dataset(..., task="reconstruction")`` provides them.

    That paper does not specify the output units and the loss; the sigmoid output with squared
    error, for inputs in [0, 1], is a choice of this project.

    Args:
        input_shape: shape of one example, which is flattened; 28 x 28 pixels by default.
        units: units of each hidden layer.
        hidden_rates: rate (fraction dropped, in [0, 1)) after each hidden layer, or one rate for
            all.
        input_rate: rate on the input; None for no dropout layer there.
        activation: activation of the hidden layers.
        kernel_regularizer: regularizer of the hidden layers' kernels.
        kernel_constraint: constraint on the hidden layers' kernels.
        max_norm: largest norm of the incoming weights of a unit, output units included; None for
            no constraint. See `build_mlp`.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`, for targets in [0, 1] and outputs in (0, 1).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A `keras.Sequential` with layers ``flatten``, ``hidden_1``, ``hidden_1_dropout``, ...,
        ``reconstruction``; its output has shape ``(examples, features)``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_autoencoder
        >>> model = build_autoencoder(input_shape=(8, 8), units=(16,), hidden_rates=0.2)
        >>> model.output_shape
        (None, 64)
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks

    shape = check_sizes(input_shape, "input_shape", "(28, 28) or (784,)", min_length=1)
    widths = check_sizes(units, "units", "(256,), one per layer", min_length=1)
    constraint = building_blocks.constraint_on_kernel(max_norm, kernel_constraint)
    layers = [
        keras.Input(shape),
        keras.layers.Flatten(name="flatten"),
        *building_blocks.input_dropout(input_rate),
    ]
    layers += building_blocks.dense_stack(
        widths,
        rates_per_layer(hidden_rates, widths, "hidden_rates", of="units"),
        activation=activation,
        kernel_regularizer=kernel_regularizer,
        kernel_constraint=constraint,
        batch_norm=None,
    )
    output = keras.layers.Dense(
        math.prod(shape),
        activation="sigmoid",
        kernel_constraint=None if max_norm is None else constraint,
        name="reconstruction",
    )
    model = keras.Sequential([*layers, output], name=name)
    if compile:
        model.compile(optimizer=optimizer, loss=loss, metrics=["mae"])
    return model
