"""Wide residual networks with dropout inside the blocks, or after the last batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_choice, check_count
from dropout_zoo.models.guidance import builder_rate, rates_per_layer
from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras

FILTERS = (16, 32, 64)
"""Filters of the three groups of blocks with a widen factor of 1 (Zagoruyko and Komodakis 2016)."""

PAPER = "Zagoruyko and Komodakis 2016 (arXiv 1605.07146)"
INSIDE = f"{PAPER}: dropout inside each block, rate 0.3 as in the paper for CIFAR"
AFTER_NORM = (
    f"{PAPER}; Li et al. 2018 (arXiv 1801.05134): dropout after the last batch normalization only; "
    "the rate is the guidance for hidden layers"
)


def build_wide_resnet(
    *,
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int | None = 10,
    depth: int = 16,
    widen_factor: int = 4,
    conv_rates: float | Sequence[float] | None = 0.3,
    conv_dropout: str = "element",
    hidden_rate: float | None = None,
    input_rate: float | None = None,
    kernel_regularizer: Any = None,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "wide_resnet",
    compile: bool = True,
) -> keras.Model:
    """Build a wide residual network (Zagoruyko and Komodakis 2016).

    A convolution with 16 filters is followed by three groups of ``(depth - 4) / 6`` residual blocks
    with ``16 * widen_factor``, ``32 * widen_factor`` and ``64 * widen_factor`` filters. The second
    and the third group each halve height and width. Batch normalization, ReLU, global average
    pooling and a softmax end the network. The residual branch of a block is batch normalization,
    ReLU and a 3 x 3 convolution, twice. Convolutions have no biases.

    Dropout is placed inside each block, after the second ReLU, as in the authors' code, where it
    shifts the variance that the batch normalization of the next block sees; or after all batch
    normalization, before the classifier, as Li et al. 2018 recommend; or at both places. Layers
    with a rate of 0 are kept, so that a control without dropout starts from the same initial
    weights.

    Args:
        input_shape: height and width of an image in pixels, and its channels.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        depth: 6 n + 4 for n blocks per group, such as 10, 16, 22, 28 or 40; the first number in
            the paper's names, such as WRN-16-4.
        widen_factor: factor on the number of filters; the second number in these names.
        conv_rates: rate (fraction dropped, in [0, 1)) in each block, or one rate for all; None for
            no dropout layers there.
        conv_dropout: ``"element"`` drops single activations, as in the paper, ``"spatial"`` whole
            feature maps (Tompson et al. 2015).
        hidden_rate: rate on the features before the classifier, after the last batch
            normalization; None for no dropout layer there.
        input_rate: rate on the input; None for no dropout layer there.
        kernel_regularizer: regularizer of the convolution kernels, such as
            ``keras.regularizers.L2(2.5e-4)``.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A functional `keras.Model` with layers ``stem``, ``group_1_block_1_conv_1``, ...,
        ``group_1_block_1_dropout``, ..., ``pool``, ``hidden_dropout``, ``classifier``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_wide_resnet, dropout_sites
        >>> model = build_wide_resnet(
        ...     input_shape=(16, 16, 1), depth=10, widen_factor=1, conv_rates=None, hidden_rate=0.5
        ... )
        >>> [site.path for site in dropout_sites(model)]
        ['hidden_dropout']
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.layers.seeded_dropout import seeded_dropout

    shape = building_blocks.image_shape(input_shape, "(32, 32, 3)")
    check_count(widen_factor, "widen_factor")
    blocks = _blocks_per_group(depth)
    check_choice(conv_dropout, tuple(building_blocks.CONV_DROPOUT), "conv_dropout")
    dropout_class = building_blocks.CONV_DROPOUT[conv_dropout]
    block_filters = [
        (group, number, filters * widen_factor)
        for group, filters in enumerate(FILTERS, start=1)
        for number in range(1, blocks + 1)
    ]
    rates: Sequence[float | None] = [None] * len(block_filters)
    if conv_rates is not None:
        widths = [filters for *_, filters in block_filters]
        rates = rates_per_layer(conv_rates, widths, "conv_rates", of="the filters of the blocks")

    def convolution(filters: int, name: str, size: int = 3, strides: int = 1) -> keras.Layer:
        return keras.layers.Conv2D(
            filters,
            size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=kernel_regularizer,
            name=name,
        )

    def normalized(x: Any, name: str) -> Any:
        # The momentum of the authors' framework. With Keras's default of 0.99, the moving
        # averages are still far from the mean after a few hundred steps.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_batch_norm")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    x = inputs = keras.Input(shape)
    for layer in building_blocks.input_dropout(input_rate):
        x = layer(x)
    x = convolution(FILTERS[0], "stem")(x)
    for (group, number, filters), rate in zip(block_filters, rates, strict=True):
        block = f"group_{group}_block_{number}"
        strides = 2 if group > 1 and number == 1 else 1
        y = normalized(x, f"{block}_1")
        if x.shape[-1] != filters:
            # The shortcut needs the shape of the branch; as in the paper, it projects the
            # normalized input.
            x = convolution(filters, f"{block}_shortcut", 1, strides)(y)
        y = convolution(filters, f"{block}_conv_1", strides=strides)(y)
        y = normalized(y, f"{block}_2")
        if rate is not None:
            y = seeded_dropout(rate, f"{block}_dropout", dropout_class)(y)
        y = convolution(filters, f"{block}_conv_2")(y)
        x = keras.layers.Add(name=f"{block}_add")([x, y])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(normalized(x, "last"))
    if hidden_rate is not None:
        x = seeded_dropout(builder_rate(hidden_rate, "hidden_rate"), "hidden_dropout")(x)
    model = keras.Model(inputs, building_blocks.classifier(num_classes)(x), name=name)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)


def _blocks_per_group(depth: int) -> int:
    check_count(depth, "depth", minimum=10)
    if (depth - 4) % 6:
        raise ValueError(
            f"expected depth to be 6 n + 4 (such as 10, 16, 22, 28 or 40), received {depth}"
        )
    return (depth - 4) // 6


# Name, depth, factor on the filters, shape of an image, data, and trainable parameters.
SIZES: tuple[tuple[str, int, int, tuple[int, int, int], str, int], ...] = (
    ("wide_resnet_16_4", 16, 4, (32, 32, 3), "CIFAR-10", 2_748_890),
    ("wide_resnet_10_1", 10, 1, (28, 28, 1), "", 77_562),
)

for _name, _depth, _widen, _shape, _data, _parameters in SIZES:
    _arguments = {"depth": _depth, "widen_factor": _widen, "input_shape": _shape}
    _blocks = [(g, b) for g in (1, 2, 3) for b in range(1, _blocks_per_group(_depth) + 1)]
    register_model(
        _name,
        family="wide ResNet",
        parameters=_parameters,
        sites={f"group_{group}_block_{block}_dropout": 0.3 for group, block in _blocks},
        source=INSIDE,
        arguments=_arguments,
        data=_data,
    )(build_wide_resnet)
    register_model(
        f"{_name}_after_norm",
        family="wide ResNet",
        parameters=_parameters,
        sites={"hidden_dropout": 0.5},
        source=AFTER_NORM,
        arguments=_arguments | {"conv_rates": None, "hidden_rate": 0.5},
        data=_data,
    )(build_wide_resnet)
