"""Claims about model averaging, the formula, robustness and co-adaptation, on the same networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dropout_zoo.studies.claims.claim import Claim
from dropout_zoo.studies.claims.criteria import (
    HIGHER,
    LOWER,
    Contrast,
    Difference,
    Equality,
    versus,
)
from dropout_zoo.studies.claims.data import mnist
from dropout_zoo.studies.claims.experiment import Experiment, ExperimentSetting, hidden
from dropout_zoo.studies.claims.sources import GAL, SRIVASTAVA, TUTORIAL, WARDE_FARLEY

if TYPE_CHECKING:
    import keras

    from dropout_zoo.training.data.dataset import Dataset


def _measure(model: keras.Model, data: Dataset) -> Mapping[str, float]:
    from dropout_zoo.studies.claims.model_measures import of_a_classifier

    return of_a_classifier(model, data)


def _measure_ensembles(model: keras.Model, data: Dataset) -> Mapping[str, float]:
    from dropout_zoo.studies.claims.ensembles import beside_ensembles

    return beside_ensembles(model, data, _TRAINING)


NONE, HALF, BOTH = "no dropout", "hidden 0.50", "input 0.20, hidden 0.50"
_TRAINING = {"epochs": 80, "batch_size": 64, "patience": 20}

MEASURED = Experiment(
    name="mnist-1000-measured",
    description="1,000 MNIST examples, 784-256-256-10 relu, Adam, batch size 64, up to 80 epochs "
    "(1,280 updates), stopped after 20 epochs without improvement; measured on 2,000 test examples",
    data=mnist(1000),
    arguments={"units": (256, 256), "input_rate": 0.0},
    settings={
        NONE: ExperimentSetting(),
        HALF: ExperimentSetting(hidden(0.5)),
        BOTH: ExperimentSetting(hidden(0.5, input=0.2)),
    },
    training=_TRAINING,
    num_seeds=6,
    measure=_measure,
)

ENSEMBLES = Experiment(
    name="mnist-1000-ensembles",
    description="1,000 MNIST examples, 784-256-256-10 relu, Adam, batch size 64, up to 80 epochs "
    "(1,280 updates), stopped after 20 epochs without improvement; beside each network four more "
    "with dropout and five without are trained on the same examples from other initial weights and "
    "in another order, and averaged by their probabilities",
    data=mnist(1000),
    arguments={"units": (256, 256), "input_rate": 0.0},
    settings={HALF: ExperimentSetting(hidden(0.5))},
    training=_TRAINING,
    num_seeds=8,
    measure=_measure_ensembles,
)

_ONE = [Contrast(HALF, {HALF: 1.0})]
_EACH = [*_ONE, Contrast(BOTH, {BOTH: 1.0})]
_ADDED = (
    "The setting with an input rate was added to the check after the first run, because a rate of "
    "0.50 scales by 2, which is exact in any arithmetic."
)
_BOTH_SETTINGS = (
    "At first it was tested at a hidden rate of 0.50 alone; the setting with an input rate was "
    "added with its result known."
)
_UNMATCHED = (
    "The networks are compared at their own best epochs, where the error on clean inputs is lower "
    "with dropout; they are not matched by it."
)
_AFTER_FIFTY = "Declared after the claims about 50 passes had been tested on the same networks."

CLAIMS = (
    Claim(
        name="inference-is-the-identity",
        topic="The formula",
        statement="At inference, a dropout layer returns its input.",
        source=f"{TUTORIAL}; Keras's documentation of Dropout",
        experiment=MEASURED,
        criterion=Equality("inference_change", 0.0, _EACH),
        note=_ADDED,
    ),
    Claim(
        name="training-scales-by-1-over-keep",
        topic="The formula",
        statement="In training, what is kept is multiplied by 1 / (1 - rate).",
        source=f"{TUTORIAL}, whose formula puts the mask inside the activation",
        experiment=MEASURED,
        criterion=Equality("kept_scale_error", 1e-6, _EACH),
        note=_ADDED,
    ),
    Claim(
        name="weight-scaling-equals-50-passes",
        topic="Model averaging",
        statement="Weight scaling has the test error of an average of 50 passes with dropout on, "
        "to "
        ""
        "half a point.",
        source=f"{SRIVASTAVA}, Fig. 11: equal at about 50 passes",
        experiment=MEASURED,
        criterion=Equality("scaling_minus_mc_50", 0.5, _EACH),
        note=_BOTH_SETTINGS,
    ),
    Claim(
        name="fifty-passes-lower-the-loss",
        topic="Model averaging",
        statement="An average of 50 passes has a lower test loss than weight scaling.",
        source=f"{SRIVASTAVA}, Fig. 11: slightly better beyond 50 passes, by error",
        experiment=MEASURED,
        criterion=Difference("mc_50_minus_scaling_loss", LOWER, _EACH),
        note=_BOTH_SETTINGS,
    ),
    Claim(
        name="weight-scaling-equals-the-geometric-mean",
        topic="Model averaging",
        statement="Weight scaling has the test error of the geometric mean of 200 passes, to half "
        "a "
        ""
        "point.",
        source=f"{WARDE_FARLEY}: weight scaling is close to the geometric mean",
        experiment=MEASURED,
        criterion=Equality("scaling_minus_geometric", 0.5, _EACH),
        note=_AFTER_FIFTY,
    ),
    Claim(
        name="weight-scaling-approximates-the-geometric-mean",
        topic="Model averaging",
        statement="Weight scaling is closer to the geometric mean of 200 passes than to their "
        "arithmetic mean.",
        source=f"{SRIVASTAVA}, Section 1, and {WARDE_FARLEY}: weight scaling approximates the "
        "geometric mean",
        experiment=MEASURED,
        criterion=Difference("closer_to_geometric", HIGHER, _EACH),
        note=_AFTER_FIFTY,
    ),
    Claim(
        name="two-hundred-passes-lower-the-loss",
        topic="Model averaging",
        statement="An average of 200 passes has a lower test loss than one of 50.",
        source=f"{SRIVASTAVA}, Fig. 11: the error falls with the number of passes, up to 120",
        experiment=MEASURED,
        criterion=Difference("mc_200_minus_mc_50_loss", LOWER, _EACH),
        note=_AFTER_FIFTY,
    ),
    Claim(
        name="disagreement-finds-errors",
        topic="Model averaging",
        statement="The disagreement of 50 passes tells wrong predictions from right ones better "
        "than the entropy of weight scaling.",
        source=f"{GAL}, Section 3.3.1, has the disagreement (mutual information) as a measure of "
        "the uncertainty of a model; the comparison with the entropy is this project's",
        experiment=MEASURED,
        criterion=Difference("disagreement_minus_entropy_area", HIGHER, _EACH),
        note="Declared after notebook 06 had found the opposite on other data.",
    ),
    Claim(
        name="weight-scaling-beats-one-pass",
        topic="Model averaging",
        statement="Weight scaling has a lower test error than a single pass with dropout on.",
        source=f"{SRIVASTAVA}, Fig. 11: the error falls with the number of passes",
        experiment=MEASURED,
        criterion=Difference("scaling_minus_mc_1", LOWER, _EACH),
        note=_BOTH_SETTINGS,
    ),
    Claim(
        name="ensemble-beats-one-network",
        topic="Model averaging",
        statement="Five averaged networks without dropout have a lower test error than one of "
        "them.",
        source=f"{SRIVASTAVA}, Section 1: combining models nearly always helps (no number)",
        experiment=ENSEMBLES,
        criterion=Difference("ensemble_minus_one", LOWER, _ONE),
    ),
    Claim(
        name="dropout-equals-an-ensemble",
        topic="Model averaging",
        statement="One network with dropout has the test error of five averaged networks without, "
        "to half a point.",
        source=f"{TUTORIAL}: dropout is like training an ensemble (no number)",
        experiment=ENSEMBLES,
        criterion=Equality("ensemble_minus_dropout", 0.5, _ONE),
        note="Half a point is most of what averaging the five networks gains.",
    ),
    Claim(
        name="ensembles-gain-less-with-dropout",
        topic="Model averaging",
        statement="Averaging five networks lowers the test error by less where each is trained "
        "with dropout.",
        source=f"{SRIVASTAVA}, Section 1: dropout already combines many networks (no number)",
        experiment=ENSEMBLES,
        criterion=Difference("ensemble_gain_change", HIGHER, _ONE),
    ),
    Claim(
        name="robust-to-missing-inputs",
        topic="Robustness",
        statement="Hidden dropout reduces the error that missing pixels add.",
        source=f"{TUTORIAL}: resilient to incomplete data (no number, no source)",
        experiment=MEASURED,
        criterion=Difference("missing_increase", LOWER, [versus(HALF, NONE)]),
        note=_UNMATCHED,
    ),
    Claim(
        name="input-dropout-robust-to-missing-inputs",
        topic="Robustness",
        statement="Input dropout, added to hidden dropout, reduces the error that missing pixels "
        "add.",
        source=f"{TUTORIAL}: resilient to incomplete data (no number, no source)",
        experiment=MEASURED,
        criterion=Difference("missing_increase", LOWER, [versus(BOTH, HALF)]),
        note=_UNMATCHED,
    ),
    Claim(
        name="robust-to-noise",
        topic="Robustness",
        statement="Hidden dropout reduces the error that Gaussian noise on the inputs adds.",
        source=f"{TUTORIAL}: resilient to noisy data (no number, no source)",
        experiment=MEASURED,
        criterion=Difference("noise_increase", LOWER, [versus(HALF, NONE)]),
        note=_UNMATCHED,
    ),
    Claim(
        name="sparser-activations",
        topic="Co-adaptation",
        statement="With hidden dropout, a smaller share of the hidden units is active.",
        source=f"{SRIVASTAVA}, Section 7.2: activations become sparse (256-unit autoencoder)",
        experiment=MEASURED,
        criterion=Difference("active_share", LOWER, [versus(HALF, NONE)]),
    ),
    Claim(
        name="less-correlated-units",
        topic="Co-adaptation",
        statement="With hidden dropout, hidden units are less correlated.",
        source=f"{TUTORIAL}: dropout breaks co-adaptation (no number)",
        experiment=MEASURED,
        criterion=Difference("correlation", LOWER, [versus(HALF, NONE)]),
    ),
    Claim(
        name="less-dependent-on-units",
        topic="Co-adaptation",
        statement="With hidden dropout, removing a quarter of the hidden units adds less error.",
        source=f"{TUTORIAL}: neurons do not rely on others (no number)",
        experiment=MEASURED,
        criterion=Difference("ablation_increase", LOWER, [versus(HALF, NONE)]),
    ),
)
