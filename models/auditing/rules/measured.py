"""Rules on what was measured: they judge the numbers that `dropout_zoo.studies.examine` takes."""

from __future__ import annotations

from collections.abc import Iterator

from dropout_zoo.models.auditing.measurements import MeasuredMetric, Measurements, mean_metrics
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.auditing.rules.batch_norm import LI
from dropout_zoo.models.guidance import SRIVASTAVA

VARIANCE_SHIFT = 1.25
"""A variance that differs by more than this factor between training and inference is told."""

SAME_RESULT = 1e-5
"""Losses of two runs that differ by less than this fraction count as the same."""


@rule(
    "DZ301",
    "error",
    "loss and labels do not fit",
    why="Keras broadcasts where it can: a loss over outputs and labels of other shapes may train "
    "without an error, and mean nothing.",
    source="keras.losses; the form that each loss wants is in dropout_zoo.training.targets_for",
    bad="""
model = keras.Sequential([
    keras.Input((28, 28)),
    layers.Flatten(),
    layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy")  # of ten classes
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
    """The labels cannot be given the form that the loss wants."""
    if measured.misfit is not None:
        yield Fault("", measured.misfit, "model.compile(optimizer, a loss that fits the labels)")


@rule(
    "DZ302",
    "error",
    "from_logits does not match the outputs",
    why="With from_logits=True the loss applies a softmax or sigmoid of its own: over "
    "probabilities it hardly learns. Without it, logits are taken for probabilities, clipped and "
    "normalised, and the loss means nothing.",
    source="keras.losses.CategoricalCrossentropy, from_logits; measured on one batch, and on the "
    "same batch a hundred times as large",
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
        f"the outputs are {are}, but the loss, with from_logits={measured.from_logits}, takes "
        f"them for {wants}",
        f"compile with a loss made with from_logits={not measured.from_logits}",
    )


@rule(
    "DZ303",
    "note",
    "training metric below validation only because dropout is on",
    why="Keras measures the training metric while units are dropped, the validation metric with "
    "all of them. At the same weights and with dropout off, training is as good as validation "
    "or better: nothing is wrong with the data or the split.",
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
    """With dropout on, training is worse than validation; with dropout off it is not."""

    def explained(each: MeasuredMetric) -> bool:
        sign = 1 if each.larger_is_better else -1
        return sign * each.dropping < sign * each.validation <= sign * each.training

    if not measured.metrics or not all(map(explained, measured.metrics)):
        return
    numbers = mean_metrics(measured.metrics)
    name = measured.metrics[0].name
    yield Fault(
        "",
        f"training {name} is {numbers['training_dropout_on']:.3g} with dropout on and "
        f"{numbers['training_dropout_off']:.3g} with it off; validation {name} is "
        f"{numbers['validation']:.3g} (means of {len(measured.metrics)} seeds)",
        "model.evaluate(x_train, y_train)  # to compare with validation: dropout is off",
        numbers=numbers,
    )


@rule(
    "DZ304",
    "warning",
    "variance shift, measured",
    why="Batch normalisation divides by the variance that it has learnt in training, dropout on. "
    f"At inference the variance is another one, here by a factor of more than {VARIANCE_SHIFT}.",
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
    """What a batch normalisation receives varies more, or less, in training than at inference."""
    for path, (norm, ratio) in measured.variance_ratios.items():
        if norm and not 1 / VARIANCE_SHIFT <= ratio <= VARIANCE_SHIFT:
            yield Fault(
                path,
                f"behind {path!r}, what batch normalisation {norm!r} receives varies "
                f"{ratio:.2f} times as much in training as at inference",
                f"put {path!r} behind the last batch normalisation",
                numbers={"variance_ratio": ratio},
            )


@rule(
    "DZ305",
    "warning",
    "the present setting overfits",
    why="Training and validation part from each other, or the validation loss rises: more dropout, "
    "or another regulariser, may help. Dropout off for both.",
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
    """The verdict of the studies is overfitting."""
    if measured.verdict == "overfitting":
        yield _by_verdict(measured)


@rule(
    "DZ306",
    "warning",
    "the present rates underfit",
    why="The training loss with dropout off stays behind that of the same model without dropout, "
    "and validation gains nothing by it: the rates are too high for this model and these data, "
    "or the training is too short for them.",
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
    """The verdict of the studies is underfitting, by comparison with the control."""
    if measured.verdict == "underfitting":
        yield _by_verdict(measured)


def _by_verdict(measured: Measurements) -> Fault:
    return Fault("", measured.sentence, measured.advice, numbers=measured.verdict_numbers)


@rule(
    "DZ307",
    "warning",
    "another result from the same seed",
    why="Two trainings with the same seed (initial weights, data order, masks) end with different "
    "losses: something draws random numbers that no seed decides, and settings cannot be "
    "compared in pairs.",
    source=f"two runs compared; a difference below {SAME_RESULT:g} of the loss is taken for "
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
    """Two trainings with the same seed differ."""
    difference = measured.repeat_difference
    if difference is not None and difference > SAME_RESULT:
        yield Fault(
            "",
            f"the same seed, trained twice: the losses differ by up to {difference:.2g} of their "
            "size",
            "give each layer that draws random numbers a keras.random.SeedGenerator",
            numbers={"relative_difference": difference},
        )
