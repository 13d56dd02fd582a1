"""Claims about when in training dropout acts, and about short trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, LOWER, Contrast, Difference, versus
from dropout_zoo.studies.claims.data import fewer, mnist, topics
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import LIU_2023, LIU_2025, XUE

if TYPE_CHECKING:
    from dropout_zoo.training.schedules import RateSchedule


def _late() -> RateSchedule:
    from dropout_zoo.training.schedules import LateDropout

    return LateDropout(epochs=5)


def _early() -> RateSchedule:
    from dropout_zoo.training.schedules import EarlyDropout

    return EarlyDropout(epochs=2)


NONE, LATE = "no dropout", "after 5 epochs"

OVERFITTING = Experiment(
    name="mnist-1000-late",
    description="1,000 MNIST examples, 784-256-256-10 relu, Adam, batch size 64, up to 100 epochs "
    "(1,600 updates), stopped after 25 epochs without improvement; hidden rate 0.50",
    data=mnist(1000),
    arguments={"units": (256, 256)},
    settings={NONE: ExperimentSetting(), LATE: ExperimentSetting(hidden(0.5), schedule=_late)},
    training={"epochs": 100, "batch_size": 64, "patience": 25},
    num_seeds=6,
)

_ONE_EPOCH_RATES = {"hidden 0.10": 0.1, "hidden 0.50": 0.5}
ONE_EPOCH = Experiment(
    name="mnist-20000-one-epoch",
    description="20,000 MNIST examples seen once (625 updates), 784-256-256-10 relu, Adam, batch "
    "size 32",
    data=mnist(20_000),
    arguments={"units": (256, 256)},
    settings={
        NONE: ExperimentSetting(),
        **{name: ExperimentSetting(hidden(rate)) for name, rate in _ONE_EPOCH_RATES.items()},
    },
    training={"epochs": 1, "batch_size": 32},
    num_seeds=6,
)

EARLY, THROUGHOUT = "in the first 2 epochs", "in all epochs"
UNDERFITTING = Experiment(
    name="mnist-20000-early",
    description="20,000 MNIST examples, 784-32-32-10 relu, Adam, batch size 64, 10 epochs (3,130 "
    "updates); hidden rate 0.10",
    data=mnist(20_000),
    arguments={"units": (32, 32)},
    settings={
        NONE: ExperimentSetting(),
        EARLY: ExperimentSetting(hidden(0.1), schedule=_early),
        THROUGHOUT: ExperimentSetting(hidden(0.1)),
    },
    training={"epochs": 10, "batch_size": 64, "training_sample": "all"},
)

_ONCE, _REPEATED = "20,000 seen once", "1,000 seen 20 times"
_TRANSFORMER_RATES = (0.0, 0.1, 0.3)
TRANSFORMER = Experiment(
    name="topics-transformer",
    description="20,000 generated sequences of 32 tokens seen once, or 1,000 of them seen 20 times "
    "(625 and 640 updates), transformer of two layers and 32 dimensions, Adam, batch size 32; one "
    "rate on embeddings, attention weights and branches",
    data=topics(20_000),
    model="transformer",
    settings={
        f"{seen}, rate {rate:.2f}": ExperimentSetting(
            hidden(rate, input=rate), change=change, training=length
        )
        for seen, change, length in (
            (_ONCE, None, {}),
            (_REPEATED, fewer(1000), {"epochs": 20}),
        )
        for rate in _TRANSFORMER_RATES
    },
    training={"epochs": 1, "batch_size": 32},
    num_seeds=6,
)


def _beside_no_dropout(seen: str) -> list[Contrast]:
    none, *rates = (f"{seen}, rate {rate:.2f}" for rate in _TRANSFORMER_RATES)
    return [versus(each, none) for each in rates]


_SHORT = "The claim is about training of this length, so it need not have ended."
_SECOND = (
    "It replaces a claim about 5,000 examples and other widths, whose result was known: the "
    "training loss fell by 0.0105 with early dropout, and dropout in all epochs made no reliable "
    "difference to the test error (+0.34 points, -0.16 to +0.84)."
)

CLAIMS = (
    Claim(
        name="late-dropout-helps",
        topic="Schedules",
        statement="In a network that overfits, dropout after the first epochs lowers the test "
        "error.",
        source=f"{LIU_2023}: ViT-B 81.6% to 82.3% with late stochastic depth",
        experiment=OVERFITTING,
        criterion=Difference("test_error", LOWER, [versus(LATE, NONE)]),
    ),
    Claim(
        name="no-dropout-in-one-epoch",
        topic="Schedules",
        statement="In a single epoch, dropout raises the test error, at a low rate and at a high "
        "one.",
        source=f"{LIU_2025}: in single-epoch language modeling, no dropout is best",
        experiment=ONE_EPOCH,
        criterion=Difference(
            "test_error", HIGHER, [versus(name, NONE) for name in _ONE_EPOCH_RATES]
        ),
        trained_to_the_end=False,
        note="The claim is about a single epoch, so training need not have ended. At first it was "
        "tested at 0.50 alone.",
    ),
    Claim(
        name="early-dropout-reduces-underfitting",
        topic="Schedules",
        statement="In a short training of a small network, dropout in the first epochs lowers the "
        "final training loss.",
        source=f"{LIU_2023}: lower final training loss in models that underfit",
        experiment=UNDERFITTING,
        criterion=Difference("last_train_loss", LOWER, [versus(EARLY, NONE)]),
        trained_to_the_end=False,
        note=f"{_SHORT} {_SECOND}",
    ),
    Claim(
        name="dropout-throughout-harms-small-networks",
        topic="Schedules",
        statement="In the same training, dropout in all epochs raises the test error.",
        source=f"{LIU_2023}: ViT-T 73.9% without, 67.9% with dropout in all epochs",
        experiment=UNDERFITTING,
        criterion=Difference("test_error", HIGHER, [versus(THROUGHOUT, NONE)]),
        trained_to_the_end=False,
        note=f"{_SHORT} That dropout harms is what the source calls underfitting. {_SECOND}",
    ),
    Claim(
        name="transformer-once-without-dropout",
        topic="Schedules",
        statement="In a transformer that sees each sequence once, dropout raises the validation "
        "loss.",
        source=f"{LIU_2025}: in single-epoch language modeling, no dropout is best",
        experiment=TRANSFORMER,
        criterion=Difference("last_val_loss", HIGHER, _beside_no_dropout(_ONCE)),
        trained_to_the_end=False,
        note=_SHORT,
    ),
    Claim(
        name="transformer-repeated-with-dropout",
        topic="Schedules",
        statement="In a transformer that sees each sequence 20 times, with as many updates, "
        "dropout lowers the final validation loss.",
        source=f"{XUE}: dropout reduces the harm of many epochs (language modeling)",
        experiment=TRANSFORMER,
        criterion=Difference("last_val_loss", LOWER, _beside_no_dropout(_REPEATED)),
        trained_to_the_end=False,
        note=_SHORT,
    ),
)
