"""A small vision transformer with stochastic depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_count, check_sizes
from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras


@register_model(
    "vit",
    family="vision transformer",
    parameters=138_890,
    sites={
        "embedding_dropout": 0.1,
        "block_1_attention/dropout_layer": 0.0,
        "block_1_attention_dropout": 0.1,
        "block_1_attention_depth": 0.025,
        "block_1_feed_forward_dropout": 0.1,
        "block_1_feed_forward_depth": 0.025,
        "block_2_attention/dropout_layer": 0.0,
        "block_2_attention_dropout": 0.1,
        "block_2_attention_depth": 0.05,
        "block_2_feed_forward_dropout": 0.1,
        "block_2_feed_forward_depth": 0.05,
        "block_3_attention/dropout_layer": 0.0,
        "block_3_attention_dropout": 0.1,
        "block_3_attention_depth": 0.075,
        "block_3_feed_forward_dropout": 0.1,
        "block_3_feed_forward_depth": 0.075,
        "block_4_attention/dropout_layer": 0.0,
        "block_4_attention_dropout": 0.1,
        "block_4_attention_depth": 0.1,
        "block_4_feed_forward_dropout": 0.1,
        "block_4_feed_forward_depth": 0.1,
    },
    source="after Dosovitskiy et al. 2021 (arXiv 2010.11929), with the stochastic depth of Huang "
    "et al. 2016 (arXiv 1603.09382), whose rate increases from block to block",
)
def build_vit(
    *,
    input_shape: Sequence[int] = (28, 28),
    num_classes: int | None = 10,
    patch_size: int = 4,
    hidden_dim: int = 64,
    num_layers: int = 4,
    num_heads: int = 4,
    intermediate_dim: int = 128,
    embedding_rate: float = 0.1,
    attention_rate: float = 0.0,
    residual_rate: float = 0.1,
    stochastic_depth_rate: float | None = 0.1,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "vit",
    compile: bool = True,
) -> keras.Model:
    """Build a vision transformer for small images, such as 28 x 28 or 32 x 32 x 3.

    The image is cut into square patches, and a dense layer embeds each of them. The rest is the
    encoder of `build_transformer` with stochastic depth at the end of each residual branch, and the
    mean over the patches in place of the paper's class token. Layers with a rate of 0 are kept, so
    that a control without dropout starts from the same initial weights.

    Args:
        input_shape: height and width of an image in pixels, both multiples of `patch_size`, and
            its channels; one channel is added if there is none.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        patch_size: side of a patch in pixels.
        hidden_dim: size of the embeddings and of the outputs of each encoder layer.
        num_layers: number of encoder layers.
        num_heads: number of attention heads; must divide `hidden_dim`.
        intermediate_dim: size of the inner dense layer of each feed-forward network.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the sum of embeddings and positions.
        attention_rate: rate on the attention weights.
        residual_rate: rate at the end of each residual branch.
        stochastic_depth_rate: probability that an example skips a branch of the last encoder
            layer; it decreases linearly towards the first one. None for no stochastic depth.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A functional `keras.Model` from ``(batch, height, width[, channels])`` to ``(batch,
        num_classes)``, with layers ``embedding``, ``positions``, ``embedding_dropout``,
        ``block_1_attention``, ``block_1_attention_dropout``, ``block_1_attention_depth``, ...,
        ``classifier``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_vit
        >>> model = build_vit(input_shape=(8, 8), num_layers=1, hidden_dim=16)
        >>> model.output_shape
        (None, 10)

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929; Huang et al. 2016, arXiv:1603.09382.
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.architectures.transformer_encoder import encoder

    check_count(hidden_dim, "hidden_dim")
    check_count(patch_size, "patch_size")
    shape = check_sizes(input_shape, "input_shape", "(28, 28) or (32, 32, 3)", min_length=2)
    height, width, *channels = shape
    if len(channels) > 1 or height % patch_size or width % patch_size:
        raise ValueError(
            "expected input_shape to be (height, width) or (height, width, channels) with height "
            f"and width multiples of patch_size={patch_size}, received {shape}"
        )
    rows, columns, depth = height // patch_size, width // patch_size, (channels or [1])[0]
    inputs = keras.Input(shape)
    # Split both axes into patches and pixels, then move the pixels of each patch together.
    cut = (rows, patch_size, columns, patch_size, depth)
    x = keras.layers.Reshape(cut, name="cut")(inputs)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="patch_grid")(x)
    x = keras.layers.Reshape((rows * columns, patch_size**2 * depth), name="patches")(x)
    x = keras.layers.Dense(hidden_dim, name="embedding")(x)
    x = encoder(
        x,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
        embedding_rate=embedding_rate,
        attention_rate=attention_rate,
        residual_rate=residual_rate,
        stochastic_depth_rate=stochastic_depth_rate,
    )
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, building_blocks.classifier(num_classes)(x), name=name)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)
