"""The search space, and every oracle on it."""

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from dropout_zoo.models import SEARCHED_RATES, build_cnn, build_mlp, dropout_sites
from dropout_zoo.training import Objective, TrainSettings, load_dataset
from dropout_zoo.training.engine.timing import TrainingSpeed
from dropout_zoo.tuning import DropoutHyperModel, search_space
from dropout_zoo.tuning.defaults import ORACLES
from dropout_zoo.tuning.search.search import Search, TuningSettings
from dropout_zoo.tuning.tuners.oracles import default_oracle, make_oracle, trial_limit

LOSS = Objective("val_loss", "min")


def encoder():
    """Two dropout layers that one argument of a composite layer sets."""
    inputs = keras.Input((6, 8))
    x = layers.Bidirectional(layers.LSTM(4, dropout=0.2, recurrent_dropout=0.1))(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def drive(oracle, score=lambda values: sum(values.values())):
    """Run an oracle to its end; the values of its trials, in order."""
    tried = []
    while True:
        trial = oracle.create_trial("tuner0")
        if trial.status != "RUNNING":
            return tried
        values = trial.hyperparameters.values
        tried.append(
            {name: value for name, value in values.items() if not name.startswith("tuner/")}
        )
        oracle.update_trial(trial.trial_id, {"val_loss": score(tried[-1])})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)


def oracle_on(name, space, seed=0, trials=None):
    oracle = make_oracle(name, space, objective=LOSS, max_trials=trials, epochs=9, seed=seed)
    hp = keras_tuner.HyperParameters()
    for path, rates in space.choices.items():
        hp.Choice(path, list(rates), ordered=True)
    oracle.update_space(hp)
    return oracle


def test_hidden_sites_are_searched_over_the_guidance():
    space = search_space(build_mlp())
    assert dict(space.choices) == {
        "hidden_1_dropout": SEARCHED_RATES,
        "hidden_2_dropout": SEARCHED_RATES,
    }
    assert space.size == 16
    assert (SEARCHED_RATES[0], SEARCHED_RATES[-1]) == (0.2, 0.5)


def test_input_sites_are_searched_like_hidden_ones_and_output_sites_are_not():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dropout(0.1, name="in"),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.1, name="mid"),
            layers.Dense(2),
            layers.Dropout(0.1, name="out"),
        ]
    )
    assert dict(search_space(model).choices) == {"in": SEARCHED_RATES, "mid": SEARCHED_RATES}
    assert list(search_space(model, placements=["input"]).choices) == ["in"]
    assert list(search_space(model, placements="input").choices) == ["in"]
    assert dict(search_space(model, rates={"out": [0.1, 0.3]}).choices)["out"] == (0.1, 0.3)


def test_rates_override_the_guidance():
    assert set(search_space(build_mlp(), rates=[0.7, 0.1]).choices.values()) == {(0.1, 0.7)}
    with pytest.raises(ValueError, match=r"by site path \(hidden_1_dropout, hidden_2_dropout"):
        search_space(build_mlp(), rates={"hidden": [0.1]})
    with pytest.raises(ValueError, match=r"'hiden_1_dropout'; did you mean 'hidden_1_dropout'\?"):
        search_space(build_mlp(), rates={"hiden_1_dropout": [0.1]})
    with pytest.raises(ValueError, match=r"received 'hiden'; did you mean 'hidden'\?"):
        search_space(build_mlp(), placements="hiden")
    with pytest.raises(ValueError, match=r"received 'hyperbnd'; did you mean 'hyperband'\?"):
        trial_limit("hyperbnd", search_space(build_mlp()), None, epochs=1)
    with pytest.raises(ValueError, match="at least one rate"):
        search_space(build_mlp(), rates=[])


def test_a_single_rate_can_be_given():
    assert set(search_space(build_mlp(), rates=0.3).choices.values()) == {(0.3,)}
    chosen = search_space(build_mlp(), rates={"hidden_1_dropout": 0.3}).choices
    assert chosen["hidden_1_dropout"] == (0.3,)
    assert len(chosen["hidden_2_dropout"]) == 4
    for wrong in (50, [20, 50], {"hidden_1_dropout": 50}):
        with pytest.raises(ValueError, match=r"the fraction dropped.*for [25]0% write 0\.[25]"):
            search_space(build_mlp(), rates=wrong)


