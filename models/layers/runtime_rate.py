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


class RuntimeRate:
    """Base class of the layers below: a rate in variables, and a seed generator.

    The numbers that a rate enters the computation as, such as ``1 / (1 - rate)``, are computed in
    Python, as in Keras, and stored in variables. On TensorFlow and JAX the masks equal those of the
    plain layer; on TensorFlow the outputs are equal too, bit for bit. A rate of 0 passes every
    value through unchanged; unlike the plain layer it advances the seed generator, as any other
    rate does.

    Attributes:
        rate: fraction dropped, in [0, 1), before any factor of a schedule.
        coefficients: variables that hold the numbers computed from the rate.
    """

    rate: float
    seed: int | None
    coefficients: list[keras.Variable]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the variables; called by Keras."""
        self.create_variables()
        super().build(input_shape)  # type: ignore[misc]

    def create_variables(self) -> None:
        """Create the variables that hold the rate, and the seed generator if there is none."""
        self.coefficients = [
            self.add_weight(  # type: ignore[attr-defined]  # a method of keras.Layer
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                autocast=False,
                name=f"rate_coefficient_{index}",
            )
            for index, value in enumerate(self.coefficients_of(self.rate))
        ]
        if not hasattr(self, "seed_generator"):  # Keras creates none for a rate of 0
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def set_rate(self, rate: float) -> None:
        """Change the rate of the built layer without a new trace.

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

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply dropout during training; otherwise pass the inputs through."""
        return self.with_noise(inputs) if training else inputs

    def coefficients_of(self, rate: float) -> tuple[float, ...]:
        """The numbers that a rate enters the computation as."""
        return (1.0 - rate,) if _on_jax() else (rate, 1 / (1 - rate))

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with single values, or whole feature maps, set to 0."""
        shape, zero = self.noise_shape_of(inputs), ops.cast(0, inputs.dtype)
        if _on_jax():
            # On JAX, Keras keeps values whose random number is below the keep probability, in
            # float32 for inputs of any dtype: the same distribution, but other masks.
            (keep,) = self.coefficients
            kept = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < keep
            return ops.where(kept, inputs / ops.cast(keep, inputs.dtype), zero)
        rate, scale = (ops.cast(c, inputs.dtype) for c in self.coefficients)
        kept = _uniform(shape, inputs.dtype, self.seed_generator) >= rate
        return ops.where(kept, inputs * scale, zero)

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


def lift(layer: keras.Layer) -> None:
    """Turn a plain dropout layer into its runtime-rate equivalent, where it stands.

    Changing the class reaches layers inside other layers, which cannot be exchanged.

    Args:
        layer: a layer whose class is a key of `LIFTED`, not a subclass of one. It belongs to a
            model of this package, never to a caller's.
    """
    layer.__class__ = LIFTED[type(layer)]
    with keras_internals.state_may_be_added(layer):
        layer.create_variables()


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
