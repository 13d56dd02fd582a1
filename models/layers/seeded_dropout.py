"""Dropout layers that draw a seed even at rate 0, so that a control starts from equal weights."""

from __future__ import annotations

import keras


def seeded_dropout(
    rate: float, name: str, layer_class: type[keras.layers.Dropout] = keras.layers.Dropout
) -> keras.layers.Dropout:
    """Make a dropout layer that leaves the layers after it alone when its rate is 0.

    Keras gives a layer with rate 0 no seed generator, which shifts the random initial weights of
    every layer built after it: a control without dropout would start from other weights.

    Args:
        rate: fraction dropped, in [0, 1).
        name: the layer's name.
        layer_class: `Dropout` or one of its kin.

    Returns:
        The layer; making it has drawn one seed, whatever the rate.
    """
    return seed_drawn(layer_class(rate, name=name))


def seed_drawn(layer: keras.Layer) -> keras.Layer:
    """Draw the seed that a new dropout layer with rate 0 has not drawn, and hand the layer on."""
    if layer.rate == 0 and layer.seed is None and not hasattr(layer, "seed_generator"):
        keras.random.SeedGenerator()
    return layer
