"""Claims about when in training dropout acts, and about short trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import LIU_2023, LIU_2025

if TYPE_CHECKING:
    from dropout_zoo.training.schedules import RateSchedule


def _late() -> RateSchedule:
    from dropout_zoo.training.schedules import LateDropout

    return LateDropout(epochs=5)


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

ONE_EPOCH = Experiment(
    name="mnist-20000-one-epoch",
    description="20,000 MNIST examples seen once (625 updates), 784-256-256-10 relu, Adam, batch "
    "size 32",
    data=mnist(20_000),
    arguments={"units": (256, 256)},
    settings={NONE: ExperimentSetting(), "hidden 0.50": ExperimentSetting(hidden(0.5))},
    training={"epochs": 1, "batch_size": 32},
    num_seeds=6,
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
        statement="In a single epoch, dropout raises the test error.",
        source=f"{LIU_2025}: in single-epoch language modeling, no dropout is best",
        experiment=ONE_EPOCH,
        criterion=Difference("test_error", HIGHER, [versus("hidden 0.50", NONE)]),
        trained_to_the_end=False,
        note="The claim is about a single epoch, so training need not have ended.",
    ),
)
