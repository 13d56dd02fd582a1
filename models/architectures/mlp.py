"""The documented multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_choice, check_sizes
from dropout_zoo.models.registry import register_model
from dropout_zoo.models.trained_weights import load_trained_weights

if TYPE_CHECKING:
    import keras


@register_model(
    "mlp",
    family="MLP",
    parameters=109_386,
    sites={"hidden_1_dropout": 0.5, "hidden_2_dropout": 0.3},
    source="the documented Sequential MLP: 784-128-64-10, dropout after each hidden layer",
)
def build_mlp(
    *,
    input_shape: Sequence[int] = (28, 28),
    num_classes: int | None = 10,
    units: Sequence[int] = (128, 64),
    hidden_rates: float | Sequence[float] = (0.5, 0.3),
    input_rate: float | None = None,
    activation: Any = "relu",
    num_pieces: int | None = None,
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    max_norm: float | None = None,
    batch_norm: str | None = None,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "mlp",
    weights: str | None = None,
    compile: bool = True,
) -> keras.Sequential:
    """Build an MLP: dense layers, each followed by dropout, and a softmax.

    The default is the MLP of the tutorial that this project reproduces. It has 784 inputs,
    Dense 128 relu, Dropout 0.5, Dense 64 relu, Dropout 0.3 and Dense 10 softmax: 109,386
    parameters. Layers with a rate of 0 are kept, so that a control without dropout has the same
    architecture and, from the same seed, the same initial weights.

    Published networks of this kind are registered: ``list_models("srivastava_*")``.

    Args:
        input_shape: shape of one example, which is flattened; 28 x 28 pixels by default.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        units: units of each hidden layer.
        hidden_rates: rate (fraction dropped, in [0, 1)) after each hidden layer, or one rate for
            all.
        input_rate: rate on the input; None for no dropout layer there.
        activation: activation of the hidden layers; ``"maxout"`` for maxout units (Goodfellow et
            al. 2013).
        num_pieces: number of linear pieces of each maxout unit; None with any other activation.
        kernel_regularizer: regularizer of the hidden layers' kernels, such as
            ``keras.regularizers.L2(1e-4)``.
        kernel_constraint: constraint on the hidden layers' kernels, such as
            ``keras.constraints.UnitNorm()``.
        max_norm: largest norm of the incoming weights of a unit, output units included; None for
            no constraint. Srivastava et al. 2014, Appendix A, use 3 to 4 in networks that scale
            weights at test time. Keras scales activations during training instead, so the same
            activations need weights smaller by 1 - rate, and the same bound is looser.
        batch_norm: None, ``"before_dropout"`` or ``"after_dropout"``.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        weights: ``"mnist"`` for weights that were trained on MNIST with the documented rates; None
            for random ones. `weights_card` says what they are worth.
        compile: whether to compile the model.

    Returns:
        A `keras.Sequential` with layers ``flatten``, ``hidden_1``, ``hidden_1_dropout``, ...,
        ``classifier``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> model = build_mlp(units=(256, 128), hidden_rates=(0.5, 0.4), input_rate=0.2)
        >>> [layer.name for layer in model.layers][:4]
        ['flatten', 'input_dropout', 'hidden_1', 'hidden_1_dropout']
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks

    shape = check_sizes(input_shape, "input_shape", "(28, 28) or (784,)", min_length=1)
    widths = check_sizes(units, "units", "(128, 64), one per layer")
    check_choice(batch_norm, building_blocks.BATCH_NORM_ORDERS, "batch_norm")
    if (activation == "maxout") != (num_pieces is not None):
        raise ValueError(
            'expected num_pieces (such as 5) with activation="maxout" only, received '
            f"num_pieces={num_pieces!r} with activation={activation!r}"
        )
    model = building_blocks.dense_classifier(
        [
            keras.Input(shape),
            keras.layers.Flatten(name="flatten"),
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
        num_pieces=num_pieces,
    )
    if weights is not None:
        load_trained_weights(model, "mlp", weights)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)
