"""What a seed determines: initial weights, the order of the data, and the dropout masks."""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from dropout_zoo.models.graph.cloning import (
    clone_model,
    cloned_layer,
    copy_layer_weights,
    layer_config,
)
from dropout_zoo.models.graph.model_graph import flat_layers, has_fixed_weights
from dropout_zoo.models.keras_internals import (
    global_seed_generator,
    seed_generators,
    set_initial_seed,
)
from dropout_zoo.models.random_state import random_states_restored

# Distinguish the random streams of one seed.
_ORDER_STREAM, _MASK_STREAM, _WEIGHT_STREAM, _BUILD_STREAM = 1, 2, 3, 4
_SEED_LIMIT = 2**31 - 1  # the largest seed that every backend's seed type holds


def fresh_weights(model: keras.Model, seed: int) -> list[np.ndarray]:
    """Draw initial weights for a model; they do not depend on its dropout rates.

    Frozen layers keep their weights, and so do layers that are adapted to data, such as
    `Normalization`. `seed` takes precedence over seeds of the initializers.

    Args:
        model: a Keras model.
        seed: a whole number of at least 0.

    Returns:
        Arrays in the order of ``model.get_weights()``.
    """
    numbers = itertools.count()

    def fresh_layer(layer: keras.Layer) -> keras.Layer:
        # Per layer, because a dropout layer draws a seed only if its rate is not 0.
        _seed_globals(_drawn(_WEIGHT_STREAM, seed, next(numbers)))
        return _layer_without_seeds(layer)

    with random_states_restored():
        _seed_globals(_drawn(_WEIGHT_STREAM, seed, 0))  # for models that are built as a whole
        clone = clone_model(model, fresh_layer)
    for old, new in zip(flat_layers(model), flat_layers(clone), strict=True):
        if has_fixed_weights(old):
            copy_layer_weights(old, new)
    return list(clone.get_weights())


def was_trained(model: keras.Model) -> bool:
    """Return whether the optimizer of a compiled model has updated its weights."""
    optimizer = model.optimizer
    return bool(optimizer is not None and optimizer.built and int(optimizer.iterations) > 0)


def batch_order(
    seed: int, epoch: int, count: int, order: str, rates: Mapping[str, float]
) -> np.ndarray:
    """Draw the order of the training examples in an epoch.

    Args:
        seed: the member's seed.
        epoch: number of the epoch, from 0.
        count: number of training examples.
        order: ``"paired"`` (depends on the seed only), ``"shared"`` (the same for every seed) or
            ``"independent"`` (depends on the seed and the rates).
        rates: the member's rates by site path.

    Returns:
        A permutation of ``range(count)``, int64.
    """
    entropy = [_ORDER_STREAM, epoch]
    if order != "shared":
        entropy.append(seed)
    if order == "independent":
        entropy.append(zlib.crc32(repr(sorted(rates.items())).encode()))
    return np.random.default_rng(entropy).permutation(count)


def mask_seed(seed: int, layer_index: int) -> int:
    """Return the seed of one layer's random numbers.

    Args:
        seed: the member's seed.
        layer_index: position of the layer in `flat_layers(model)`.

    Returns:
        A whole number from 0 to 2**31 - 2.
    """
    return _drawn(_MASK_STREAM, seed, layer_index)


def seed_masks(model: keras.Model, seed: int) -> None:
    """Set every seed generator of a model to the initial state for a member's seed.

    Args:
        model: the model.
        seed: the member's seed.
    """
    for generator, start in generator_seeds(model, seed):
        generator.state.assign([start, 0])
        set_initial_seed(generator, start)


def generator_seeds(
    model: keras.Model, seed: int
) -> Iterator[tuple[keras.random.SeedGenerator, int]]:
    """Yield each seed generator of a model with the seed that it starts from.

    Args:
        model: the model.
        seed: the member's seed.

    Yields:
        The generators in the order of the layers, each with a whole number from 0 to 2**31 - 2.
    """
    for index, layer in enumerate([*flat_layers(model), model]):  # it may draw numbers itself
        for offset, generator in enumerate(seed_generators(layer)):
            # Several generators in one layer are rare, but must differ.
            yield generator, (mask_seed(seed, index) + offset) % _SEED_LIMIT


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and Keras, and restore them at the end.

    A function that builds a model within the block gives it the same initial weights every time,
    because Keras's initializers draw from them, and `Model.fit` shuffles the batches of a
    `PyDataset` in the same way.

    Args:
        seed: a whole number of at least 0.

    Yields:
        Nothing.
    """
    with random_states_restored():
        _seed_globals(_drawn(_BUILD_STREAM, seed, 0))
        yield


def _drawn(stream: int, seed: int, index: int) -> int:
    state = np.random.SeedSequence([stream, seed, index]).generate_state(1)
    return int(state[0] % _SEED_LIMIT)


def _seed_globals(seed: int) -> None:
    # Keras's initializers draw their seeds from Python's generator; custom ones may use NumPy's, or
    # Keras's random functions without a seed.
    random.seed(seed)
    np.random.seed(seed)
    global_seed_generator().state.assign([seed, 0])


def _layer_without_seeds(layer: keras.Layer) -> keras.Layer:
    config = layer_config(layer)
    if not _drop_initializer_seeds(config):
        return cloned_layer(layer)
    return type(layer).from_config(config)


def _drop_initializer_seeds(config: Any) -> bool:
    """Set the seeds of the initializers in a configuration to None; return whether any was set."""
    if isinstance(config, list | tuple):
        dropped = [_drop_initializer_seeds(entry) for entry in config]  # no short-circuit
        return any(dropped)
    if not isinstance(config, dict):
        return False
    found = False
    for key, value in config.items():
        if key.endswith("initializer") and isinstance(value, dict):
            settings = value.get("config") or {}
            if settings.get("seed") is not None:
                settings["seed"], found = None, True
        else:
            found |= _drop_initializer_seeds(value)
    return found
