"""Custom layers that apply dropout or other noise, recognized by what they do."""

from __future__ import annotations

import inspect
import math
from contextlib import suppress
from numbers import Real
from weakref import WeakKeyDictionary

import keras
import numpy as np

from dropout_zoo.models.graph.model_graph import is_own_code
from dropout_zoo.models.graph.user_code import names_in_code
from dropout_zoo.models.keras_internals import direct_layers, seed_generators
from dropout_zoo.models.random_state import random_states_restored, variables_restored

_Shape = tuple[int | None, ...]

RATE_NAMES = ("rate", "drop_rate", "dropout_rate", "drop_prob", "dropout_prob", "p", "prob")
"""Attributes in which layers usually keep the fraction that they drop."""

# Functions that draw random numbers, or the module that has them, as code names them.
_DRAWING = {"random", "dropout", "bernoulli", "rand", "rand_like"}
# Elements of the input that a layer is tried on, and the numbers of examples in it. Each example
# may be dropped as a whole, so that a low rate takes many to show.
_ELEMENTS, _FEWEST, _MOST = 2**17, 8, 256
_LENGTH = 4  # of axes of any length
_CALLS = 8
# A rate is believed if what a layer does at these two follows from it. Where examples are dropped
# as a whole, it takes this many to tell; the share of those dropped is then known to 0.02.
_TRIED_RATES = (0.25, 0.75)
_EXAMPLES_TO_TELL, _MOST_CALLS = 2048, 64
_NEAR = 0.1
_WRITTEN_AS_THEY_ARE = (int, float, str, tuple, list, type(None))


def is_own_noise(layer: keras.Layer) -> bool:
    """Whether a custom layer changes its input at random, and in training alone.

    The layer is called to find out, if its code draws random numbers. All random states are set
    back. Only built layers without layers inside them are called.

    Args:
        layer: any layer.

    Returns:
        Whether its outputs differ from call to call in training, and equal its input at inference.
    """
    shape = _shape_if_may_draw(layer)
    if shape is None:
        return False
    with random_states_restored(), variables_restored(layer.variables):
        try:
            return _is_noise_on(layer, _inputs(shape))
        except Exception:  # the user's own code may raise anything
            return False


def rate_attribute(layer: keras.Layer) -> str:
    """Find the attribute that a custom noise layer reads its rate from in each call.

    To find out, the layer is called at several rates, and everything is set back.

    Args:
        layer: any layer.

    Returns:
        Its name; an empty string unless the layer is the identity at a rate of 0 and otherwise
        drops that fraction of its inputs, or multiplies them by noise as strong as that of dropout.
    """
    shape = _shape_if_may_draw(layer)
    if shape is None:
        return ""
    found = _FOUND.setdefault(type(layer), {})
    read = names_in_own_code(layer)
    for name in (name for name in RATE_NAMES if name in read and _is_rate(layer, name)):
        key = name, shape, _settings(layer, name)
        if key not in found:
            found[key] = _drops_at_rate(layer, name, shape)
        if found[key]:
            return name
    return ""


# By class of layers, what was found for those with the same settings: each clone has its own.
_FOUND: WeakKeyDictionary[type, dict[tuple[str, _Shape, str], bool]] = WeakKeyDictionary()


def rate_of_own_noise(layer: keras.Layer) -> tuple[str, float]:
    """Find the rate of a custom noise layer.

    Args:
        layer: the layer.

    Returns:
        The attribute in which layers usually keep it, and its value. An empty string and NaN if
        there is none with a value in [0, 1).
    """
    name = next((name for name in RATE_NAMES if _is_rate(layer, name)), "")
    return name, float(getattr(layer, name)) if name else math.nan


def names_in_own_code(layer: keras.Layer) -> set[str]:
    """The names of variables, attributes and modules in the methods of a custom layer.

    Methods that classes of Keras and of this package define are left out, and so is `__init__`.
    """
    return {
        name
        for each in own_classes(layer)
        for method, value in vars(each).items()
        if inspect.isfunction(value) and method != "__init__"
        for name in names_in_code(value.__code__)
    }


