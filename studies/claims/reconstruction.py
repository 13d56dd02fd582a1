"""Claims about the autoencoder of Srivastava et al. 2014, Figs. 7 and 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import LOWER, Difference, versus
from dropout_zoo.studies.claims.data import mnist_reconstruction
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import SRIVASTAVA

if TYPE_CHECKING:
    import keras

    from dropout_zoo.training.data.dataset import Dataset


def _first_layer(model: keras.Model, data: Dataset) -> Mapping[str, float]:
    from dropout_zoo.studies.claims.model_measures import first_layer

    return first_layer(model, data)


NONE, HALF = "no dropout", "hidden 0.50"

AUTOENCODER = Experiment(
    name="mnist-5000-autoencoder",
    description="5,000 MNIST examples, autoencoder 784-256-784, relu and sigmoid, squared error, "
    "Adam, batch size 64, 40 epochs (3,160 updates)",
    data=mnist_reconstruction(5000),
    model="autoencoder",
    settings={NONE: ExperimentSetting(), HALF: ExperimentSetting(hidden(0.5))},
    training={"epochs": 40, "batch_size": 64},
    num_seeds=4,
    measure=_first_layer,
)

_FIXED = (
    "Declared after a short trial: the loss still falls slowly at the end of these training runs, "
    "so they are compared at a fixed length."
)

CLAIMS = (
    Claim(
        name="autoencoder-sparser",
        topic="Co-adaptation",
        statement="In an autoencoder with dropout, a smaller share of the hidden units is active.",
        source=f"{SRIVASTAVA}, Fig. 8: activations become sparse",
        experiment=AUTOENCODER,
        criterion=Difference("active_share", LOWER, [versus(HALF, NONE)]),
        trained_to_the_end=False,
        note=_FIXED,
    ),
    Claim(
        name="autoencoder-lower-activations",
        topic="Co-adaptation",
        statement="In an autoencoder with dropout, the mean activation is lower.",
        source=f"{SRIVASTAVA}, Fig. 8: from about 2.0 to 0.7",
        experiment=AUTOENCODER,
        criterion=Difference("mean_activation", LOWER, [versus(HALF, NONE)]),
        trained_to_the_end=False,
        note=_FIXED,
    ),
)
