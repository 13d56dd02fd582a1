"""A multilayer perceptron for tables, whose columns are standardized inside the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_choice, check_sizes
from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras


@register_model(
    "tabular_mlp",
    family="MLP",
    parameters=160_514,
    sites={"hidden_1_dropout": 0.1, "hidden_2_dropout": 0.1},
    source="Gorishniy et al. 2021 (arXiv 2106.11959), Section 3.1: Linear, ReLU, Dropout; widths "
    "and rate of the example in the authors' package, tuned for each dataset in the paper; the "
    "standardized inputs are this project's",
)
def build_tabular_mlp(
    *,
    input_shape: Sequence[int] = (30,),
    num_classes: int | None = 2,
    units: Sequence[int] = (384, 384),
    hidden_rates: float | Sequence[float] = 0.1,
    input_rate: float | None = None,
    activation: Any = "relu",
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    max_norm: float | None = None,
    batch_norm: str | None = None,
    adapt_to: Any = None,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "tabular_mlp",
    compile: bool = True,
) -> keras.Sequential:
    """Build an MLP for the rows of a table, which takes raw columns and standardizes them.

    The default is the MLP of Gorishniy et al. 2021, arXiv 2106.11959, Section 3.1, with the widths
    and the rate of the example in the authors' package: Dense 384 relu and Dropout 0.1, twice, then
    a softmax. The first layer is a `keras.layers.Normalization`. The mean and variance of each
    column are part of the model and saved with it, so that it predicts from raw columns; training
    does not change them.

    `tune`, `train_members` and the studies adapt the layer to the training examples where they
    build this model themselves, from its name or from this function. They refuse a model whose
    `Normalization` has not been adapted.

    Args:
        input_shape: number of columns, as ``(30,)``.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        units: units of each hidden layer.
        hidden_rates: rate (fraction dropped, in [0, 1)) after each hidden layer, or one rate for
            all.
        input_rate: rate on the standardized columns; None for no dropout layer there.
        activation: activation of the hidden layers.
        kernel_regularizer: regularizer of the hidden layers' kernels.
        kernel_constraint: constraint on the hidden layers' kernels.
        max_norm: largest norm of the incoming weights of a unit, output units included; None for
            no constraint. See `build_mlp`.
        batch_norm: None, ``"before_dropout"`` or ``"after_dropout"``.
        adapt_to: training examples, shape ``(examples, columns)``, whose mean and variance the
            `Normalization` takes; None to call its `adapt` later.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A `keras.Sequential` with layers ``normalization``, ``hidden_1``, ``hidden_1_dropout``,
        ..., ``classifier``.

    Raises:
        ValueError: an argument is out of range, or `adapt_to` has different columns; the message
            says what is expected.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.models import build_tabular_mlp
        >>> x = np.array([[5.0, 1400.0], [7.0, 4700.0], [6.0, 5900.0]])
        >>> model = build_tabular_mlp(input_shape=(2,), num_classes=3, adapt_to=x)
        >>> model.get_layer("normalization").adapt_mean.numpy().tolist()
        [6.0, 4000.0]
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks

    shape = check_sizes(input_shape, "input_shape", "(30,), the number of columns", min_length=1)
    if len(shape) != 1:
        raise ValueError(
            f"expected input_shape to be (columns,) for the rows of a table, received {shape}"
        )
    widths = check_sizes(units, "units", "(384, 384), one per layer")
    check_choice(batch_norm, building_blocks.BATCH_NORM_ORDERS, "batch_norm")
    model = building_blocks.dense_classifier(
        [
            keras.Input(shape),
            _normalization(shape, adapt_to),
            *building_blocks.input_dropout(input_rate),
        ],
        widths,
        hidden_rates,
        activation=activation,
        kernel_regularizer=kernel_regularizer,
        kernel_constraint=kernel_constraint,
        max_norm=max_norm,
        batch_norm=batch_norm,
        num_classes=num_classes,
        name=name,
    )
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)


def _normalization(shape: tuple[int, ...], adapt_to: Any) -> keras.layers.Normalization:
    import keras
    import numpy as np

    layer = keras.layers.Normalization(name="normalization")
    if adapt_to is None:
        return layer
    # In float32 the mean of many large values is inexact.
    examples = np.asarray(adapt_to, "float64")
    if examples.shape[1:] != shape or not len(examples):
        raise ValueError(
            f"expected adapt_to to have the shape (examples, {shape[0]}) of the inputs, received "
            f"{examples.shape}"
        )
    layer.adapt(examples)
    # Keras leaves it at 0. Columns of a mean of 0 and a variance of 1 would look as before.
    layer.count.assign(len(examples))
    return layer
