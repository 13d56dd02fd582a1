"""Models whose dropout rates are variables: one traced program serves every rate."""

from __future__ import annotations

import keras

from dropout_zoo.models.graph.cloning import clone_model, compile_alike, copy_weights, same_layer
from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.models.layers.runtime_rate import LIFTED, RuntimeRate, lifted_layer


def with_runtime_rates(model: keras.Model) -> keras.Model:
    """Build the same model with every dropout rate as a variable, which may change while training.

    Keras reads the `rate` of a plain dropout layer once, when it traces the model; later changes
    have no effect. `with_rates` is the way back to plain layers.

    Args:
        model: a Sequential or Functional model, compiled or not.

    Returns:
        A new model with the same weights, compiled the same way. The optimizer starts anew.

    Raises:
        ValueError: a rate cannot be made a variable; the message names it.
        TypeError: the model is neither Sequential nor Functional, or one of its layers cannot be
            cloned.
    """
    reason = why_rates_are_fixed(model)
    if reason is not None:
        raise ValueError(f"expected dropout rates that can be variables, but {reason}")

    def clone_layer(layer: keras.Layer) -> keras.Layer:
        return lifted_layer(layer) if type(layer) in LIFTED else same_layer(layer)

    clone = clone_model(model, clone_layer)
    copy_weights(model, clone)
    compile_alike(model, clone)
    return clone


def why_rates_are_fixed(model: keras.Model) -> str | None:
    """Say why a model's dropout rates cannot all be variables.

    Args:
        model: a Keras model.

    Returns:
        The reason, as the end of a sentence; None where nothing is in the way.
    """
    for site in dropout_sites(model):
        if isinstance(site.layer, RuntimeRate) or site.learnt:
            continue
        if site.argument != "rate":
            return (
                f"the {site.argument} of recurrent layer {site.owner.name!r} is fixed by its code"
            )
        if site.layer is not site.owner:
            return f"the rate of {site.path!r} is fixed by the layer {site.owner.name!r} around it"
        if type(site.layer) not in LIFTED:
            return (
                f"{site.path!r} is a {type(site.layer).__name__}, a dropout layer of its own kind"
            )
    return None


def runtime_layers(model: keras.Model) -> dict[str, RuntimeRate]:
    """The layers of a model whose rates are variables.

    Args:
        model: a Keras model.

    Returns:
        The layers by the paths of their sites.
    """
    return {
        site.path: site.layer
        for site in dropout_sites(model)
        if isinstance(site.layer, RuntimeRate)
    }
