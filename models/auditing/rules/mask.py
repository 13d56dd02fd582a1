"""Rules on dropout masks: their shapes and their seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from numbers import Integral

from dropout_zoo.models.auditing.context import AuditContext, mask_shape
from dropout_zoo.models.auditing.rules.base import Fault, list_paths, rule


@rule(
    "DZ122",
    "error",
    "noise_shape drops whole examples",
    why="A mask with one entry per example sets whole examples to 0, and a mask with a single "
    "entry sets whole batches to 0. That is right only on a residual branch, where the shortcut "
    "still carries the example (stochastic depth).",
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
def noise_shape_drops_examples(context: AuditContext) -> Iterator[Fault]:
    """The mask has one entry per example, or one for the whole batch."""
    for placed in context.dropping:
        mask, path = mask_shape(placed), placed.site.path
        if mask is None or any(size != 1 for size in mask[1:]):
            continue
        if mask[0] is None and context.joins_residual(placed.call):
            continue
        what = "a whole batch" if mask[0] == 1 else "whole examples"
        yield Fault(
            path,
            f"{path!r} sets {what} to 0: noise_shape={placed.site.layer.noise_shape}",
            f"layers.Dropout({placed.site.rate:g})  # without noise_shape, instead of {path!r}",
        )


@rule(
    "DZ123",
    "warning",
    "one mask for the whole batch",
    why="With 1 as the first entry of `noise_shape`, every example of a batch loses the same "
    "units: an epoch samples fewer thinned networks, and gradients are noisier. None stands for "
    "the batch size.",
    source="keras.layers.Dropout, noise_shape; Srivastava et al. 2014, Section 5.1: a thinned "
    "network for each training case in a mini-batch",
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
def one_mask_for_the_batch(context: AuditContext) -> Iterator[Fault]:
    """The mask has length 1 along the batch axis, and a batch may have more examples."""
    for placed in context.dropping:
        mask, path = mask_shape(placed), placed.site.path
        shape = placed.call.shapes[0] if placed.call.shapes else (None,)
        if mask and mask[0] == 1 and shape[0] != 1 and any(size != 1 for size in mask[1:]):
            yield Fault(
                path,
                f"{path!r} uses one mask for all examples of a batch: "
                f"noise_shape={placed.site.layer.noise_shape}",
                f"layers.Dropout({placed.site.rate:g}, noise_shape={(None, *mask[1:])})"
                f"  # instead of {path!r}",
            )


@rule(
    "DZ124",
    "warning",
    "several layers with the same fixed seed",
    why="Layers with the same seed draw the same random numbers at every step: layers of the same "
    "shape drop the same units, although their masks should be independent.",
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
def shared_seed(context: AuditContext) -> Iterator[Fault]:
    """Several layers that apply dropout have the same integer as their seed."""
    by_seed: dict[int, dict[int, str]] = defaultdict(dict)
    for site in context.sites:
        seed = getattr(site.layer, "seed", None)
        if isinstance(seed, Integral) and site.rate > 0:
            by_seed[int(seed)].setdefault(id(site.layer), site.path)
    for seed, paths in by_seed.items():
        if len(paths) > 1:
            first = next(iter(paths.values()))
            yield Fault(
                first,
                f"{list_paths(list(paths.values()))} have the same seed, {seed}",
                "keras.utils.set_random_seed(...)  # once, instead of seeds in the layers",
            )
