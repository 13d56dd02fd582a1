"""Rules on calls of dropout: `training` arguments, frozen models, speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, any_before
from dropout_zoo.models.auditing.predicates import function_name
from dropout_zoo.models.auditing.rules.base import Fault, list_paths, rule
from dropout_zoo.models.graph.model_graph import GraphCall, flat_layers


@rule(
    "DZ113",
    "warning",
    "active dropout in a frozen base model",
    why="`trainable = False` freezes weights and puts batch normalization into inference mode, but "
    "not dropout: `fit` still drops features of the frozen base. `base(x, training=False)` does "
    "not help in a functional model, where `fit` sets `training` for every layer of the graph.",
    source="Keras: Functional.call passes its own `training` argument to each layer; verified for "
    "Keras 3.15.1 by a test of this project",
    bad="""
base = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5, name="drop"),
    layers.Dense(32, activation="relu"),
], name="base")
base.trainable = False
inputs = keras.Input((20,))
features = base(inputs, training=False)
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(features))
""",
    good="""
from dropout_zoo.models import with_rates

base = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5, name="drop"),
    layers.Dense(32, activation="relu"),
], name="base")
base = with_rates(base, {"drop": 0.0})
base.trainable = False
inputs = keras.Input((20,))
features = base(inputs)
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(features))
""",
)
def frozen_base_still_drops(context: AuditContext) -> Iterator[Fault]:
    """Frozen sites with nothing trainable before them."""
    if not context.model.trainable_weights:
        return
    groups: dict[str, list[PlacedSite]] = defaultdict(list)
    for placed in context.placed:
        layer, call = placed.site.layer, placed.call
        if layer.trainable or not 0 < placed.site.rate < 1 or _is_trainable(call.operation):
            continue
        # In a GAN the frozen discriminator comes after the trained part: its dropout is wanted.
        if not any_before(call, _calls_trainable):
            frozen = [model for model in call.models if not model.trainable]
            groups[frozen[0].name if frozen else placed.site.path].append(placed)
    for name, group in groups.items():
        paths = list(dict.fromkeys(placed.site.path for placed in group))
        yield Fault(
            name,
            f"{name!r} is frozen, but {list_paths(paths)} still drop{'s' * (len(paths) == 1)} "
            "values in fit",
            f"with_rates(model, {{{', '.join(f'{path!r}: 0.0' for path in paths)}}})",
            dict.fromkeys(paths, 0.0),
        )


def _calls_trainable(call: GraphCall) -> bool:
    return _is_trainable(call.operation)


def _is_trainable(operation: object) -> bool:
    return isinstance(operation, keras.Layer) and bool(operation.trainable_weights)


@rule(
    "DZ121",
    "warning",
    "a layer called with a fixed training argument",
    why="In a functional model, `fit`, `evaluate` and `predict` set `training` for every layer and "
    "override the argument of the call; only `model(x)` without the argument respects it. So "
    "`training=True` does not turn `predict` into Monte Carlo dropout, and `training=False` does "
    "not switch dropout off in `fit`.",
    source="Keras: Functional.call passes its own `training` argument to each layer; verified for "
    "Keras 3.15.1 by a test of this project",
    bad="""
inputs = keras.Input((20,))
x = layers.Dense(64, activation="relu")(inputs)
x = layers.Dropout(0.5)(x, training=True)
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
""",
    good="""
inputs = keras.Input((20,))
x = layers.Dense(64, activation="relu")(inputs)
x = layers.Dropout(0.5)(x)
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
# for Monte Carlo predictions: call model(x, training=True) many times
""",
)
def fixed_training_argument(context: AuditContext) -> Iterator[Fault]:
    """A call in the graph has a `training` argument, and the layer applies dropout."""
    for placed in context.placed:
        argument = placed.call.training
        if argument is None or not placed.site.rate > 0:
            continue
        if not argument.value and not placed.site.layer.trainable:
            continue  # a frozen base is reported by DZ113
        if argument.value:
            message = "is active in model(x), but not in predict() and evaluate()"
            fix = (
                f"call {argument.path!r} without training; for Monte Carlo: model(x, training=True)"
            )
        else:
            message = "is still active in fit()"
            fix = f"with_rates(model, {{{placed.site.path!r}: 0.0}}), or omit training"
        yield Fault(
            argument.path,
            f"{argument.path!r} is called with training={argument.value}: "
            f"{placed.site.path!r} {message}",
            fix,
        )


@rule(
    "DZ125",
    "note",
    "recurrent_dropout prevents the use of cuDNN",
    why="On a GPU, LSTM and GRU layers run as one cuDNN kernel. With `recurrent_dropout` above 0 "
    "they run step by step, several times slower. `dropout` alone does not prevent cuDNN.",
    source="Keras: LSTM.inner_loop and GRU.inner_loop; for the benefits of recurrent dropout, Gal "
    "and Ghahramani 2016, arXiv:1512.05287",
    bad="""
model = keras.Sequential([
    keras.Input((30, 20)),
    layers.LSTM(32, dropout=0.2, recurrent_dropout=0.2),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((30, 20)),
    layers.LSTM(32, dropout=0.2),
    layers.Dense(10, activation="softmax"),
])
""",
)
def recurrent_dropout_without_cudnn(context: AuditContext) -> Iterator[Fault]:
    """An LSTM or GRU that only its recurrent dropout keeps from using cuDNN."""
    paths: dict[str, float] = {}
    for layer in flat_layers(context.model):
        if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)) and _suits_cudnn(layer):
            for site in context.sites:
                if site.layer is layer.cell and site.argument == "recurrent_dropout":
                    paths[site.path] = site.rate
    for path, rate in paths.items():
        yield Fault(
            path,
            f"{path!r} = {rate:g} prevents the layer from using cuDNN",
            f"with_rates(model, {{{path!r}: 0.0}})  # if speed on a GPU matters more",
        )


def _suits_cudnn(layer: keras.Layer) -> bool:
    """Whether Keras could use cuDNN for a layer if it had no recurrent dropout."""
    return (
        layer.use_cudnn in ("auto", True)
        and function_name(layer.activation) == "tanh"
        and function_name(layer.recurrent_activation) == "sigmoid"
        and layer.use_bias
        and not layer.unroll
        and getattr(layer, "reset_after", True)
    )
