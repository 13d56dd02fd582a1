"""Claims about when in training dropout acts, and about short trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Arm, Experiment, hidden
from dropout_zoo.studies.claims.sources import LIU_2023, LIU_2025

if TYPE_CHECKING:
    from dropout_zoo.training.schedules import RateSchedule


def _early() -> RateSchedule:
    from dropout_zoo.training.schedules import EarlyDropout

    return EarlyDropout(epochs=5)


def _late() -> RateSchedule:
    from dropout_zoo.training.schedules import LateDropout

    return LateDropout(epochs=5)


NONE, ALWAYS, EARLY, LATE = "no dropout", "always", "first 5 epochs", "after 5 epochs"

UNDERFITTING = Experiment(
    name="mnist-5000-narrow",
    description="5,000 MNIST examples, 784-16-16-10 relu, Adam, batch size 64, 40 epochs (3,160 "
    "updates); hidden rate 0.10",
    data=mnist(5000),
    arguments={"units": (16, 16)},
    arms={
        NONE: Arm(),
        ALWAYS: Arm(hidden(0.1)),
        EARLY: Arm(hidden(0.1), schedule=_early),
    },
    training={"epochs": 40, "batch_size": 64},
    num_seeds=6,
)

OVERFITTING = Experiment(
    name="mnist-1000-late",
    description="1,000 MNIST examples, 784-256-256-10 relu, Adam, batch size 64, up to 100 epochs "
    "(1,600 updates), stopped after 25 epochs without improvement; hidden rate 0.50",
    data=mnist(1000),
    arguments={"units": (256, 256)},
    arms={NONE: Arm(), LATE: Arm(hidden(0.5), schedule=_late)},
    training={"epochs": 100, "batch_size": 64, "patience": 25},
    num_seeds=6,
)

ONE_EPOCH = Experiment(
    name="mnist-20000-one-epoch",
    description="20,000 MNIST examples seen once (625 updates), 784-256-256-10 relu, Adam, batch "
    "size 32",
    data=mnist(20_000),
    arguments={"units": (256, 256)},
    arms={NONE: Arm(), "hidden 0.50": Arm(hidden(0.5))},
    training={"epochs": 1, "batch_size": 32},
    num_seeds=6,
)

CLAIMS = (
    Claim(
        name="early-dropout-against-underfitting",
        topic="Schedules",
        statement="In a network that underfits, dropout in the first epochs lowers the final "
        "training loss.",
        source=f"{LIU_2023}: ViT-T 73.9% without, 74.3% with early dropout",
        experiment=UNDERFITTING,
        criterion=Difference("last_train_loss", LOWER, [versus(EARLY, NONE)]),
        trained_to_the_end=False,
        note="Compared at a fixed length of training, as in the source.",
    ),
    Claim(
        name="constant-dropout-harms-underfitting",
        topic="Schedules",
        statement="In a network that underfits, constant dropout raises the test error.",
        source=f"{LIU_2023}: ViT-T 73.9% without, 67.9% with standard dropout",
        experiment=UNDERFITTING,
        criterion=Difference("test_error", HIGHER, [versus(ALWAYS, NONE)]),
        trained_to_the_end=False,
        note="Compared at a fixed length of training, as in the source.",
    ),
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
        statement="In a single epoch, dropout raises the test error.",
        source=f"{LIU_2025}: in single-epoch language modeling, no dropout is best",
        experiment=ONE_EPOCH,
        criterion=Difference("test_error", HIGHER, [versus("hidden 0.50", NONE)]),
        trained_to_the_end=False,
        note="The claim is about a single epoch, so that it is not required that training has "
        "ended.",
    ),
)
