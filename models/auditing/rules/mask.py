"""Rules on the masks that are drawn: their shape, and the seeds that they are drawn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from numbers import Integral

from dropout_zoo.models.auditing.context import AuditView, mask_shape
from dropout_zoo.models.auditing.rules.base import Fault, named, rule


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
                f"{named(list(paths.values()))} have the same seed, {seed}",
                "keras.utils.set_random_seed(...)  # once, and no seed in the layers",
            )
