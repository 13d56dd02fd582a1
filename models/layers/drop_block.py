"""DropBlock: dropout of square regions of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.guidance import check_rate


@keras.saving.register_keras_serializable(package="dropout_zoo")
class DropBlock2D(keras.layers.Dropout):
    """Drop square blocks of feature maps during training.

    Each feature map of each example has its own blocks. A value of the map is the corner of a block
    with probability ``gamma = rate / block_size**2 * (height * width) / ((height - block_size + 1)
    * (width - block_size + 1))``, if the block lies inside the map (Ghiasi et al. 2018). Blocks may
    overlap, so that the fraction dropped is slightly below the rate. Values that are kept are
    divided by the fraction of values kept in that step. Inference passes the maps through
    unchanged. With ``block_size=1`` the layer equals `keras.layers.Dropout`, except that Dropout
    always scales by ``1 / (1 - rate)``.

    Args:
        rate: fraction dropped, in [0, 1).
        block_size: side of the blocks, in values of the feature map, at least 1; 7 in the paper.
        data_format: ``"channels_last"`` or ``"channels_first"``; None for Keras's setting.
        seed: seed of the masks, or None.
        **kwargs: arguments of `keras.layers.Layer`, such as ``name`` and ``dtype``.

    Input shape:
        ``(batch, height, width, channels)``, or ``(batch, channels, height, width)`` with
        ``"channels_first"``.

    Output shape:
        Same as the input.

    Raises:
        ValueError: an argument is out of range, or the maps are smaller than a block.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.models import DropBlock2D
        >>> maps = np.ones((2, 14, 14, 8), "float32")
        >>> dropped = DropBlock2D(0.1, block_size=3, seed=0)(maps, training=True)
        >>> dropped.shape == maps.shape
        True

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
                "expected data_format to be 'channels_last' or 'channels_first', received "
                f"{data_format!r}"
            )
        self.input_spec = keras.InputSpec(ndim=4)
        if not self.rate:  # Keras creates none for a rate of 0, which would shift later seeds
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Check that blocks fit into the feature maps; called by Keras."""
        sides = [input_shape[axis] for axis in self._spatial_axes]
        if any(side is not None and side < self.block_size for side in sides):
            raise ValueError(
                f"expected feature maps with sides of at least block_size={self.block_size}, "
                f"received {' x '.join(map(str, sides))}; give {self.name!r} a smaller block_size"
            )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop blocks during training; otherwise pass the inputs through."""
        return self.drop_blocks(inputs, self.rate) if training and self.rate > 0 else inputs

    def drop_blocks(self, inputs: Any, rate: Any) -> Any:
        """Set blocks of the inputs to 0, with a rate that may be a number or a variable."""
        shape, side = ops.shape(inputs), self.block_size
        height, width = (shape[axis] for axis in self._spatial_axes)
        rows, columns = height - side + 1, width - side + 1
        channels = shape[1 if self.data_format == "channels_first" else 3]
        # In float32 throughout, so that a number and a variable give the same masks.
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
        # A value is covered by a block if any corner lies less than a block's side away.
        blocks = ops.max_pool(corners, side, strides=1, data_format="channels_last")
        kept = 1 - (
            ops.transpose(blocks, (0, 3, 1, 2)) if self.data_format == "channels_first" else blocks
        )
        scale = 1 / ops.maximum(ops.mean(kept), keras.config.epsilon())
        zero = ops.cast(0, inputs.dtype)
        return ops.where(kept > 0, inputs * ops.cast(scale, inputs.dtype), zero)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate the layer."""
        config: dict[str, Any] = super().get_config()
        del config["noise_shape"]  # an argument of Dropout that this layer does not take
        return config | {"block_size": self.block_size, "data_format": self.data_format}

    @property
    def _spatial_axes(self) -> tuple[int, int]:
        return (2, 3) if self.data_format == "channels_first" else (1, 2)
