"""Dropout layers that consume a seed even at rate 0, so that controls start from equal weights."""

from __future__ import annotations

import keras


def seeded_dropout(
    rate: float, name: str, layer_class: type[keras.layers.Dropout] = keras.layers.Dropout
) -> keras.layers.Dropout:
    """Create a dropout layer whose rate does not affect the initial weights of later layers.

    Keras creates no seed generator for a layer with rate 0, which shifts the random initial weights
    of every layer built after it: a control without dropout would start from other weights.

    Args:
        rate: fraction dropped, in [0, 1).
        name: name of the layer.
        layer_class: `Dropout` or a layer with the same arguments.

    Returns:
        The layer. Creating it has consumed one seed, whatever the rate.
    """
    return consume_seed(layer_class(rate, name=name))


def consume_seed(layer: keras.Layer) -> keras.Layer:
    """Draw the seed that a new dropout layer with rate 0 has not drawn, and return the layer."""
    if layer.rate == 0 and layer.seed is None and not hasattr(layer, "seed_generator"):
        keras.random.SeedGenerator()
    return layer
