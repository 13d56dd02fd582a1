"""Claims about dropout beside and together with other regularizers, and about its variants."""

from __future__ import annotations

from typing import Any

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import HIGHER, LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import GARBIN, KRIZHEVSKY, LI, SRIVASTAVA

NONE, DROPOUT = "no dropout", "dropout"

_TRAINING = {"epochs": 100, "batch_size": 64, "patience": 25}
_LENGTH = (
    "784-256-256-10 relu, Adam, batch size 64, up to 100 epochs (1,600 updates), stopped after 25 "
    "epochs without improvement; hidden rate 0.50"
)


def _l2(strength: float) -> dict[str, Any]:
    regularizer = {"class_name": "L2", "config": {"l2": strength}}
    return {"kernel_regularizer": regularizer}


_L2_STRENGTHS = ("1e-4", "1e-3", "3e-3", "1e-2")
_MAX_NORMS = (0.5, 1.0, 2.0)
PENALTIES = Experiment(
    name="mnist-1000-penalties",
    description=f"1,000 MNIST examples, {_LENGTH}; the best epoch is that of the validation "
    "accuracy, because the loss includes the penalty",
    data=mnist(1000),
    arguments={"units": (256, 256)},
    settings={
        f"{method}{dropout}": ExperimentSetting(hidden(rate), arguments)
        for method, arguments in (
            *((f"L2 {strength}", _l2(float(strength))) for strength in _L2_STRENGTHS),
            *((f"max-norm {norm:g}", {"max_norm": norm}) for norm in _MAX_NORMS),
        )
        for dropout, rate in (("", 0.0), (" + dropout", 0.5))
    }
    | {NONE: ExperimentSetting(), DROPOUT: ExperimentSetting(hidden(0.5))},
    training={**_TRAINING, "objective": "val_accuracy"},
    num_seeds=8,
)

BATCH_NORM = Experiment(
    name="mnist-1000-batch-norm",
    description=f"1,000 MNIST examples, {_LENGTH}; batch norm of momentum 0.9 after each hidden "
    "layer",
    data=mnist(1000),
    model="dropout_zoo.studies.claims.networks:normalized_mlp",
    settings={
        NONE: ExperimentSetting(),
        DROPOUT: ExperimentSetting(hidden(0.5)),
        "batch norm": ExperimentSetting(hidden(0.0), {"batch_norm": "before_dropout"}),
        "batch norm then dropout": ExperimentSetting(hidden(0.5), {"batch_norm": "before_dropout"}),
        "dropout then batch norm": ExperimentSetting(hidden(0.5), {"batch_norm": "after_dropout"}),
    },
    training=_TRAINING,
    num_seeds=6,
)

GAUSSIAN = Experiment(
    name="mnist-1000-gaussian",
    description=f"1,000 MNIST examples, {_LENGTH}",
    data=mnist(1000),
    settings={
        "Bernoulli": ExperimentSetting(hidden(0.5), {"noise": "Dropout"}),
        "Gaussian": ExperimentSetting(hidden(0.5), {"noise": "GaussianDropout"}),
        NONE: ExperimentSetting(hidden(0.0), {"noise": "Dropout"}),
    },
    training=_TRAINING,
    model="dropout_zoo.studies.claims.networks:noisy_mlp",
    num_seeds=6,
)

SHIFTED, SHIFTED_DROPOUT = "shifted", "shifted + dropout"
AUGMENTATION = Experiment(
    name="mnist-1000-shifted",
    description="1,000 MNIST examples, 784-256-256-10 relu, Adam, batch size 64, up to 400 epochs "
    "(6,400 updates), stopped after 80 epochs without improvement; hidden rate 0.50; each training "
    "image shifted anew in every epoch, by up to 2 pixels in each direction",
    data=mnist(1000),
    model="dropout_zoo.studies.claims.networks:shifted_mlp",
    settings={
        f"{shifted}{dropout}": ExperimentSetting(hidden(rate), {"pixels": pixels})
        for shifted, pixels in (("unchanged", 0.0), (SHIFTED, 2.0))
        for dropout, rate in (("", 0.0), (" + dropout", 0.5))
    },
    training={"epochs": 400, "batch_size": 64, "patience": 80},
    num_seeds=6,
)
_WIDER_GRID = (
    "Tested again with more strengths and seeds after a first run, in which L2 of 1e-4 and 1e-3 "
    "and a norm of 2 changed the test error of a network without dropout little or not at all."
)
_MOMENTUM = (
    "Tested again with a momentum of 0.9 after a first run with Keras's 0.99, with which the "
    "moving averages lag behind in so short a training."
)

