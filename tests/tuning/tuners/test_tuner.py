"""`DropoutTuner` as a KerasTuner user meets it."""

import json

import backends
import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from keras import layers
from keras_tuner import oracles

from dropout_zoo.models import build_mlp, dropout_sites
from dropout_zoo.training import MemberTrainer, TrainSettings, targets_for
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner
from dropout_zoo.tuning.keras_tuner_internals import allow_collisions

RATES = [0.1, 0.3, 0.5]
QUIET = {"max_consecutive_failed_trials": 100, "seed": 1}


ON_JAX = """
import sys

import numpy as np
from keras_tuner import oracles

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset, MemberTrainer, TrainSettings
from dropout_zoo.training.engine.cores import usable_cores
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner

random = np.random.default_rng(0)
x, y = random.normal(size=(40, 6)).astype("float32"), random.integers(0, 3, 40)
data = Dataset.from_arrays((x, y), (x, y), (x, y))
hypermodel = DropoutHyperModel(
    build_mlp(input_shape=(6,), num_classes=3, units=(4,), hidden_rates=0.4),
    [0.1 * number for number in range(9)],
)


def build(hp):
    return build_mlp(
        input_shape=(6,), num_classes=3, units=(4,),
        hidden_rates=hp.Choice("rate", hypermodel.space.choices["hidden_1_dropout"]),
    )


class Counted(MemberTrainer):
    def train(self, members, on_result=None):
        sizes.append(len(members))
        return super().train(members, on_result)


cores = usable_cores()
settings = TrainSettings(epochs=1, batch_size=64)
trainer = Counted(hypermodel.model, data, settings, keep_state=True)
assert trainer.max_parallel > 100
by_cores = [min(cores, 6 - done) for done in range(0, 6, cores)]  # of 9, so that it finds them
first = min(cores, 9)
for name, oracle, wanted, expected in (
    ("grid", oracles.GridSearchOracle("val_loss"), hypermodel, [9]),
    ("random", oracles.RandomSearchOracle("val_loss", max_trials=6), hypermodel, [6]),
    ("learns", oracles.BayesianOptimizationOracle("val_loss", max_trials=6), hypermodel, by_cores),
    ("built", oracles.GridSearchOracle("val_loss"), build, [first, 9 - first][: 1 + (first < 9)]),
):
    sizes = []
    DropoutTuner(oracle, wanted, directory=sys.argv[1], project_name=name).search_with(trainer)
    assert sizes == expected, (name, sizes)
print("all is well")
"""


def model():
    return build_mlp(units=(8,), hidden_rates=(0.4,))


def grid(**arguments):
    return oracles.GridSearchOracle("val_loss", **QUIET | arguments)


def make(tmp_path, oracle, hypermodel=None, **arguments):
    return DropoutTuner(
        oracle,
        DropoutHyperModel(model(), RATES) if hypermodel is None else hypermodel,
        directory=tmp_path,
        project_name="search",
        **arguments,
    )


@pytest.fixture(scope="module")
def searched(few_digits, tmp_path_factory):
    """A tuner that has searched a grid, and the folder that it did it in."""
    folder = tmp_path_factory.mktemp("searched")
    tuner = make(folder, grid())
    tuner.search(few_digits, epochs=2)
    return tuner, folder


def test_results_are_read_as_with_any_tuner(searched, few_digits, capsys):
    tuner, _ = searched
    trials = tuner.oracle.get_best_trials(10)
    assert [trial.score for trial in trials] == sorted(trial.score for trial in trials)
    assert {t.hyperparameters.get("hidden_1_dropout") for t in trials} == set(RATES)
    best_hp = tuner.get_best_hyperparameters()[0]
    best = tuner.get_best_models()[0]
    assert dropout_sites(best)[0].rate == best_hp.get("hidden_1_dropout")
    x, y = few_digits.validation
    measured = best.evaluate(x, targets_for(best, y, 10), verbose=0)[0]
    assert measured == pytest.approx(trials[0].score, abs=1e-5)
    tuner.results_summary()
    assert f"Score: {trials[0].score}" in capsys.readouterr().out


def test_a_new_tuner_on_the_directory_has_the_results(searched, few_digits):
    tuner, folder = searched
    again = make(folder, grid())
    assert again.get_best_hyperparameters()[0].values == tuner.get_best_hyperparameters()[0].values
    x = few_digits.test[0]
    np.testing.assert_array_equal(
        again.get_best_models()[0].predict(x, verbose=0),
        tuner.get_best_models()[0].predict(x, verbose=0),
    )
    before = {trial.trial_id: trial.score for trial in again.oracle.trials.values()}
    again.search(few_digits, epochs=2)  # there is nothing left to try
    assert {trial.trial_id: trial.score for trial in again.oracle.trials.values()} == before