def test_sites_share_a_rate_if_the_grid_would_be_too_large():
    deep = build_mlp(units=(4, 4, 4), hidden_rates=0.5, input_rate=0.2)
    space = search_space(deep)
    assert dict(space.sites) == {
        "input_dropout": ("input_dropout",),
        "hidden_1_dropout": ("hidden_1_dropout", "hidden_2_dropout", "hidden_3_dropout"),
    }
    assert (space.size, space.size_without_sharing) == (16, 4**4)
    assert "there would be 256 settings" in space.note
    assert space.site_rates({"input_dropout": 0.2, "hidden_1_dropout": 0.4}) == {
        "input_dropout": 0.2, "hidden_1_dropout": 0.4, "hidden_2_dropout": 0.4,
        "hidden_3_dropout": 0.4,
    }  # fmt: skip
    assert default_oracle(space) == "grid"


def test_sites_have_their_own_rates_in_a_small_grid_or_by_path():
    for model, rates in (
        (build_mlp(), None),
        (build_mlp(units=(4,) * 5, hidden_rates=0.5), [0.2, 0.5]),
        (build_mlp(units=(4,) * 5, hidden_rates=0.5), {"hidden_1_dropout": [0.2, 0.5]}),
    ):
        space = search_space(model, rates)
        assert all(len(paths) == 1 for paths in space.sites.values())
        assert space.note == ""
    assert default_oracle(space) == "halving"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Model.fit trains the members")
@pytest.mark.parametrize("name", ["vit", "transformer"])
def test_searches_of_registered_models_are_short_enough(name, few_digits, monkeypatch):
    data = few_digits if name == "vit" else load_dataset("topics")
    search = Search(name, data, TuningSettings(training=TrainSettings(epochs=1)))
    assert search.num_runs < 120
    timed = []
    monkeypatch.setattr(
        "dropout_zoo.tuning.search.search.measure_speed",
        lambda trainer, members: timed.append(len(members)) or TrainingSpeed(0, 0, 1, 1),
    )
    assert search.estimate().longest == search.num_runs
    by_path = dict.fromkeys(search.given, SEARCHED_RATES)
    by_path = Search(name, data, TuningSettings(oracle="grid", rates=by_path))
    assert by_path.space.size >= 4 ** len(search.given)
    assert by_path.estimate().typical > 0
    assert max(timed) < 1000


def test_a_model_without_dropout_has_nothing_to_search():
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"received a model without any; add .*Dropout\(0.2\)"):
        search_space(plain)
    last = keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Dropout(0.2, name="last")])
    with pytest.raises(ValueError, match=r"last \(output\); .*pass rates=\{'last': \[0.2, 0.5\]\}"):
        search_space(last)
    with pytest.raises(
        ValueError,
        match=r"whose placement is input or output, received a model whose only sites are "
        r"hidden_1_dropout \(hidden\); to search",
    ):
        search_space(build_cnn(), placements=["output", "input"])


def test_sites_that_one_argument_sets_are_searched_together():
    space = search_space(encoder())
    assert len(space.choices) == 2
    assert sorted(len(paths) for paths in space.sites.values()) == [2, 2]
    rates = space.site_rates(dict(zip(space.choices, (0.4, 0.3), strict=True)))
    assert sorted(rates.values()) == [0.3, 0.3, 0.4, 0.4]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_valid_rates_make_a_sorted_space(rates):
    space = search_space(MODEL, rates=rates)
    for choices in space.choices.values():
        assert list(choices) == sorted(set(map(float, rates)))


@given(st.one_of(st.floats(1), st.floats(max_value=-1e-9), st.text(), st.booleans()))
@settings(max_examples=25, deadline=None)
def test_anything_else_is_refused(rate):
    with pytest.raises(ValueError, match="expected a rate of hidden_1_dropout to be"):
        search_space(MODEL, rates=[rate])


MODEL = build_mlp(units=(4,), hidden_rates=(0.5,))


def test_an_edge_needs_three_rates():
    space = search_space(build_mlp(input_rate=0.2), {"hidden_2_dropout": SEARCHED_RATES})
    rates = {"input_dropout": 0.25, "hidden_1_dropout": 0.5, "hidden_2_dropout": 0.3}
    assert space.on_edge(rates) == ["hidden_1_dropout"]