CLAIMS = (
    Claim(
        name="beats-l2",
        topic="Other regularizers",
        statement="Dropout has a lower test error than L2 of any strength from 1e-4 to 1e-2.",
        source=f"{SRIVASTAVA}, Table 9: L2 1.62%, dropout + L2 1.25%",
        experiment=PENALTIES,
        criterion=Difference(
            "test_error", LOWER, [versus(DROPOUT, f"L2 {each}") for each in _L2_STRENGTHS]
        ),
        note=_WIDER_GRID,
    ),
    Claim(
        name="adds-to-l2",
        topic="Other regularizers",
        statement="Dropout lowers the test error of a network with L2 of 1e-4 or 1e-3.",
        source=f"{SRIVASTAVA}, Table 9: L2 1.62%, dropout + L2 1.25%",
        experiment=PENALTIES,
        criterion=Difference(
            "test_error",
            LOWER,
            [versus(f"L2 {each} + dropout", f"L2 {each}") for each in ("1e-4", "1e-3")],
        ),
        note=_WIDER_GRID,
    ),
    Claim(
        name="beats-max-norm",
        topic="Other regularizers",
        statement="Dropout with max-norm has a lower test error than max-norm alone.",
        source=f"{SRIVASTAVA}, Table 9: max-norm 1.35%, dropout + max-norm 1.05%",
        experiment=PENALTIES,
        criterion=Difference(
            "test_error",
            LOWER,
            [versus(f"max-norm {each:g} + dropout", f"max-norm {each:g}") for each in _MAX_NORMS],
        ),
        note=_WIDER_GRID,
    ),
    Claim(
        name="max-norm-adds-to-dropout",
        topic="Other regularizers",
        statement="Max-norm lowers the test error of a network with dropout.",
        source=f"{SRIVASTAVA}, Table 2: dropout 1.25%, with max-norm 1.06%",
        experiment=PENALTIES,
        criterion=Difference(
            "test_error", LOWER, [versus(f"max-norm {each} + dropout", DROPOUT) for each in (1, 2)]
        ),
        note=f"{_WIDER_GRID} The norms are of a network whose activations are scaled in training, "
        "so "
        "that a norm of 1 is what 2 is in the source.",
    ),
    Claim(
        name="augmentation-helps",
        topic="Other regularizers",
        statement="Without dropout, shifting the training images at random lowers the test error.",
        source=f"{KRIZHEVSKY}, Section 4.1: without it, the network overfits (no number)",
        experiment=AUGMENTATION,
        criterion=Difference("test_error", LOWER, [versus(SHIFTED, "unchanged")]),
    ),
    Claim(
        name="adds-to-augmentation",
        topic="Other regularizers",
        statement="Dropout lowers the test error of a network whose training images are shifted at "
        "random.",
        source=f"{KRIZHEVSKY}, Section 4.2: without dropout, the augmented network overfits",
        experiment=AUGMENTATION,
        criterion=Difference("test_error", LOWER, [versus(SHIFTED_DROPOUT, SHIFTED)]),
    ),
    Claim(
        name="batch-norm-does-not-add",
        topic="Other regularizers",
        statement="Batch norm and dropout together have a higher test error than dropout alone.",
        source=f"{GARBIN}: in dense networks, often worse than dropout alone",
        experiment=BATCH_NORM,
        criterion=Difference("test_error", HIGHER, [versus("batch norm then dropout", DROPOUT)]),
        note=_MOMENTUM,
    ),
    Claim(
        name="dropout-before-batch-norm-harms",
        topic="Other regularizers",
        statement="Within each block, dropout before batch norm has a higher test error than after "
        "it.",
        source=f"{LI}: dropout before batch norm shifts the variance (DenseNet: 77.42% to 68.55%)",
        experiment=BATCH_NORM,
        criterion=Difference(
            "test_error", HIGHER, [versus("dropout then batch norm", "batch norm then dropout")]
        ),
        note="In both orders the dropout of the first block comes before the batch norm of the "
        f"second. The source advises dropout after the last batch norm only. {_MOMENTUM}",
    ),
    Claim(
        name="dropout-before-batch-norm-is-worse-than-none",
        topic="Other regularizers",
        statement="Dropout before batch norm has a higher test error than batch norm alone.",
        source=f"{LI}: the shift of the variance makes dropout before batch norm harmful",
        experiment=BATCH_NORM,
        criterion=Difference(
            "test_error", HIGHER, [versus("dropout then batch norm", "batch norm")]
        ),
        note=f"Declared after a first run had found the opposite. {_MOMENTUM}",
    ),
    Claim(
        name="gaussian-beats-bernoulli",
        topic="Variants",
        statement="Gaussian dropout has a lower test error than dropout at the same rate.",
        source=f"{SRIVASTAVA}, Table 10: 1.08% and 0.95%",
        experiment=GAUSSIAN,
        criterion=Difference("test_error", LOWER, [versus("Gaussian", "Bernoulli")]),
    ),
)