@pytest.mark.parametrize(
    "batch", [4, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 64))]
)
def test_a_grid_is_exhausted_in_batches(few_digits, tmp_path, batch):
    hypermodel = DropoutHyperModel(build_mlp(units=(4, 4), hidden_rates=(0.4, 0.3)), RATES)
    tuner = make(tmp_path, grid(), hypermodel, parallel_trials=batch)
    sizes = []

    class Counted(MemberTrainer):
        def train(self, members, on_result=None):
            sizes.append(len(members))
            return super().train(members, on_result)

    settings = TrainSettings(epochs=1, batch_size=64)
    tuner.search_with(Counted(hypermodel.model, few_digits, settings))
    trials = tuner.oracle.trials.values()
    assert len({tuple(sorted(t.hyperparameters.values.items())) for t in trials}) == 9
    assert sizes == {1: [1] * 9, 4: [4, 4, 1], 64: [9]}[batch]


def test_arrays_are_taken_as_by_keras(few_digits, tmp_path):
    tuner = make(tmp_path, grid())
    x, y = few_digits.train
    tuner.search(x, y, validation_data=few_digits.validation, epochs=1)
    assert len(tuner.oracle.trials) == 3
    with pytest.raises(ValueError, match="validation_data or validation_split, received both"):
        tuner.search(x, y, validation_data=(x, y), validation_split=0.2)


