"""Claims about networks and data of the size that was published."""

from __future__ import annotations

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import SRIVASTAVA

NONE, DROPOUT = "no dropout", "input 0.20, hidden 0.50"

FULL_SIZE = Experiment(
    name="mnist-59000",
    description="59,000 MNIST examples, the same on all seeds, 784-1024-1024-1024-10 relu, Adam, "
    "batch size 256, up to 60 epochs (13,860 updates), stopped after 15 epochs without improvement",
    data=mnist(59_000),
    arguments={"units": (1024, 1024, 1024), "input_rate": 0.0},
    settings={
        NONE: ExperimentSetting(),
        DROPOUT: ExperimentSetting(hidden(0.5, input=0.2)),
    },
    training={
        "epochs": 60,
        "batch_size": 256,
        "patience": 15,
        "objective": "val_accuracy",
    },
    num_seeds=4,
)

CLAIMS = (
    Claim(
        name="lowers-the-error-at-59000",
        topic="Data size",
        statement="With 59,000 examples, dropout in the input and all hidden layers lowers the "
        "test error of a network of three layers of 1,024 units.",
        source=f"{SRIVASTAVA}, Table 2: 1.60% without dropout (two layers of 800 logistic units), "
        "1.25% with it (three layers of 1,024 relu units)",
        experiment=FULL_SIZE,
        criterion=Difference("test_error", LOWER, [versus(DROPOUT, NONE)]),
    ),
)
