"""Claims about dropout in convolutional networks."""

from __future__ import annotations

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import KIM, SRIVASTAVA

NONE, DENSE, ALL = "no dropout", "dense layer", "all layers"

CNN = Experiment(
    name="mnist-1000-cnn",
    description="1,000 MNIST examples, conv 8-16 with 3x3 kernels and pooling, dense 128, Adam, "
    "batch size 64, up to 250 epochs (4,000 updates), stopped after 50 epochs without improvement; "
    "rates: dense 0.50, convolutional 0.25, input 0.10",
    data=mnist(1000),
    model="cnn",
    arguments={"filters": (8, 16), "input_rate": 0.0, "conv_rates": 0.0},
    settings={
        NONE: ExperimentSetting(),
        DENSE: ExperimentSetting(hidden(0.5)),
        ALL: ExperimentSetting(hidden(0.5, convolutional=0.25, input=0.1)),
    },
    training={"epochs": 250, "batch_size": 64, "patience": 50},
    num_seeds=5,
)

BEFORE_NORM, AFTER_NORM = "before the last batch norm", "after the last batch norm"
END_OF_BRANCH = "end of the branch"
BEFORE_POOLING, AFTER_POOLING = "before pooling", "after pooling"
POSITIONS = (BEFORE_NORM, AFTER_NORM, END_OF_BRANCH, BEFORE_POOLING, AFTER_POOLING)
"""Where the residual network of these claims can have its dropout."""

RESIDUAL = Experiment(
    name="mnist-1000-residual",
    description="1,000 MNIST examples, residual network of three blocks with 16 filters at 7x7 "
    "pixels (batch norm, relu, 3x3 convolution, twice), global average pooling, Adam, batch size "
    "64, up to 300 epochs (4,800 updates), stopped after 60 epochs without improvement; rate 0.30 "
    "at one position, in every branch where it is in a branch",
    data=mnist(1000),
    model="dropout_zoo.studies.claims.residual_network:residual_cnn",
    settings={
        NONE: ExperimentSetting({}, {"position": AFTER_NORM}),
        **{
            each: ExperimentSetting({"convolutional": 0.3, "hidden": 0.3}, {"position": each})
            for each in POSITIONS
        },
    },
    training={"epochs": 300, "batch_size": 64, "patience": 60},
    num_seeds=6,
)

_LONGER_CNN = (
    "Lengthened after a first run of 100 epochs, which ended four of five training runs with "
    "dropout in all layers before patience did."
)
_LONGER = (
    "Lengthened after a first run of 100 epochs, in which half of the training runs still improved "
    "at the end and nothing could be compared."
)

CLAIMS = (
    Claim(
        name="cnn-dense-layers-gain",
        topic="Convolutional networks",
        statement="Dropout after the dense layer of a CNN lowers the test error.",
        source=f"{SRIVASTAVA}, Table 3 (secondary), SVHN: 3.95% to 3.02%",
        experiment=CNN,
        criterion=Difference("test_error", LOWER, [versus(DENSE, NONE)]),
        note=_LONGER_CNN,
    ),
    Claim(
        name="cnn-all-layers-gain-more",
        topic="Convolutional networks",
        statement="Dropout in all layers of a CNN has a lower test error than in the dense layer "
        "only.",
        source=f"{SRIVASTAVA}, Table 3 (secondary), SVHN: 3.02% to 2.55%",
        experiment=CNN,
        criterion=Difference("test_error", LOWER, [versus(ALL, DENSE)]),
        note=_LONGER_CNN,
    ),
    Claim(
        name="residual-after-batch-norm-gains",
        topic="Convolutional networks",
        statement="In a residual network, dropout between the last batch norm and the last "
        "convolution of each branch lowers the test error.",
        source=f"{KIM}: this position improves residual networks",
        experiment=RESIDUAL,
        criterion=Difference("test_error", LOWER, [versus(AFTER_NORM, NONE)]),
        note=_LONGER,
    ),
    Claim(
        name="residual-after-batch-norm-is-best",
        topic="Convolutional networks",
        statement="In the branches of a residual network, dropout between the last batch norm and "
        "the last convolution has a lower test error than before that batch norm or at the end.",
        source=f"{KIM}: after the last batch norm, before the last weights of the branch",
        experiment=RESIDUAL,
        criterion=Difference(
            "test_error",
            LOWER,
            [versus(AFTER_NORM, BEFORE_NORM), versus(AFTER_NORM, END_OF_BRANCH)],
        ),
        note=_LONGER,
    ),
    Claim(
        name="residual-before-pooling-is-better",
        topic="Convolutional networks",
        statement="In a residual network, dropout before the global average pooling has a lower "
        "test error than after it.",
        source=f"{KIM}: in the head, before pooling rather than after it",
        experiment=RESIDUAL,
        criterion=Difference("test_error", LOWER, [versus(BEFORE_POOLING, AFTER_POOLING)]),
        note=_LONGER,
    ),
)
