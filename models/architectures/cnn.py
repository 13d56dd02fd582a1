"""The documented convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_choice, check_count, check_sizes
from dropout_zoo.models.guidance import rates_per_layer
from dropout_zoo.models.registry import register_model
from dropout_zoo.models.trained_weights import load_trained_weights

if TYPE_CHECKING:
    import keras

PADDINGS = ("valid", "same")


@register_model(
    "cnn",
    family="CNN",
    parameters=225_034,
    sites={"hidden_1_dropout": 0.5},
    source="the documented Sequential CNN: conv 32-64, dense 128, dropout after the dense layer",
)
def build_cnn(
    *,
    input_shape: Sequence[int] = (28, 28, 1),
    num_classes: int | None = 10,
    filters: Sequence[int] = (32, 64),
    kernel_size: int = 3,
    padding: str = "valid",
    pool_size: int = 2,
    pool_strides: int = 2,
    units: Sequence[int] = (128,),
    hidden_rates: float | Sequence[float] = (0.5,),
    input_rate: float | None = None,
    conv_rates: float | Sequence[float] | None = None,
    conv_dropout: str = "element",
    activation: Any = "relu",
    kernel_regularizer: Any = None,
    kernel_constraint: Any = None,
    max_norm: float | None = None,
    batch_norm: str | None = None,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "cnn",
    weights: str | None = None,
    compile: bool = True,
) -> keras.Sequential:
    """Build a CNN: convolutions with max pooling, then dense layers with dropout.

    The default is the CNN of the tutorial that this project reproduces. It has Conv 32 3x3
    relu, max pooling 2x2, Conv 64 3x3 relu, max pooling 2x2, Flatten, Dense 128 relu, Dropout 0.5
    and Dense 10 softmax: 225,034 parameters. Layers with a rate of 0 are kept, so that a control
    without dropout has the same architecture and, from the same seed, the same initial weights.

    Published networks of this kind are registered: ``list_models("srivastava_*")``.

    Args:
        input_shape: height and width of an image in pixels, and its channels; one channel is added
            if there is none.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        filters: number of filters of each convolution.
        kernel_size: height and width of the convolution kernels, in pixels.
        padding: ``"valid"``, or ``"same"`` for convolutions that keep height and width.
        pool_size: height and width of the pooling windows, in pixels.
        pool_strides: strides of the pooling, in pixels.
        units: units of each hidden dense layer.
        hidden_rates: rate (fraction dropped, in [0, 1)) after each dense layer, or one rate for
            all.
        input_rate: rate on the input; None for no dropout layer there.
        conv_rates: rate after each pooling, or one rate for all; None for no dropout layers there.
            Srivastava et al. 2014, Tables 3 and 4, report gains from dropout in all layers.
        conv_dropout: ``"element"`` drops single activations, ``"spatial"`` whole feature maps
            (Tompson et al. 2015).
        activation: activation of the convolutions and the hidden dense layers.
        kernel_regularizer: regularizer of their kernels, such as ``keras.regularizers.L2(1e-4)``.
        kernel_constraint: constraint on their kernels, such as ``keras.constraints.NonNeg()``.
        max_norm: largest norm of the incoming weights of a unit or a filter, output units
            included; None for no constraint. See `build_mlp`.
        batch_norm: None, ``"before_dropout"`` or ``"after_dropout"``.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        weights: ``"mnist"`` for weights that were trained on MNIST with the documented rate; None
            for random ones. `weights_card` says what they are worth.
        compile: whether to compile the model.

    Returns:
        A `keras.Sequential` with layers ``conv_1``, ``pool_1``, ..., ``flatten``, ``hidden_1``,
        ``hidden_1_dropout``, ..., ``classifier``.

    Raises:
        ValueError: an argument is out of range, or the images are too small for the number of
            pooling layers; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_cnn, dropout_sites
        >>> model = build_cnn(conv_rates=0.2, conv_dropout="spatial")
        >>> [(site.path, site.placement) for site in dropout_sites(model)][0]
        ('conv_1_dropout', 'convolutional')
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks

    counts = check_sizes(filters, "filters", "(32, 64), one per convolution")
    widths = check_sizes(units, "units", "(128,), one per layer")
    check_choice(batch_norm, building_blocks.BATCH_NORM_ORDERS, "batch_norm")
    check_choice(conv_dropout, tuple(building_blocks.CONV_DROPOUT), "conv_dropout")
    for value, argument in (
        (kernel_size, "kernel_size"),
        (pool_size, "pool_size"),
        (pool_strides, "pool_strides"),
    ):
        check_count(value, argument)
    check_choice(padding, PADDINGS, "padding")
    shrunk_by = kernel_size - 1 if padding == "valid" else 0
    shape = _image_shape(input_shape, len(counts), shrunk_by, pool_size, pool_strides)
    conv_constraint = building_blocks.constraint_on_kernel(
        max_norm, kernel_constraint, axis=(0, 1, 2)
    )
    per_conv: Sequence[float | None] = [None] * len(counts)
    if conv_rates is not None:
        per_conv = rates_per_layer(conv_rates, counts, "conv_rates", of="filters")
    dropout_class = building_blocks.CONV_DROPOUT[conv_dropout]

    layers = [keras.Input(shape), *building_blocks.input_dropout(input_rate)]
    for number, (count, conv_rate) in enumerate(zip(counts, per_conv, strict=True), start=1):
        layers += [
            keras.layers.Conv2D(
                count,
                kernel_size,
                padding=padding,
                activation=activation,
                kernel_regularizer=kernel_regularizer,
                kernel_constraint=conv_constraint,
                name=f"conv_{number}",
            ),
            keras.layers.MaxPooling2D(pool_size, pool_strides, name=f"pool_{number}"),
            *building_blocks.regularized(f"conv_{number}", conv_rate, batch_norm, dropout_class),
        ]
    layers.append(keras.layers.Flatten(name="flatten"))
    model = building_blocks.dense_classifier(
        layers,
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
    if weights is not None:
        load_trained_weights(model, "cnn", weights)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)


def _image_shape(
    input_shape: Sequence[int], poolings: int, shrunk_by: int, pool_size: int, pool_strides: int
) -> tuple[int, int, int]:
    from dropout_zoo.models.architectures.building_blocks import image_shape

    height, width, channels = image_shape(input_shape, "(28, 28, 1)")
    smallest = 1
    for _ in range(poolings):
        smallest = (smallest - 1) * pool_strides + pool_size + shrunk_by
    if min(height, width) < smallest:
        raise ValueError(
            f"expected images of at least {smallest} x {smallest} pixels for {poolings} "
            f"convolutions with pooling, received {height} x {width}; enlarge the images, or "
            "pass fewer filters"
        )
    return height, width, channels
