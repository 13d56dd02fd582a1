"""Dropout layers whose rate is a variable, so that one traced program serves every rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from dropout_zoo.models import keras_internals
from dropout_zoo.models.argument_validation import check_fraction
from dropout_zoo.models.layers.drop_block import DropBlock2D
from dropout_zoo.models.layers.stochastic_depth import StochasticDepth

_SELU_ALPHA = 1.6732632423543772848170429916717  # the constants of keras.layers.AlphaDropout
_SELU_SCALE = 1.0507009873554804934193349852946
_DROPPED = -_SELU_ALPHA * _SELU_SCALE  # what AlphaDropout sets a dropped unit to


class RateInVariables:
    """Base class of what holds a dropout rate in variables.

    Attributes:
        rate: fraction dropped, in [0, 1), before any factor of a schedule.
        coefficients: variables that hold the numbers computed from the rate.
    """

    rate: float
    coefficients: list[keras.Variable]

    def set_rate(self, rate: float) -> None:
        """Change the rate without a new trace.

        Args:
            rate: fraction dropped, in [0, 1).
        """
        self.rate = rate
        self.set_factor(1.0)

    def set_factor(self, factor: float) -> None:
        """Apply a fraction of `rate`, as a schedule does, without a new trace.

        Args:
            factor: factor on the rate from now on, in [0, 1].

        Raises:
            ValueError: the factor is out of range.
        """
        values = self.coefficients_of(self.rate * check_fraction(factor, "factor"))
        for variable, value in zip(self.coefficients, values, strict=True):
            variable.assign(value)

    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The numbers that a rate enters the computation as."""
        return (1.0 - rate,) if _on_jax() else (rate, 1 / (1 - rate))

    def _create_coefficients(self, layer: keras.Layer, prefix: str = "rate") -> None:
        self.coefficients = [
            layer.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                autocast=False,
                name=f"{prefix}_coefficient_{index}",
            )
            for index, value in enumerate(self.coefficients_of(self.rate))
        ]


