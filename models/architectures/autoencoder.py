"""The autoencoder whose features and activations show what dropout does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_sizes
from dropout_zoo.models.guidance import SRIVASTAVA, builder_rate, rates_per_layer
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

    With the defaults: 784 inputs, Dense 256 relu, Dropout 0.5, Dense 784 sigmoid; 402,448
    parameters. The targets are the inputs, flattened, of shape ``(examples, 784)``; with
    ``load_dataset(..., task="reconstruction")`` they come along.

    The paper leaves open what the output units and the loss are; a logistic output with the
    squared error is this zoo's choice, for inputs in [0, 1].

    Args:
        input_shape: shape of one example, flattened to a vector; 28 x 28 pixels by default.
        units: width of each hidden layer.
        hidden_rates: rate (fraction dropped, in [0, 1)) after each hidden layer, or one for all.
        input_rate: rate on the input, or None for no dropout layer there.
        activation: activation of the hidden layers.
        kernel_regularizer: regularizer of the hidden layers' kernels.
        kernel_constraint: constraint on the hidden layers' kernels.
        max_norm: largest norm of the weights that enter one unit, those of the output included;
            None for no bound. See `build_mlp`.
        optimizer: what `keras.Model.compile` takes.
        loss: what `keras.Model.compile` takes, for targets in [0, 1] and outputs in (0, 1).
        name: the model's name.
        compile: whether to compile the model.

    Returns:
        A `keras.Sequential` with layers ``flatten``, ``hidden_1``, ``hidden_1_dropout``, ...,
        ``reconstruction``, its output of shape ``(examples, features)``.

    Raises:
        ValueError: an argument is out of its range; the message says what is expected.
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.layers.seeded_dropout import seeded_dropout

    shape = check_sizes(input_shape, "input_shape", "(28, 28) or (784,)", least=1)
    widths = check_sizes(units, "units", "(256,), one a layer", least=1)
    constraint = building_blocks.constraint_on_kernel(max_norm, kernel_constraint)
    layers = [keras.Input(shape), keras.layers.Flatten(name="flatten")]
    if input_rate is not None:
        layers.append(seeded_dropout(builder_rate(input_rate, "input_rate"), "input_dropout"))
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
