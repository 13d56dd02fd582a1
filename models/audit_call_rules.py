"""Rules on how dropout is called: masks, seeds, training switches, frozen models, speed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from numbers import Integral

import keras

from dropout_zoo.models.audit_operations import function_name
from dropout_zoo.models.audit_rule import Fault, rule
from dropout_zoo.models.audit_view import AuditView, Placed, before, mask_shape
from dropout_zoo.models.graph import flat_layers

_MANY = 3  # more names than this are counted instead


@rule(
    "DZ113",
    "warning",
    "dropout in a frozen base that still fires",
    why="`trainable = False` freezes weights, and puts batch normalisation into inference mode, "
    "but not dropout: `fit` draws masks for the features of the frozen base. "
    "`base(x, training=False)` does not help in a functional model, where `fit` sets training "
    "for every layer in the graph.",
    source="Keras: Functional.call hands its own `training` to each layer; checked on Keras "
    "3.15.1 by a test of this project",
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
def frozen_base_still_drops(view: AuditView) -> Iterator[Fault]:
    """Sites that are frozen, with nothing trainable before them."""
    if not view.model.trainable_weights:
        return
    groups: dict[str, list[Placed]] = defaultdict(list)
    for placed in view.placed:
        layer, call = placed.site.layer, placed.call
        if layer.trainable or not 0 < placed.site.rate < 1 or _is_trainable(call.operation):
            continue
        # In a GAN the frozen part lies behind what is trained: its dropout is then meant.
        if not before(call, lambda found: _is_trainable(found.operation)):
            frozen = [model for model in call.models if not model.trainable]
            groups[frozen[0].name if frozen else placed.site.path].append(placed)
    for name, group in groups.items():
        paths = list(dict.fromkeys(placed.site.path for placed in group))
        yield Fault(
            name,
            f"{name!r} is frozen, but {_named(paths)} still drop{'s' * (len(paths) == 1)} in fit",
            f"with_rates(model, {{{', '.join(f'{path!r}: 0.0' for path in paths)}}})",
            dict.fromkeys(paths, 0.0),
        )


def _is_trainable(operation: object) -> bool:
    return isinstance(operation, keras.Layer) and bool(operation.trainable_weights)


@rule(
    "DZ121",
    "warning",
    "training baked into a call",
    why="In a functional model `fit`, `evaluate` and `predict` set training for every layer and "
    "override the argument baked into a call; only `model(x)` without the argument obeys it. So "
    "`training=True` does not make `predict` a Monte-Carlo prediction, and `training=False` "
    "does not switch dropout off in `fit`.",
    source="Keras: Functional.call hands its own `training` to each layer; checked on Keras "
    "3.15.1 by a test of this project",
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
# for Monte-Carlo predictions: model(x, training=True), many times
""",
)
def training_baked_in(view: AuditView) -> Iterator[Fault]:
    """A call in the graph carries a training argument, and something drops in it."""
    for placed in view.placed:
        baked = placed.call.training
        if baked is None or not placed.site.rate > 0:
            continue
        if not baked.value and not placed.site.layer.trainable:
            continue  # a frozen base is DZ113's
        if baked.value:
            message = "drops in model(x), but not in predict() and evaluate()"
            fix = f"call {baked.path!r} without training; for Monte Carlo: model(x, training=True)"
        else:
            message = "still drops in fit()"
            fix = f"with_rates(model, {{{placed.site.path!r}: 0.0}}), or leave training out"
        yield Fault(
            baked.path,
            f"{baked.path!r} is called with training={baked.value}: {placed.site.path!r} {message}",
            fix,
        )


@rule(
    "DZ122",
    "error",
    "noise_shape drops whole examples",
    why="A mask with one entry for all of an example's values sets the example to 0, and one with "
    "a single entry the whole batch. That is right on a residual branch only, where the "
    "example goes on beside it (stochastic depth).",
    source="keras.layers.Dropout, noise_shape; Huang et al. 2016, arXiv:1603.09382",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.2, noise_shape=(None, 1)),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