class RuntimeRate(RateInVariables):
    """Base class of the layers below: a rate in variables, and a seed generator.

    The numbers that a rate enters the computation as, such as ``1 / (1 - rate)``, are computed in
    Python, as in Keras, and stored in variables. On TensorFlow and JAX the masks equal those of the
    plain layer; on TensorFlow the outputs are equal too, bit for bit. A rate of 0 passes every
    value through unchanged; unlike the plain layer it advances the seed generator, as any other
    rate does.
    """

    seed: int | None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the variables; called by Keras."""
        self.create_variables()
        super().build(input_shape)  # type: ignore[misc]

    def create_variables(self) -> None:
        """Create the variables that hold the rate, and the seed generator if there is none."""
        self._create_coefficients(self)  # its subclasses are layers
        if not hasattr(self, "seed_generator"):  # Keras creates none for a rate of 0
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply dropout during training; otherwise pass the inputs through."""
        return self.with_noise(inputs) if training else inputs

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with single values, or whole feature maps, set to 0."""
        return _dropped(inputs, self.noise_shape_of(inputs), self.coefficients, self.seed_generator)

    def noise_shape_of(self, inputs: Any) -> Sequence[Any]:
        """Shape of the mask; axes of length 1 are dropped or kept as a whole."""
        return _concrete_shape(inputs, self.noise_shape)  # type: ignore[attr-defined]


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateDropout(RuntimeRate, keras.layers.Dropout):
    """`keras.layers.Dropout` with its rate in a variable."""


class _RuntimeRateSpatial(RuntimeRate):
    def noise_shape_of(self, inputs: Any) -> Sequence[Any]:
        """One decision per feature map."""
        return keras_internals.noise_shape(self, inputs)


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateSpatialDropout1D(_RuntimeRateSpatial, keras.layers.SpatialDropout1D):
    """`keras.layers.SpatialDropout1D` with its rate in a variable."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateSpatialDropout2D(_RuntimeRateSpatial, keras.layers.SpatialDropout2D):
    """`keras.layers.SpatialDropout2D` with its rate in a variable."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateSpatialDropout3D(_RuntimeRateSpatial, keras.layers.SpatialDropout3D):
    """`keras.layers.SpatialDropout3D` with its rate in a variable."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateGaussianDropout(RuntimeRate, keras.layers.GaussianDropout):
    """`keras.layers.GaussianDropout` with its rate in a variable."""

    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The standard deviation of the noise."""
        return (math.sqrt(rate / (1.0 - rate)),)

    def with_noise(self, inputs: Any) -> Any:
        """The inputs times Gaussian noise with mean 1."""
        dtype = self.compute_dtype
        noise = keras.random.normal(
            ops.shape(inputs),
            mean=1.0,
            stddev=ops.cast(self.coefficients[0], dtype),
            dtype=dtype,
            seed=self.seed_generator,
        )
        return inputs * noise


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateAlphaDropout(RuntimeRate, keras.layers.AlphaDropout):
    """`keras.layers.AlphaDropout` with its rate in a variable."""

    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The rate, and the slope and shift that restore mean and variance."""
        slope = ((1 - rate) * (1 + rate * _DROPPED**2)) ** -0.5
        # Subtracting 0.0 leaves every value unchanged; adding it would turn -0.0 into 0.0.
        return rate, slope, slope * _DROPPED * rate if rate else 0.0

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with single values at SELU's lower limit, and mean and variance restored."""
        rate, slope, shift = self.coefficients
        shape = _concrete_shape(inputs, self.noise_shape)
        kept = ops.cast(keras.random.uniform(shape, seed=self.seed_generator) >= rate, inputs.dtype)
        dropped = inputs * kept + _DROPPED * (1 - kept)
        return ops.cast(slope, inputs.dtype) * dropped - ops.cast(shift, inputs.dtype)


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateStochasticDepth(RuntimeRate, StochasticDepth):
    """`StochasticDepth` with its rate in a variable."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateDropBlock2D(RuntimeRate, DropBlock2D):
    """`DropBlock2D` with its rate in a variable."""

    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The rate itself; the layer computes the rest in the graph."""
        return (rate,)

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with blocks set to 0."""
        return self.drop_blocks(inputs, self.coefficients[0])


LIFTED: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.Dropout: RuntimeRateDropout,
    keras.layers.SpatialDropout1D: RuntimeRateSpatialDropout1D,
    keras.layers.SpatialDropout2D: RuntimeRateSpatialDropout2D,
    keras.layers.SpatialDropout3D: RuntimeRateSpatialDropout3D,
    keras.layers.GaussianDropout: RuntimeRateGaussianDropout,
    keras.layers.AlphaDropout: RuntimeRateAlphaDropout,
    StochasticDepth: RuntimeRateStochasticDepth,
    DropBlock2D: RuntimeRateDropBlock2D,
}
"""The runtime-rate equivalent of each plain dropout class."""


class CellRate(RateInVariables):
    """One of the rates of a recurrent cell in variables, and the masks of the current batch.

    Args:
        cell: the cell, whose attribute with this name is not 0: Keras reads from it whether there
            is dropout at all, and it stays as it is.
        name: ``"dropout"`` or ``"recurrent_dropout"``.
    """

    def __init__(self, cell: keras.Layer, name: str) -> None:
        self.rate = float(getattr(cell, name))
        self._generator: keras.random.SeedGenerator = cell.seed_generator
        self._count: int | None = getattr(cell, "dropout_mask_count", None)
        self._masks: Any = None
        self._create_coefficients(cell, name)

    def masks_for(self, step_input: Any) -> Any:
        """Return the masks, the same for each time step of a batch.

        Args:
            step_input: what is dropped at one time step.

        Returns:
            A mask for each gate in a list, or one for all.
        """
        if self._masks is None:
            ones, state = ops.ones_like(step_input), self._generator.state
            before = ops.copy(state)
            masks = [
                _dropped(ones, ops.shape(ones), self.coefficients, self._generator)
                for _ in range(self._count or 1)
            ]
            # Both rates of a cell draw from one generator, which a rate of 0 leaves alone in Keras.
            first = self.coefficients[0]
            drops = first < 1 if _on_jax() else first > 0
            state.assign(ops.where(drops, ops.copy(state), before))
            self._masks = masks[0] if self._count is None else masks
        return self._masks

    def reset(self) -> None:
        """Forget the masks, before the next batch."""
        self._masks = None


class RuntimeRateCell:
    """Base class of recurrent cells whose rates, as far as they are not 0, are in variables.

    The masks equal those of the plain cell, as do the outputs on TensorFlow; see `RuntimeRate`. A
    rate that is set to 0 passes every value through unchanged and draws no random numbers, but the
    gradients of a plain cell without that dropout may be rounded differently. At a
    `recurrent_dropout` of 0, Keras computes all gates of an LSTM or a GRU together: outputs differ
    by rounding too, and inputs are dropped by one mask there, by one for each gate here.

    Attributes:
        cell_rates: the rates by name, ``"dropout"`` and ``"recurrent_dropout"``.
    """

    cell_rates: dict[str, CellRate]

    def create_variables(self) -> None:
        """Create the variables that hold the rates."""
        self.cell_rates = {
            name: CellRate(self, name)  # its subclasses are layers
            for name in ("dropout", "recurrent_dropout")
            if getattr(self, name) > 0
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Layer:
        """Create a plain cell: layers that hold cells are cloned from their configuration."""
        plain = {lifted: each for each, lifted in LIFTED_CELLS.items()}[cls]
        return plain.from_config(config)

    def save_own_variables(self, store: Any) -> None:
        """Save the weights of a plain cell; called by Keras."""
        own: dict[str, Any] = {}
        super().save_own_variables(own)  # type: ignore[misc]  # in the order of their creation
        added = sum(len(rate.coefficients) for rate in self.cell_rates.values())
        for name in list(own)[: len(own) - added]:
            store[name] = own[name]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """Return the masks of the inputs; called by Keras."""
        return self._masks_for("dropout", step_input)

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Return the masks of the recurrent state; called by Keras."""
        return self._masks_for("recurrent_dropout", step_input)

    def reset_dropout_mask(self) -> None:
        """Forget the masks of the inputs; called by Keras after each batch."""
        self._reset("dropout")

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the masks of the recurrent state; called by Keras after each batch."""
        self._reset("recurrent_dropout")

    def _masks_for(self, name: str, step_input: Any) -> Any:
        rate = self.cell_rates.get(name)
        return None if rate is None else rate.masks_for(step_input)

    def _reset(self, name: str) -> None:
        if name in self.cell_rates:
            self.cell_rates[name].reset()


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateSimpleRNNCell(RuntimeRateCell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateGRUCell(RuntimeRateCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateLSTMCell(RuntimeRateCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateConvLSTMCell(RuntimeRateCell, keras_internals.CONV_LSTM_CELL):
    """The cell of `keras.layers.ConvLSTM2D` with its rates in variables."""


LIFTED_CELLS: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.SimpleRNNCell: RuntimeRateSimpleRNNCell,
    keras.layers.GRUCell: RuntimeRateGRUCell,
    keras.layers.LSTMCell: RuntimeRateLSTMCell,
    keras_internals.CONV_LSTM_CELL: RuntimeRateConvLSTMCell,
}
"""The equivalent of each plain recurrent cell with its rates in variables."""


def lift(layer: keras.Layer) -> None:
    """Turn a plain dropout layer or recurrent cell into its equivalent, where it stands.

    Changing the class reaches layers inside other layers, which cannot be exchanged.

    Args:
        layer: a layer whose class is a key of `LIFTED` or `LIFTED_CELLS`, not a subclass of one.
            It belongs to a model of this package, never to a caller's.
    """
    layer.__class__ = (LIFTED | LIFTED_CELLS)[type(layer)]
    with keras_internals.state_may_be_added(layer):
        layer.create_variables()


def rate_in_variables(layer: keras.Layer, argument: str) -> RateInVariables | None:
    """Return what holds a rate of a layer in variables.

    Args:
        layer: the layer that applies dropout.
        argument: its argument that is the rate.

    Returns:
        The layer itself or, for a recurrent cell, one of its rates; None where the rate is no
        variable.
    """
    if isinstance(layer, RuntimeRate):
        return layer
    return layer.cell_rates.get(argument) if isinstance(layer, RuntimeRateCell) else None


def _dropped(
    inputs: Any,
    shape: Sequence[Any],
    coefficients: Sequence[keras.Variable],
    generator: keras.random.SeedGenerator,
) -> Any:
    """The inputs times a mask of this shape, as the backend's own dropout makes it."""
    zero = ops.cast(0, inputs.dtype)
    if _on_jax():
        # On JAX, Keras keeps values whose random number is below the keep probability, in
        # float32 for inputs of any dtype: the same distribution, but other masks.
        (keep,) = coefficients
        kept = keras.random.uniform(shape, dtype="float32", seed=generator) < keep
        return ops.where(kept, inputs / ops.cast(keep, inputs.dtype), zero)
    rate, scale = (ops.cast(c, inputs.dtype) for c in coefficients)
    kept = _uniform(shape, inputs.dtype, generator) >= rate
    return ops.where(kept, inputs * scale, zero)


def _on_jax() -> bool:
    return bool(keras.backend.backend() == "jax")


def _concrete_shape(inputs: Any, noise_shape: Sequence[int | None] | None) -> Sequence[Any]:
    shape: Sequence[Any] = ops.shape(inputs)
    if noise_shape is None:
        return shape
    return [shape[axis] if size is None else size for axis, size in enumerate(noise_shape)]


def _uniform(shape: Sequence[Any], dtype: Any, generator: keras.random.SeedGenerator) -> Any:
    """Uniform numbers in [0, 1), the same that the backend's own dropout compares with the rate."""
    if keras.backend.backend() != "tensorflow":
        return keras.random.uniform(shape, dtype=dtype, seed=generator)
    import tensorflow as tf

    # keras.random.uniform also scales by 1 and shifts by 0: two more passes for the same numbers.
    seed = tf.cast(tf.math.floormod(generator.next(), tf.int32.max - 1), tf.int32)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    return tf.raw_ops.StatelessRandomUniformV2(
        shape=shape,
        key=key,
        counter=counter,
        alg=1,
        dtype=dtype,  # 1 is Philox, as tf.random's
    )
