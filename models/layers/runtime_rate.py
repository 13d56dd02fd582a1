"""Dropout layers whose rate is a variable, so that one traced program serves every rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    """Base class of objects that hold a dropout rate in variables.

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
        """The numbers through which a rate enters the computation."""
        return (1.0 - rate,) if on_jax() else (rate, 1 / (1 - rate))

    def create_coefficients(self, layer: keras.Layer, prefix: str = "rate") -> None:
        """Create the variables.

        Args:
            layer: the layer that they belong to.
            prefix: what their names begin with.
        """
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

    The numbers through which a rate enters the computation, such as ``1 / (1 - rate)``, are
    computed in Python, as in Keras, and stored in variables. On TensorFlow and JAX the masks equal
    those of the plain layer; on TensorFlow the outputs are equal too, bit for bit. A rate of 0
    passes every value through unchanged; unlike the plain layer it advances the seed generator, as
    any other rate does.
    """

    seed: int | None

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the variables; called by Keras."""
        self.create_variables()
        super().build(input_shape)  # type: ignore[misc]

    def create_variables(self) -> None:
        """Create the variables that hold the rate, and the seed generator if there is none."""
        self.create_coefficients(self)
        if not hasattr(self, "seed_generator"):  # Keras creates none for a rate of 0
            self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply dropout during training; otherwise pass the inputs through."""
        return self.with_noise(inputs) if training else inputs

    def with_noise(self, inputs: Any) -> Any:
        """The inputs with single values, or whole feature maps, set to 0."""
        return dropped(inputs, self.noise_shape_of(inputs), self.coefficients, self.seed_generator)

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


LIFTED_LAYERS: dict[type[keras.Layer], type[keras.Layer]] = {
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


def dropped(
    inputs: Any,
    shape: Sequence[Any],
    coefficients: Sequence[keras.Variable],
    generator: keras.random.SeedGenerator,
) -> Any:
    """Set values to 0, and scale the others, with the masks of the backend's own dropout.

    Args:
        inputs: the values.
        shape: shape of the mask.
        coefficients: the rate in variables; see `RateInVariables.coefficients_of`.
        generator: what the mask is drawn from.

    Returns:
        The inputs with dropout.
    """
    zero = ops.cast(0, inputs.dtype)
    if on_jax():
        # On JAX, Keras keeps values whose random number is below the keep probability, in
        # float32 for inputs of any dtype: the same distribution, but different masks.
        (keep,) = coefficients
        kept = keras.random.uniform(shape, dtype="float32", seed=generator) < keep
        return ops.where(kept, inputs / ops.cast(keep, inputs.dtype), zero)
    rate, scale = (ops.cast(c, inputs.dtype) for c in coefficients)
    kept = _uniform(shape, inputs.dtype, generator) >= rate
    return ops.where(kept, inputs * scale, zero)


def save_all_but_last(count: int, save: Callable[[Any], None], store: Any) -> None:
    """Save the variables of a lifted layer as those of the plain one, which it had first.

    Args:
        count: number of variables that were added when the layer was lifted.
        save: saves all of them.
        store: where they are saved, by their number.
    """
    own: dict[str, Any] = {}
    save(own)
    for name in list(own)[: len(own) - count]:
        store[name] = own[name]


def on_jax() -> bool:
    """Return whether Keras runs on JAX, whose masks differ from those of TensorFlow."""
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