def own_classes(layer: keras.Layer) -> list[type]:
    """The classes of a layer that are neither of Keras nor of this package."""
    return [
        each
        for each in type(layer).__mro__
        if each.__module__.partition(".")[0] not in ("keras", "dropout_zoo", "builtins")
    ]


def _is_rate(layer: keras.Layer, name: str) -> bool:
    value = getattr(layer, name, None)
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1


def _settings(layer: keras.Layer, rate: str) -> str:
    """The attributes of a layer that may matter, besides its rate, as text."""
    held = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    written = {
        name: value if isinstance(value, _WRITTEN_AS_THEY_ARE) else type(value)
        for name, value in held.items()
        if name != rate
    }
    return repr((sorted(written.items()), layer.dtype_policy.name))


def _shape_if_may_draw(layer: keras.Layer) -> _Shape | None:
    """The shape of the inputs of a custom layer whose code draws random numbers."""
    if not is_own_code(layer) or isinstance(layer, keras.Model) or direct_layers(layer):
        return None
    if not layer.built or not (seed_generators(layer) or _DRAWING & names_in_own_code(layer)):
        return None
    shape = layer.get_build_config().get("input_shape")
    if not isinstance(shape, list | tuple) or not all(
        each is None or isinstance(each, int) for each in shape
    ):
        return None
    return tuple(shape)


def _drops_at_rate(layer: keras.Layer, name: str, shape: _Shape) -> bool:
    """Whether what a layer does to its inputs follows from an attribute."""
    before = getattr(layer, name)
    with random_states_restored(), variables_restored(layer.variables):
        try:
            x = _inputs(shape)
            if not np.array_equal(_called(layer, x, training=False), x):
                return False
            setattr(layer, name, 0.0)
            if any(not np.array_equal(_called(layer, x, training=True), x) for _ in range(_CALLS)):
                return False
            return all(_drops(layer, name, rate, x) for rate in _TRIED_RATES)
        except Exception:  # the user's own code may raise anything
            return False
        finally:
            with suppress(Exception):  # what could not be set need not be set back
                setattr(layer, name, before)


def _drops(layer: keras.Layer, name: str, rate: float, x: np.ndarray) -> bool:
    setattr(layer, name, rate)
    calls = min(max(_EXAMPLES_TO_TELL // len(x), _CALLS), _MOST_CALLS)
    shares, strengths = [], []
    for _ in range(calls):
        factors = _called(layer, x, training=True) / x
        shares.append(np.mean(factors == 0))
        strengths.append(np.mean((factors - 1) ** 2))
    # Dropout that scales what it keeps, and multiplicative noise, have the same variance.
    variance = rate / (1 - rate)
    dropped = abs(np.mean(shares) - rate) < _NEAR
    return bool(dropped or abs(np.mean(strengths) - variance) < _NEAR * variance)


def _inputs(shape: _Shape) -> np.ndarray:
    lengths = [_LENGTH if length is None else length for length in shape[1:]]
    examples = min(max(_ELEMENTS // max(math.prod(lengths), 1), _FEWEST), _MOST)
    # Numbers other than 0 that half precision can represent.
    return np.random.default_rng(0).integers(1, 100, (examples, *lengths)).astype("float32")


def _is_noise_on(layer: keras.Layer, x: np.ndarray) -> bool:
    if not np.array_equal(_called(layer, x, training=False), x):
        return False
    first = _called(layer, x, training=True)
    return first.shape == x.shape and any(
        not np.array_equal(_called(layer, x, training=True), first) for _ in range(_CALLS - 1)
    )


def _called(layer: keras.Layer, x: np.ndarray, *, training: bool) -> np.ndarray:
    outputs = layer(keras.ops.convert_to_tensor(x), training=training)
    return np.asarray(keras.ops.convert_to_numpy(outputs), "float32")