def test_rates_beyond_all_that_were_tried_are_outside():
    space = search_space(build_mlp(), {"hidden_1_dropout": [0.3], "hidden_2_dropout": [0.2, 0.4]})
    assert space.outside({"hidden_1_dropout": 0.3, "hidden_2_dropout": 0.4}) == []
    assert space.outside({"hidden_1_dropout": 0.2, "hidden_2_dropout": 0.5}) == [
        "hidden_1_dropout", "hidden_2_dropout",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ORACLES)
def test_every_oracle_reaches_both_ends_and_stays_on_the_grid(name):
    space = search_space(build_cnn())
    tried = [values["hidden_1_dropout"] for values in drive(oracle_on(name, space))]
    assert {0.2, 0.5} <= set(tried) <= set(SEARCHED_RATES)


@pytest.mark.parametrize(
    "name", ["grid", "random", pytest.param("bayesian", marks=pytest.mark.slow)]
)
def test_no_setting_is_tried_twice_and_a_small_space_is_exhausted(name):
    space = search_space(build_mlp(), rates=[0.2, 0.3, 0.4, 0.5])
    tried = drive(oracle_on(name, space, trials=16))
    assert len(tried) == 16
    assert len({tuple(sorted(values.items())) for values in tried}) == 16


@pytest.mark.parametrize("rates", [[0.2, 0.5], [0.2, 0.3, 0.4, 0.5], None])
def test_hyperband_promotes_the_best_in_any_space(rates):
    space = search_space(build_cnn(), rates=rates)
    oracle = oracle_on("hyperband", space)
    assert len(drive(oracle)) == oracle.total_trials
    trials = [trial.hyperparameters.values for trial in oracle.trials.values()]
    best = [values for values in trials if values["tuner/epochs"] == 9]
    assert min(values["hidden_1_dropout"] for values in best) == 0.2
    promoted = [values for values in trials if values["tuner/initial_epoch"]]
    assert promoted
    assert len(trials) - len(promoted) == trial_limit("hyperband", space, None, 9)
    for values in promoted:
        earlier = oracle.trials[values["tuner/trial_id"]].hyperparameters.values
        assert earlier["tuner/epochs"] == values["tuner/initial_epoch"]
        assert earlier["hidden_1_dropout"] == values["hidden_1_dropout"]


@pytest.mark.parametrize("name", ["random", "bayesian", "hyperband"])
def test_the_seed_determines_the_trials_and_may_be_zero(name):
    space = search_space(build_mlp())
    trials = None if name == "hyperband" else 6
    runs = [drive(oracle_on(name, space, seed=seed, trials=trials)) for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_number_of_trials_is_limited():
    space = search_space(build_mlp())
    assert trial_limit("grid", space, None, 9) == 16
    assert trial_limit("random", space, None, 9) == 16
    assert trial_limit("random", space, 5, 9) == 5
    with pytest.raises(ValueError, match="'grid', 'random', 'bayesian', 'halving', 'hyperband'"):
        trial_limit("greedy", space, None, 9)
    with pytest.raises(ValueError, match="max_trials to be a whole number"):
        trial_limit("grid", space, 0, 9)
    assert trial_limit("halving", space, None, 9) == 16
    assert trial_limit("halving", space, 8, 9) == 8
    with pytest.raises(ValueError, match=r"expected max_trials with .*received oracle='hyperband'"):
        trial_limit("hyperband", space, 5, 9)


@pytest.mark.slow
def test_the_hypermodel_works_with_any_tuner_of_keras_tuner(few_digits, tmp_path):
    from dropout_zoo.training import targets_for

    model = build_mlp(units=(8,), hidden_rates=(0.5,))
    x, y = few_digits.train
    targets = targets_for(model, y, 10)
    tuner = keras_tuner.RandomSearch(
        DropoutHyperModel(model, rates=[0.1, 0.5]),
        "val_loss",
        max_trials=2,
        seed=1,
        directory=tmp_path,
    )
    tuner.search(x, targets, validation_data=(x, targets), epochs=1, verbose=0)
    best = tuner.get_best_models()[0]
    assert dropout_sites(best)[0].rate in (0.1, 0.5)
    assert type(best.get_layer("hidden_1_dropout")) is layers.Dropout
    # Every build starts from weights of its own.
    hp = tuner.get_best_hyperparameters()[0]
    first, second = (tuner.hypermodel.build(hp).get_weights()[0] for _ in range(2))
    assert not np.array_equal(first, second)
