"""Models whose dropout rates are variables, so that one traced program serves every rate."""

from __future__ import annotations

import keras

from dropout_zoo.models.graph.cloning import clone_model, cloned_layer, compile_like, copy_weights
from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.models.layers.runtime_rate import LIFTED, RuntimeRate, lifted_layer


def with_runtime_rates(model: keras.Model) -> keras.Model:
    """Return a copy of a model whose dropout rates are variables and can change during training.

    Keras reads the `rate` of a plain dropout layer only once, when it traces the model; later
    changes have no effect. `with_rates` returns to plain layers.

    Args:
        model: a Sequential or Functional model, compiled or not.

    Returns:
        A new model with the same weights, compiled in the same way, with a new optimizer state.

    Raises:
        ValueError: a rate cannot become a variable; the message names it.
        TypeError: the model is neither Sequential nor Functional, or one of its layers cannot be
            cloned.

    Example:
        >>> from dropout_zoo.models import build_mlp, with_runtime_rates
        >>> model = with_runtime_rates(build_mlp())
        >>> layer = model.get_layer("hidden_1_dropout")
        >>> layer.set_rate(0.2)
        >>> layer.rate
        0.2
    """
    reason = why_rates_are_fixed(model)
    if reason is not None:
        raise ValueError(
            f"expected a model whose rates can become variables, received one where they cannot: "
            f"{reason}"
        )

    def clone_layer(layer: keras.Layer) -> keras.Layer:
        return lifted_layer(layer) if type(layer) in LIFTED else cloned_layer(layer)

    clone = clone_model(model, clone_layer)
    copy_weights(model, clone)
    compile_like(model, clone)
    return clone


def why_rates_are_fixed(model: keras.Model) -> str | None:
    """Say why the dropout rates of a model cannot all become variables.

    Args:
        model: a Keras model.

    Returns:
        The reason, worded as the end of a sentence; None if they can.
    """
    for site in dropout_sites(model):
        if isinstance(site.layer, RuntimeRate) or site.learned:
            continue
        if site.argument != "rate":
            return f"the recurrent layer {site.owner.name!r} fixes its {site.argument} in its code"
        if site.layer is not site.owner:
            return f"the layer {site.owner.name!r} fixes the rate of {site.path!r} inside it"
        if type(site.layer) not in LIFTED:
            return f"{site.path!r} is a {type(site.layer).__name__}, a custom dropout layer"
    return None


def runtime_layers(model: keras.Model) -> dict[str, RuntimeRate]:
    """The layers of a model whose rates are variables.

    Args:
        model: a Keras model.

    Returns:
        The layers by site path.
    """
    return {
        site.path: site.layer
        for site in dropout_sites(model)
        if isinstance(site.layer, RuntimeRate)
    }
