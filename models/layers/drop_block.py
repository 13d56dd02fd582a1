"""DropBlock: square regions of feature maps dropped together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class DropBlock2D(keras.layers.Dropout):
    """Drop square blocks of feature maps while training.

    The corners of blocks are drawn for each feature map of each example on its own, with the
    probability ``gamma = rate / block_size**2 * (height * width) / ((height - block_size + 1) *
    (width - block_size + 1))``, and only where a block lies inside the map (Ghiasi et al. 2018).
    Blocks may overlap, so that the share that is dropped is a little below the rate. What is kept
    is divided by the share of values that a step has kept; inference leaves the maps as they are.
    With ``block_size=1`` it is `keras.layers.Dropout`, but for that scale, which Dropout takes
    from the rate.

    Args:
        rate: fraction dropped, in [0, 1).
        block_size: side of the blocks in values of the feature map, at least 1; 7 in the paper.
        data_format: ``"channels_last"`` or ``"channels_first"``; None for Keras's setting.
        seed: seed of the masks, or None.
        **kwargs: what `keras.layers.Layer` takes, such as ``name`` and ``dtype``.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``"channels_first"``.

    Output shape:
        The same.

    Raises:
        ValueError: an argument is out of range, or the maps are smaller than a block.

    References:
        Ghiasi et al. 2018, arXiv:1810.12890.
    """

    def __init__(
        self,
        rate: float,
        block_size: int = 7,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(check_rate(rate, "rate"), seed=seed, **kwargs)
        check_count(block_size, "block_size")
        self.block_size = int(block_size)
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                "expected data_format to be 'channels_last' or 'channels_first'; received "
                f"{data_format!r}"
            )
        self.input_spec = keras.InputSpec(ndim=4)
        if not self.rate:  # Keras makes none for a rate of 0, which would shift later seeds
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check that blocks fit into the feature maps; called by Keras."""
        sides = [input_shape[axis] for axis in self._spatial_axes]
        if any(side is not None and side < self.block_size for side in sides):
            raise ValueError(
                f"expected feature maps of at least block_size={self.block_size} values a side, "
                f"received {' x '.join(map(str, sides))}: give {self.name!r} a smaller block_size"
            )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop while training, pass the inputs on otherwise."""
        return self.drop_blocks(inputs, self.rate) if training and self.rate > 0 else inputs

    def drop_blocks(self, inputs: Any, rate: Any) -> Any:
        """Set blocks of the inputs to 0, at a rate that may be a number or a variable."""
        shape, side = ops.shape(inputs), self.block_size
        height, width = (shape[axis] for axis in self._spatial_axes)
        rows, columns = height - side + 1, width - side + 1
        channels = shape[1 if self.data_format == "channels_first" else 3]
        # In float32 from beginning to end: a number and a variable then give the same masks.
        corners_for_all = ops.cast(height * width, "float32") / ops.cast(
            side**2 * rows * columns, "float32"
        )
        gamma = ops.cast(rate, "float32") * corners_for_all
        drawn = keras.random.uniform(
            (shape[0], rows, columns, channels), dtype="float32", seed=self.seed_generator
        )
        corners = ops.cast(drawn < gamma, "float32")
        border = [side - 1, side - 1]
        corners = ops.pad(corners, [[0, 0], border, border, [0, 0]])
        # The largest of the corners up to a block's side away says whether one covers a value.
        blocks = ops.max_pool(corners, side, strides=1, data_format="channels_last")
        kept = 1 - (
            ops.transpose(blocks, (0, 3, 1, 2)) if self.data_format == "channels_first" else blocks
        )
        scale = 1 / ops.maximum(ops.mean(kept), keras.config.epsilon())
        zero = ops.cast(0, inputs.dtype)
        return ops.where(kept > 0, inputs * ops.cast(scale, inputs.dtype), zero)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the layer anew."""
        config = super().get_config()
        del config["noise_shape"]  # a block has a shape of its own
        return config | {"block_size": self.block_size, "data_format": self.data_format}

    @property
    def _spatial_axes(self) -> tuple[int, int]:
        return (2, 3) if self.data_format == "channels_first" else (1, 2)
