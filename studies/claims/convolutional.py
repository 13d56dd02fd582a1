"""Claims about dropout in convolutional networks."""

from __future__ import annotations

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import SRIVASTAVA

NONE, DENSE, ALL = "no dropout", "dense layer", "all layers"

CNN = Experiment(
    name="mnist-1000-cnn",
    description="1,000 MNIST examples, conv 8-16 with 3x3 kernels and pooling, dense 128, Adam, "
    "batch size 64, up to 100 epochs (1,600 updates), stopped after 25 epochs without improvement; "
    "rates: dense 0.50, convolutional 0.25, input 0.10",
    data=mnist(1000),
    model="cnn",
    arguments={"filters": (8, 16), "input_rate": 0.0, "conv_rates": 0.0},
    settings={
        NONE: ExperimentSetting(),
        DENSE: ExperimentSetting(hidden(0.5)),
        ALL: ExperimentSetting(hidden(0.5, convolutional=0.25, input=0.1)),
    },
    training={"epochs": 100, "batch_size": 64, "patience": 25},
    num_seeds=5,
)

CLAIMS = (
    Claim(
        name="cnn-dense-layers-gain",
        topic="Convolutional networks",
        statement="Dropout after the dense layer of a CNN lowers the test error.",
        source=f"{SRIVASTAVA}, Table 3 (secondary), SVHN: 3.95% to 3.02%",
        experiment=CNN,
        criterion=Difference("test_error", LOWER, [versus(DENSE, NONE)]),
    ),
    Claim(
        name="cnn-all-layers-gain-more",
        topic="Convolutional networks",
        statement="Dropout in all layers of a CNN has a lower test error than in the dense layer "
        "only.",
        source=f"{SRIVASTAVA}, Table 3 (secondary), SVHN: 3.02% to 2.55%",
        experiment=CNN,
        criterion=Difference("test_error", LOWER, [versus(ALL, DENSE)]),
    ),
)