@pytest.mark.slow
def test_hyperband_continues_what_it_promotes(few_digits, tmp_path):
    oracle = oracles.HyperbandOracle("val_loss", max_epochs=4, factor=2, **QUIET)
    tuner = make(tmp_path, oracle, DropoutHyperModel(model(), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    tuner.search(few_digits)
    trials = tuner.oracle.trials
    promoted = [t for t in trials.values() if t.hyperparameters.values.get("tuner/trial_id")]
    assert promoted
    for trial in promoted:
        values = trial.hyperparameters.values
        begun, continued = tuner.results[values["tuner/trial_id"]], tuner.results[trial.trial_id]
        assert list(continued.curves["epoch"]) == list(range(1, values["tuner/epochs"] + 1))
        assert begun.rates == continued.rates
        # The same as one training run without a break.
        whole = make(tmp_path / trial.trial_id, grid(), DropoutHyperModel(
            model(), [begun.rates["hidden_1_dropout"]]
        ))  # fmt: skip
        whole.search(few_digits, epochs=values["tuner/epochs"])
        (alone,) = whole.results.values()
        pd.testing.assert_frame_equal(continued.curves, alone.curves)


@pytest.mark.slow
def test_a_compiled_model_is_searched_over_the_guidance(few_digits, tmp_path):
    oracle = oracles.RandomSearchOracle("val_accuracy", max_trials=2, **QUIET)
    tuner = make(tmp_path, oracle, model())
    tuner.search(few_digits, epochs=1)
    assert len(tuner.oracle.trials) == 2
    best = tuner.oracle.get_best_trials(2)
    assert best[0].score >= best[1].score


@pytest.mark.slow
def test_any_hypermodel_of_rates_and_widths_can_be_searched(few_digits, tmp_path):
    def build(hp):
        return build_mlp(
            units=(hp.Choice("width", [4, 8]),), hidden_rates=hp.Float("rate", 0.1, 0.3, step=0.2)
        )

    tuner = make(tmp_path, grid(), build, parallel_trials=4)
    tuner.search(few_digits, epochs=1)
    trials = tuner.oracle.get_best_trials(10)
    tried = {(t.hyperparameters.get("width"), t.hyperparameters.get("rate")) for t in trials}
    assert {width for width, _ in tried} == {4, 8}
    best = tuner.get_best_models()[0]
    assert best.get_layer("hidden_1").units == trials[0].hyperparameters.get("width")
    assert dropout_sites(best)[0].rate == trials[0].hyperparameters.get("rate")


@pytest.fixture(scope="module")
def partly_failed(few_digits, tmp_path_factory):
    """A search of three settings of which one cannot be built."""

    def build(hp):
        rate = hp.Choice("rate", [0.1, 0.2, 0.3])
        if rate == 0.2:
            raise ArithmeticError("not this one")
        return build_mlp(units=(4,), hidden_rates=rate)

    tuner = make(tmp_path_factory.mktemp("partly failed"), grid(), build)
    assert tuner.get_best_models() == [], "there is none before the search"
    tuner.search(few_digits, epochs=1)
    return tuner


def test_a_trial_that_cannot_be_built_fails_alone(partly_failed):
    tuner = partly_failed
    by_rate = {t.hyperparameters.get("rate"): t for t in tuner.oracle.trials.values()}
    assert {rate: t.status for rate, t in by_rate.items()} == {
        0.1: "COMPLETED", 0.2: "FAILED", 0.3: "COMPLETED",
    }  # fmt: skip
    assert by_rate[0.2].message == "ArithmeticError: not this one"


def test_models_with_different_graphs_are_searched(few_digits, tmp_path):
    inputs = keras.Input((28, 28))
    x = layers.Dropout(0.1)(layers.Dense(8, activation="relu")(layers.Flatten()(inputs)))
    branch = layers.GaussianDropout(0.1)(layers.Dense(8)(x))
    functional = keras.Model(inputs, layers.Dense(10)(layers.add([x, branch])))
    functional.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    tuner = make(tmp_path, grid(max_trials=3), functional)
    tuner.search(few_digits, epochs=1)
    assert len(tuner.oracle.get_best_trials(5)) == 3
    assert isinstance(tuner, keras_tuner.Tuner)


@pytest.mark.slow
def test_oracles_that_need_no_results_fill_the_memory_on_jax(tmp_path):
    assert backends.last_words("jax", "-c", ON_JAX, tmp_path) == backends.WELL


@pytest.mark.parametrize(
    ("cut_off_after", "lost"),
    [
        (3, False),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [(0, True), (1, True), (1, False), (3, True)]
        ),
    ],
)
@pytest.mark.slow
def test_an_interrupted_grid_is_completed(few_digits, tmp_path, cut_off_after, lost):
    wanted = DropoutHyperModel(build_mlp(units=(4, 4), hidden_rates=(0.4, 0.3)), RATES)
    tuner = make(tmp_path, grid(), wanted, parallel_trials=2)
    ended = []

    class CutOffError(Exception):
        pass

    def count(trial):
        if len(ended) == cut_off_after:
            raise CutOffError
        ended.append(trial.trial_id)
        keep(trial)

    keep, tuner.on_trial_end = tuner.on_trial_end, count
    with pytest.raises(CutOffError):
        tuner.search(few_digits, epochs=1)
    if lost:  # killed after a trial's file was written, and before that of the oracle
        path = tmp_path / "search" / "oracle.json"
        state = json.loads(path.read_text())
        state["ongoing_trials"] = {}
        state["start_order"].pop()
        path.write_text(json.dumps(state))
    again = make(tmp_path, grid(), wanted, parallel_trials=2)
    again.search(few_digits, epochs=1)
    trials = again.oracle.trials.values()
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert len(trials) == 9
    assert len({tuple(sorted(t.hyperparameters.values.items())) for t in trials}) == 9


def test_only_completed_trials_can_be_the_best(partly_failed):
    best = partly_failed.get_best_models(3)
    assert {dropout_sites(model)[0].rate for model in best} == {0.1, 0.3}


def test_results_can_be_used_after_the_search(searched):
    tuner, _ = searched
    for trial_id, result in tuner.results.items():
        kept = tuner.load_model(tuner.oracle.trials[trial_id])
        for one, other in zip(result.model().get_weights(), kept.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_bayesian_optimization_suggests_no_setting_twice(few_digits, tmp_path):
    oracle = oracles.BayesianOptimizationOracle("val_loss", max_trials=9, **QUIET)
    wanted = DropoutHyperModel(build_mlp(units=(4, 4), hidden_rates=(0.4, 0.3)), RATES)
    allow_collisions(oracle, 200)
    tuner = make(tmp_path, oracle, wanted, parallel_trials=2)
    tuner.search(few_digits, epochs=1)
    trials = tuner.oracle.trials.values()
    assert len({tuple(sorted(t.hyperparameters.values.items())) for t in trials}) == 9
    # The oracle that was given has the trials too, and its class is as it was.
    assert type(oracle) is oracles.BayesianOptimizationOracle
    assert oracle.trials == tuner.oracle.trials
    assert oracle.get_best_trials(9) == tuner.oracle.get_best_trials(9)


@pytest.mark.slow
def test_a_validation_split_is_as_in_keras(few_digits, tmp_path):
    x, y = few_digits.train
    split = make(tmp_path / "split", grid())
    split.search(x, y, validation_split=0.2, epochs=1)
    kept = int(len(x) * (1 - 0.2))
    given = make(tmp_path / "given", grid())
    given.search(x[:kept], y[:kept], validation_data=(x[kept:], y[kept:]), epochs=1)
    scores = [[t.score for t in tuner.oracle.trials.values()] for tuner in (split, given)]
    assert scores[0] == scores[1]
    for nothing in (0, 0.0):
        words = rf"in \(0, 1\), received {nothing}; leave it out .* or pass validation_data"
        with pytest.raises(ValueError, match=words):
            split.search(x, y, validation_split=nothing, epochs=1)
    with pytest.raises(ValueError, match=r"validation_split to be in \(0, 1\), received 1.0"):
        split.search(x, y, validation_split=1.0)


@pytest.mark.slow
def test_class_weights_are_used(few_digits, tmp_path):
    scores = []
    for name, weights in (("plain", None), ("weighted", {0: 5.0, 1: 0.1})):
        tuner = make(tmp_path / name, grid())
        tuner.search(few_digits, epochs=1, class_weight=weights)
        scores.append(tuner.oracle.get_best_trials()[0].score)
    assert scores[0] != scores[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:expected a metric of the validation set:UserWarning")
@pytest.mark.filterwarnings("ignore:Model.fit trains the trials:UserWarning")
def test_a_validation_split_of_0_is_that_of_keras(few_digits, tmp_path):
    x, y = few_digits.train
    with_data = make(tmp_path / "with", grid())
    with_data.search(x, y, validation_data=few_digits.validation, validation_split=0.0, epochs=1)
    assert len(with_data.get_best_models()) == 1
    without = make(tmp_path / "without", oracles.GridSearchOracle("loss"))
    without.search(x, keras.utils.to_categorical(y, 10), validation_split=0, epochs=1)
    assert len(without.get_best_models()) == 1
