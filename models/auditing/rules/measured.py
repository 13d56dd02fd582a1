"""Rules on measurements, which `dropout_zoo.studies.examine` takes."""

from __future__ import annotations

from collections.abc import Iterator

from dropout_zoo.models.auditing.measurements import MeasuredMetric, Measurements, mean_metrics
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.auditing.rules.batch_norm import LI
from dropout_zoo.models.guidance import SRIVASTAVA

VARIANCE_SHIFT = 1.25
"""Factor between the variances during training and at inference above which they are reported."""

SAME_RESULT = 1e-5
"""Relative difference below which the losses of two runs count as equal."""


@rule(
    "DZ301",
    "error",
    "loss and labels do not match",
    why="Keras broadcasts shapes where it can: with outputs and labels of different shapes, "
    "training may run without an error, and the loss is meaningless.",
    source="keras.losses; dropout_zoo.training.targets_for has the labels that each loss expects",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy")  # but the labels have ten classes
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
""",
)
def loss_and_labels_do_not_fit(measured: Measurements) -> Iterator[Fault]:
    """The labels cannot be converted to the form that the loss expects."""
    if measured.loss_mismatch is not None:
        yield Fault(
            "", measured.loss_mismatch, "model.compile(optimizer, a loss that matches the labels)"
        )


@rule(
    "DZ302",
    "error",
    "from_logits does not match the outputs",
    why="With `from_logits=True` the loss applies a softmax or sigmoid itself; applied to "
    "probabilities, it hardly learns. With `from_logits=False`, logits are treated as "
    "probabilities, clipped and normalized, and the loss is meaningless.",
    source="keras.losses.CategoricalCrossentropy, from_logits; measured on one batch, and on the "
    "same batch multiplied by 100",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(10),
])
model.compile("adam", "sparse_categorical_crossentropy")
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(10),
])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
""",
)
def from_logits_does_not_match(measured: Measurements) -> Iterator[Fault]:
    """The loss expects logits and receives probabilities, or the other way round."""
    if measured.probabilities is None or measured.from_logits is not measured.probabilities:
        return
    names = ("logits", "probabilities")
    are, wants = names[measured.probabilities], names[not measured.probabilities]
    yield Fault(
        "",
        f"the outputs are {are}, but the loss, with from_logits={measured.from_logits}, expects "
        f"{wants}",
        f"compile with a loss that has from_logits={not measured.from_logits}",
    )


@rule(
    "DZ303",
    "note",
    "training metric worse than validation only because of dropout",
    why="Keras computes the training metric with dropout on and the validation metric with dropout "
    "off. With dropout off and the same weights, training is at least as good as validation: "
    "nothing is wrong with the data or the split.",
    source=f"{SRIVASTAVA}, Section 4: no unit is dropped at test time",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(128, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(128, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(128, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
)
def below_validation_by_dropout(measured: Measurements) -> Iterator[Fault]:
    """Training is worse than validation with dropout on, but not with dropout off."""

    def explained(each: MeasuredMetric) -> bool:
        sign = 1 if each.larger_is_better else -1
        return sign * each.dropout_on < sign * each.validation <= sign * each.training

    if not measured.metrics or not all(map(explained, measured.metrics)):
        return
    numbers = mean_metrics(measured.metrics)
    name = measured.metrics[0].name
    yield Fault(
        "",
        f"training {name} is {numbers['training_dropout_on']:.3g} with dropout on and "
        f"{numbers['training_dropout_off']:.3g} with dropout off; validation {name} is "
        f"{numbers['validation']:.3g} (means of {len(measured.metrics)} seeds)",
        "model.evaluate(x_train, y_train)  # dropout is off: compare this with validation",
        numbers=numbers,
    )


@rule(
    "DZ304",
    "warning",
    "measured variance shift",
    why="Batch normalization divides by the variance that it has learned with dropout on. At "
    f"inference the variance differs from it, here by a factor of more than {VARIANCE_SHIFT}.",
    source=LI,
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.BatchNormalization(),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(64, activation="relu"),
    layers.BatchNormalization(),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
)
def variance_shift(measured: Measurements) -> Iterator[Fault]:
    """The inputs of batch normalization have a different variance in training than at inference."""
    for path, (norm, ratio) in measured.variance_ratios.items():
        if norm and not 1 / VARIANCE_SHIFT <= ratio <= VARIANCE_SHIFT:
            yield Fault(
                path,
                f"because of {path!r}, the inputs of batch normalization {norm!r} have "
                f"{ratio:.2f} times the variance in training that they have at inference",
                f"move {path!r} after the last batch normalization",
                numbers={"variance_ratio": ratio},
            )


@rule(
    "DZ305",
    "warning",
    "the model overfits with these rates",
    why="The gap between training and validation loss grows, or the validation loss rises; both "
    "are measured with dropout off. More dropout, or another regularizer, may help.",
    source="dropout_zoo.studies.verdict, paired with a control without dropout",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(128, activation="relu"),
    layers.Dense(128, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(10, activation="softmax", kernel_regularizer=keras.regularizers.L2(0.05)),
])
model.compile("adam", "sparse_categorical_crossentropy")
""",
)
def overfits(measured: Measurements) -> Iterator[Fault]:
    """The studies' verdict is overfitting."""
    if measured.verdict == "overfitting":
        yield _by_verdict(measured)


@rule(
    "DZ306",
    "warning",
    "these rates hold training back without any gain",
    why="The training loss, measured with dropout off, is worse than that of the same model "
    "without dropout, and the validation loss is no better: the model underfits or is "
    "over-regularized. The rates are too high for this model and data, or training is too short "
    "for them.",
    source="dropout_zoo.studies.verdict, paired with a control without dropout",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.9),
    layers.Dense(10, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.2),
    layers.Dense(10, activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
""",
)
def underfits(measured: Measurements) -> Iterator[Fault]:
    """The verdict is underfitting or over-regularized, in comparison with the control."""
    if measured.verdict in ("underfitting", "over-regularized"):
        yield _by_verdict(measured)


def _by_verdict(measured: Measurements) -> Fault:
    return Fault("", measured.sentence, measured.advice, numbers=measured.verdict_numbers)


@rule(
    "DZ307",
    "warning",
    "different results from the same seed",
    why="Two runs with the same seed (initial weights, data order, masks) end with different "
    "losses: something draws random numbers that the seed does not determine, so that settings "
    "cannot be compared in pairs.",
    source=f"two runs compared; a relative difference below {SAME_RESULT:g} is attributed to "
    "rounding",
    bad="""
import tensorflow as tf

class UnseededNoise(layers.Layer):
    def call(self, inputs, training=False):
        return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs

model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    UnseededNoise(),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
    good="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.GaussianNoise(1.0),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
""",
)
def not_reproducible(measured: Measurements) -> Iterator[Fault]:
    """Two runs with the same seed differ."""
    difference = measured.repeat_difference
    if difference is not None and difference > SAME_RESULT:
        yield Fault(
            "",
            f"two runs with the same seed have losses with relative differences of up to "
            f"{difference:.2g}",
            "give each layer that draws random numbers a keras.random.SeedGenerator",
            numbers={"relative_difference": difference},
        )
