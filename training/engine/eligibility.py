"""Which models an engine other than `Model.fit` can train."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from dropout_zoo.models.graph.model_graph import flat_layers, is_own_code, is_plain_model
from dropout_zoo.models.graph.runtime_rates import why_rates_are_fixed
from dropout_zoo.models.graph.sites import ATTENTION
from dropout_zoo.models.graph.training_methods import IN_STEPS, overridden_method
from dropout_zoo.models.keras_internals import (
    distribute_strategy,
    dropout_of_attention,
    seed_generators,
)

# Methods around the steps of training, which the engines replace. Those in the steps are called by
# the engine on TensorFlow as Keras calls them.
_AROUND_STEPS = ("fit", "evaluate", "make_train_function", "make_test_function")

_CONVOLUTIONS = (
    keras.layers.Conv1D, keras.layers.Conv1DTranspose, keras.layers.DepthwiseConv1D,
    keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D,
    keras.layers.Conv3D, keras.layers.Conv3DTranspose,
    keras.layers.SeparableConv1D, keras.layers.SeparableConv2D,
)  # fmt: skip


def why_only_model_fit(model: keras.Model) -> str | None:
    """Return why only `Model.fit` can train a model.

    Args:
        model: a compiled model.

    Returns:
        The reason, as the end of a sentence; None if an engine can train the model.
    """
    if keras.backend.backend() not in ("tensorflow", "jax"):
        return f"Keras uses {keras.backend.backend()}; the faster engines need TensorFlow or JAX"
    reason = _reason_in_training(model) or why_rates_are_fixed(model) or _reason_in_layers(model)
    if reason is None and keras.backend.backend() == "jax":
        return _reason_on_jax(model)
    return reason


def own_training_code(model: keras.Model) -> str | None:
    """Say where the code of a model itself takes part in its training.

    Such code may do anything. An engine trains the model only if it is seen to train as in
    `Model.fit`.

    Args:
        model: a compiled model.

    Returns:
        The place, as the end of a sentence; None if a step of training is that of Keras.
    """
    overridden = _overridden(model, IN_STEPS)
    if overridden is not None:
        return overridden
    for layer in [model, *flat_layers(model)]:
        if seed_generators(layer) and is_own_code(layer):
            return f"layer {layer.name!r} ({type(layer).__name__}) draws random numbers itself"
    return None


def has_own_attention(model: keras.Model) -> bool:
    """Return whether a layer of attention with dropout has code of the user's own."""
    return any(
        isinstance(layer, ATTENTION)
        and is_own_code(layer)
        and dropout_of_attention(layer) is not None
        for layer in flat_layers(model)
    )


def _overridden(model: keras.Model, names: Sequence[str]) -> str | None:
    name = overridden_method(model, names)
    return None if name is None else f"{type(model).__name__} has a custom {name}"


def _reason_in_training(model: keras.Model) -> str | None:
    reason = _overridden(model, _AROUND_STEPS)
    if reason is not None:
        return reason
    if model.run_eagerly:
        return "the model is compiled with run_eagerly=True"
    if keras.backend.backend() == "tensorflow":
        if model.jit_compile:
            return (
                "the model is compiled with jit_compile=True, Keras's default on a GPU; set "
                "KERAS_BACKEND=jax to train members together there"
            )
        if distribute_strategy(model) is not None:
            return "the model was created under a tf.distribute strategy"
    return None


def _reason_on_jax(model: keras.Model) -> str | None:
    import jax

    own = own_training_code(model)
    if own is not None:
        return f"{own}; the engine on JAX trains with the steps of Keras alone"
    if not model.jit_compile:
        return "the model is compiled with jit_compile=False, or one of its layers asks for it"
    if keras.distribution.distribution() is not None:
        return "a keras.distribution is set"
    if jax.default_backend() == "cpu":
        for layer in flat_layers(model):
            if isinstance(layer, _CONVOLUTIONS):
                return (
                    f"on a CPU, JAX computes convolutions such as {layer.name!r} many times more "
                    "slowly in a loop; use the TensorFlow backend"
                )
    return None


def _reason_in_layers(model: keras.Model) -> str | None:
    for layer in [*([] if is_plain_model(model) else [model]), *flat_layers(model)]:
        if getattr(layer, "stateful", False):
            return f"layer {layer.name!r} is stateful"
    return None
