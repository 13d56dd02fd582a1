"""Models with dropout layers added to their graph, or taken out of it."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.cloning import is_built_again
from dropout_zoo.models.graph.compilation import compile_like
from dropout_zoo.models.graph.dropout_places import Place, find_places
from dropout_zoo.models.graph.graph_changes import GraphChanges
from dropout_zoo.models.graph.model_graph import (
    check_is_model,
    flat_layers,
    is_plain_model,
    read_graph,
)
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY, dropout_sites
from dropout_zoo.models.graph.training_methods import IN_STEPS
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.models.layers.stochastic_depth import StochasticDepth

_BY_RANK = {4: keras.layers.SpatialDropout2D, 5: keras.layers.SpatialDropout3D}


def with_dropout(model: keras.Model, rates: Mapping[str, float]) -> keras.Model:
    """Return a copy of a model with more dropout layers, such as of a pretrained network.

    Weights, names and compilation stay, and so do the outputs at inference. The copy is a plain
    Keras model, which saves and loads as any other; `StochasticDepth` is known to Keras once
    `dropout_zoo.models` is imported.

    The layer that fits is added: `keras.layers.SpatialDropout2D` (or 3D), which drops whole
    channels, on feature maps; `StochasticDepth`, which drops a branch for whole examples, at the
    end of residual branches; and `keras.layers.Dropout` elsewhere.

    Args:
        model: a Sequential or Functional model, which may contain others, such as one of
            `keras.applications`; built, compiled or not.
        rates: rate (fraction dropped, in [0, 1)) by place:

            - ``"input"``: on each input, after layers that only scale it.
            - ``"before the classifier"``: before the last layer with weights in front of each
              output.
            - ``"after each block"``: after each addition of a residual branch; in a network
              without residual branches, after each pooling that no branch bypasses.
            - ``"in each residual branch"``: at the end of each branch, before the addition.
            - ``"before NAME"``, ``"after NAME"``: before or after the layer of that name. The name
              of a layer in a nested model begins with that of the model, as in
              ``"resnet50/conv5_block3_out"``.

    Returns:
        The copy. Its new layers are named after their places, such as
        ``dropout_before_predictions``.

    Raises:
        ValueError: the model is not built, there is no such place, it is an output or inside a
            wrapper, there is dropout already or twice, what is there cannot be set to 0 (such as
            indices), or a rate is out of range.
        TypeError: the model is not a Sequential or Functional model, has methods of training or a
            call of its own, or cannot be cloned.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import dropout_sites, with_dropout
        >>> model = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(16, activation="relu", name="hidden"),
        ...     keras.layers.Dense(3, activation="softmax", name="classes"),
        ... ])
        >>> model = with_dropout(model, {"input": 0.1, "before the classifier": 0.4})
        >>> [(site.path, site.rate) for site in dropout_sites(model)]
        [('dropout_before_hidden', 0.1), ('dropout_before_classes', 0.4)]
    """
    check_is_model(model)
    found = f"{type(model).__name__} {model.name!r}"
    if is_plain_model(model) and not is_built_again(model):
        found = _own_methods(model)
    if found:
        raise TypeError(
            "expected a Sequential or Functional model, whose graph can be changed, received "
            f"{found}; add dropout in its code"
        )
    if not model.built:
        raise ValueError(
            f"expected a model that is built, received {model.name!r}; call it once, or give it a "
            "keras.Input"
        )
    copy = with_rates(model, {})
    changes = GraphChanges()
    taken = {layer.name for layer in flat_layers(copy)}
    dropping = {
        id(site.layer)
        for site in dropout_sites(copy)
        if isinstance(site.layer, DROPOUT_FAMILY) or site.own_noise
    }
    before, after = set[int](), set[int]()
    for name, rate in rates.items():
        check_rate(rate, f"the rate {name!r}")
        for place in find_places(copy, name, dropping):
            changes.add(_layer_for(place, rate, taken), place.call.operation, place.index, name)
            (after if place.index is None else before).update(place.sources)
            if before & after:
                raise ValueError(
                    f"expected places that differ, received {name!r}, which is one of the others"
                )
    return _changed(copy, changes)


def without_dropout(model: keras.Model) -> keras.Model:
    """Return a copy of a model without dropout.

    Dropout layers are taken out of its graph; rates in other layers, such as those of recurrent
    and attention layers, become 0. Weights, names and compilation stay, and so do the outputs at
    inference.

    Args:
        model: any model that `with_rates` takes. In subclassed models and custom layers all rates
            become 0, but the layers stay.

    Returns:
        The copy.

    Raises:
        TypeError: the model or one of its layers cannot be cloned.

    Warns:
        UserWarning: the rate of a site cannot be set, and is kept.

    Example:
        >>> from dropout_zoo.models import build_mlp, without_dropout
        >>> [layer.name for layer in without_dropout(build_mlp()).layers]
        ['flatten', 'hidden_1', 'hidden_2', 'classifier']
    """
    check_is_model(model)
    copy = with_rates(model, 0.0)
    graph = read_graph(copy)
    if graph is None or not copy.built or is_built_again(copy) or _own_methods(copy):
        return copy
    changes = GraphChanges()
    outputs = {id(call.operation) for call in graph.calls if call.is_output}  # they have names
    for site in dropout_sites(copy):
        own_layer = site.layer is site.owner and isinstance(site.layer, DROPOUT_FAMILY)
        if own_layer and id(site.layer) not in outputs:
            changes.leave_out(site.layer)
    return _changed(copy, changes)


def _own_methods(model: keras.Model) -> str:
    """Say which model has methods of its own that a plain model would lack; empty if none has."""
    for each in filter(is_plain_model, [model, *flat_layers(model)]):
        for name in (*IN_STEPS, "call"):
            owner = next(kind for kind in type(each).__mro__ if name in vars(kind))
            if owner.__module__.partition(".")[0] not in ("keras", "keras_hub"):
                return f"{type(each).__name__} {each.name!r}, which has a {name} of its own"
    return ""


def _layer_for(place: Place, rate: float, taken: set[str]) -> keras.layers.Dropout:
    kind: type[keras.layers.Dropout] = keras.layers.Dropout
    if place.on_branch:
        kind = StochasticDepth
    elif not place.is_input and any(length != 1 for length in place.shape[1:-1]):
        kind = _BY_RANK.get(len(place.shape), kind)
    first = f"dropout_{place.name.replace(' ', '_').replace('/', '_')}"
    name, number = first, 1
    while name in taken:
        number += 1
        name = f"{first}_{number}"
    taken.add(name)
    beside = place.call.operation
    options = {"dtype": beside.dtype_policy} if isinstance(beside, keras.Layer) else {}
    if kind in _BY_RANK.values():
        options["data_format"] = getattr(beside, "data_format", None)
    return kind(rate, name=name, **options)


def _changed(copy: keras.Model, changes: GraphChanges) -> keras.Model:
    """Return the changed model; the layers of the copy become its own."""
    if changes.is_empty:
        return copy
    changed = changes.applied_to(copy)
    compile_like(copy, changed)
    return changed