inputs = keras.Input((64,))
branch = layers.Dense(64, activation="relu")(inputs)
branch = layers.Dropout(0.2, noise_shape=(None, 1))(branch)
x = layers.Add()([inputs, branch])
model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
""",
)
def noise_shape_drops_examples(view: AuditView) -> Iterator[Fault]:
    """One decision for all that an example has, or for the whole batch."""
    for placed in view.dropping:
        mask, path = mask_shape(placed), placed.site.path
        if mask is None or any(size != 1 for size in mask[1:]):
            continue
        if mask[0] is None and view.joins_residual(placed.call):
            continue
        what = "a whole batch" if mask[0] == 1 else "whole examples"
        yield Fault(
            path,
            f"{path!r} sets {what} to 0: noise_shape={placed.site.layer.noise_shape}",
            f"layers.Dropout({placed.site.rate:g})  # without noise_shape, in place of {path!r}",
        )


@rule(
    "DZ123",
    "warning",
    "one mask for the whole batch",
    why="With 1 as the first entry of noise_shape every example of a batch loses the same units: "
    "fewer thinned nets are seen in an epoch, and the gradient is noisier. None stands for the "
    "size of the batch.",
    source="keras.layers.Dropout, noise_shape; Srivastava et al. 2014, Section 5.1: a thinned "
    "net for each training case in a mini-batch",
    bad="""
model = keras.Sequential([
    keras.Input((30, 20)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.3, noise_shape=(1, 1, 64)),
    layers.LSTM(32),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((30, 20)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.3, noise_shape=(None, 1, 64)),
    layers.LSTM(32),
    layers.Dense(10, activation="softmax"),
])
""",
)
def one_mask_for_the_batch(view: AuditView) -> Iterator[Fault]:
    """The mask has length 1 along the batch, and the batch may be longer."""
    for placed in view.dropping:
        mask, path = mask_shape(placed), placed.site.path
        shape = placed.call.shapes[0] if placed.call.shapes else (None,)
        if mask and mask[0] == 1 and shape[0] != 1 and any(size != 1 for size in mask[1:]):
            yield Fault(
                path,
                f"{path!r} draws one mask for all examples of a batch: "
                f"noise_shape={placed.site.layer.noise_shape}",
                f"layers.Dropout({placed.site.rate:g}, noise_shape={(None, *mask[1:])})"
                f"  # in place of {path!r}",
            )


@rule(
    "DZ124",
    "warning",
    "one fixed seed shared by several layers",
    why="Layers with the same seed draw the same random numbers at every step: layers of the same "
    "shape drop the same units, where dropout wants them independent.",
    source="keras.random.SeedGenerator; Srivastava et al. 2014, Section 4: independent Bernoulli "
    "variables",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5, seed=42),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5, seed=42),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
keras.utils.set_random_seed(42)
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def shared_seed(view: AuditView) -> Iterator[Fault]:
    """Several layers that drop have the same whole number as their seed."""
    by_seed: dict[int, dict[int, str]] = defaultdict(dict)
    for site in view.sites:
        seed = getattr(site.layer, "seed", None)
        if isinstance(seed, Integral) and site.rate > 0:
            by_seed[int(seed)].setdefault(id(site.layer), site.path)
    for seed, paths in by_seed.items():
        if len(paths) > 1:
            first = next(iter(paths.values()))
            yield Fault(
                first,
                f"{_named(list(paths.values()))} have the same seed, {seed}",
                "keras.utils.set_random_seed(...)  # once, and no seed in the layers",
            )


@rule(
    "DZ125",
    "note",
    "recurrent_dropout rules out cuDNN",
    why="On a GPU, LSTM and GRU run in one cuDNN kernel unless recurrent_dropout is above 0: then "
    "step by step, several times slower. `dropout` alone is fine.",
    source="Keras: LSTM.inner_loop and GRU.inner_loop; Gal and Ghahramani 2016, arXiv:1512.05287, "
    "for what it is good for",
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
def recurrent_dropout_without_cudnn(view: AuditView) -> Iterator[Fault]:
    """An LSTM or GRU that cuDNN could run, but for its recurrent dropout."""
    paths: dict[str, float] = {}
    for layer in flat_layers(view.model):
        if isinstance(layer, (keras.layers.LSTM, keras.layers.GRU)) and _suits_cudnn(layer):
            for site in view.sites:
                if site.layer is layer.cell and site.argument == "recurrent_dropout":
                    paths[site.path] = site.rate
    for path, rate in paths.items():
        yield Fault(
            path,
            f"{path!r} = {rate:g} keeps the layer from running in cuDNN",
            f"with_rates(model, {{{path!r}: 0.0}})  # if speed on a GPU matters more",
        )


def _suits_cudnn(layer: keras.Layer) -> bool:
    """Whether everything but the recurrent dropout suits Keras's cuDNN kernels."""
    return (
        layer.use_cudnn in ("auto", True)
        and function_name(layer.activation) == "tanh"
        and function_name(layer.recurrent_activation) == "sigmoid"
        and layer.use_bias
        and not layer.unroll
        and getattr(layer, "reset_after", True)
    )


def _named(paths: list[str]) -> str:
    shown = ", ".join(map(repr, paths[:_MANY]))
    return shown if len(paths) <= _MANY else f"{shown} and {len(paths) - _MANY} more"
