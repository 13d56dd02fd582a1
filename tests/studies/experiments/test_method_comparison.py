"""Methods against overfitting: what differs between the settings, and that nothing else does."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    DifferenceDisplay,
    Execution,
    compare_methods,
    robustness,
    split_classes,
)
from dropout_zoo.studies.defaults import METHODS
from dropout_zoo.studies.experiments.methods import MORE_DATA, NO_METHOD, methods_for
from dropout_zoo.studies.experiments.transfer import transferred_model
from dropout_zoo.training import Dataset, load_dataset

ALONE = Execution(workers=1)


def small(
    units=(12,), kernel_regularizer=None, max_norm=None, batch_norm=None,
    input_shape=(28, 28), num_classes=10,
):  # fmt: skip
    return build_mlp(
        input_shape=input_shape, num_classes=num_classes, units=units, hidden_rates=0.0,
        kernel_regularizer=kernel_regularizer, max_norm=max_norm,
        batch_norm=batch_norm,
    )  # fmt: skip


@pytest.fixture(scope="module")
def race(few_digits):
    return compare_methods(
        small, few_digits,
        methods=["L2", "dropout", "early stopping", "more data", "smaller model"],
        epochs=3, num_seeds=3, num_tuning_seeds=1, execution=ALONE,
    )  # fmt: skip


@pytest.mark.slow
def test_the_race_runs_on_seeds_that_the_tuning_has_not_seen(race):
    assert set(race.scores()["seed"]) == {0, 1, 2}
    record = race.settings["arguments"]["tuning"]
    assert [entry["option"] for entry in record if entry["method"] == "L2"] == [
        "1e-05", "0.0001", "0.001",
    ]  # fmt: skip
    assert set(race.means()["setting"]) == {
        NO_METHOD, "L2", "dropout", "early stopping", "more data", "smaller model",
    }  # fmt: skip
    for method in ("L2", "dropout", "smaller model"):
        tried = {e["option"]: e["mean"] for e in record if e["method"] == method}
        [used] = set(race.data.loc[race.data["method"] == method, "option"])
        assert tried[used] == max(tried.values())
        assert f"{method} {used}" in race.summary()


@pytest.mark.slow
def test_all_methods_get_as_many_updates(race):
    lengths = race.data.groupby("method")["epoch"].max()
    assert lengths["dropout"] == 3
    assert lengths["more data"] == 2, "twice the examples, half the epochs, rounded up"


@pytest.mark.slow
def test_only_early_stopping_chooses_its_epoch(race):
    scores = race.scores()
    others = scores[scores["method"] != "early stopping"]
    last = race.data.groupby("run")["epoch"].max()
    assert (others["epoch"] == others["run"].map(last)).all()
    stopped = race.curves("early stopping")
    best = stopped.groupby("seed")["val_accuracy"].max()
    found = scores[scores["method"] == "early stopping"].set_index("seed")["score"]
    np.testing.assert_allclose(found, best)


@pytest.mark.slow
def test_folds_are_reported_as_a_measurement(few_digits):
    result = compare_methods(
        small,
        few_digits,
        methods=["dropout"],
        folds=3,
        epochs=1,
        num_tuning_seeds=1,
        execution=ALONE,
    )
    assert set(result.scores()["seed"]) == {0, 1, 2}
    spread = result.scores().query("method == 'no method'")["val_accuracy"].std()
    assert f"has a standard deviation of {spread:.2g} over 3 folds" in result.summary()
    assert "it does not reduce overfitting" in result.summary()
    with pytest.raises(ValueError, match="folds to be a whole number of at least 2"):
        compare_methods(small, few_digits, folds=1)


def test_methods_that_do_not_fit_are_refused(few_digits):
    def plain():
        return small()

    with pytest.raises(ValueError, match="expected methods that fit model and data"):
        compare_methods(plain, few_digits, methods=["L2"])
    for wrong, right in {"dropuot": "dropout", "L3": "L[12]", "max norm": "max-norm"}.items():
        with pytest.raises(ValueError, match=rf"received '{wrong}'; did you mean '{right}'\?"):
            compare_methods(small, few_digits, methods=[wrong])


def test_every_documented_method_exists():
    found = methods_for((128, 64), is_image=True)
    assert {*found, MORE_DATA} == {NO_METHOD, *METHODS}
    assert {"L1 + L2", "batch norm then dropout", "early stopping", "smaller model"} < set(METHODS)
    assert "augmentation" not in methods_for((128,), is_image=False)
    for option in found["dropout + L2"]:
        assert isinstance(option.arguments["kernel_regularizer"], keras.regularizers.L2)


@pytest.mark.nightly
def test_the_whole_list_runs_in_one_race(digits):
    target, others = split_classes(digits, [5, 6, 7, 8, 9])
    result = compare_methods(
        "mlp", target, examples=100, transfer=others, epochs=2, num_seeds=2, num_tuning_seeds=1
    )
    every = {*methods_for((128, 64), is_image=True), "more data", "transfer"}
    scores = result.scores()
    assert set(scores["method"]) == every
    assert result.failures().empty
    assert (scores.groupby("method")["seed"].apply(sorted).map(tuple) == (0, 1)).all()
    tuned = {entry["method"] for entry in result.settings["arguments"]["tuning"]}
    assert tuned == every
    gains = result.gains()
    assert set(gains["setting"]) == every - {NO_METHOD}
    assert set(gains["control"]) == {NO_METHOD}
    labels = DifferenceDisplay.from_result(result).plot().ax_.get_yticklabels()
    assert {label.get_text() for label in labels} == every - {NO_METHOD}
    plt.close("all")


@pytest.mark.slow
def test_transfer_brings_the_hidden_layers_of_other_classes(few_digits):
    target, source = split_classes(few_digits, [0, 1, 2, 3, 4])
    assert (target.num_classes, source.num_classes) == (5, 5)
    assert len(target.train[1]) + len(source.train[1]) == len(few_digits.train[1])
    model = transferred_model(small, {}, target, source, epochs=3)
    again = transferred_model(small, {}, target, source, epochs=3)
    fresh = small(num_classes=5)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(model.get_layer("hidden_1").bias.numpy()).max() > 0, "it has been trained"
    np.testing.assert_array_equal(model.get_layer("classifier").bias.numpy(), 0)
    assert model.count_params() == fresh.count_params()
    raced = compare_methods(
        small, target, methods=["transfer"], transfer=source, epochs=1, num_seeds=1,
        num_tuning_seeds=1, execution=ALONE,
    )  # fmt: skip
    assert list(raced.scores()["setting"]) == [NO_METHOD, "transfer"]
    with pytest.raises(ValueError, match="at least 2 of the 10 classes"):
        split_classes(few_digits, [3])


def test_transfer_brings_the_statistics_that_the_hidden_layers_were_trained_with():
    x, y = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
    source, target = (Dataset.from_arrays((given, y), (given, y)) for given in (x, x * 1000 + 5))
    model = transferred_model("tabular_mlp", {"units": (4,)}, target, source, epochs=1)
    layer = model.get_layer("normalization")
    np.testing.assert_allclose(layer.adapt_mean, x.mean(0))
    np.testing.assert_allclose(layer(x), (x - x.mean(0)) / x.std(0), rtol=1e-6)


@pytest.mark.slow
def test_the_differences_are_drawn_with_intervals_seeds_and_names(race):
    display = DifferenceDisplay.from_result(race).plot()
    axis = display.ax_
    gains = race.gains("val_accuracy").sort_values("gain")
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list(gains["setting"])
    drawn = {bar.get_label(): bar for bar in axis.containers}
    for place, row in enumerate(gains.itertuples()):
        bar = drawn[row.setting]
        x, y = bar.lines[0].get_xydata()[0].astype(float)
        assert (x, y) == pytest.approx((100 * row.gain, place))
        [segment] = bar.lines[2][0].get_segments()
        assert segment[:, 0] == pytest.approx([100 * row.low, 100 * row.high])
        hollow = bar.lines[0].get_markerfacecolor() == "white"
        assert hollow == (row.low <= 0 <= row.high)
        [dots] = [each for each in axis.collections if each.get_label() == f"_{row.setting}: seeds"]
        assert np.mean(dots.get_offsets()[:, 0]) == pytest.approx(100 * row.gain)
        assert len(dots.get_offsets()) == 3
    assert axis.get_xlabel() == (
        "gain over no method (validation error, percentage points, right is better)"
    )
    plt.close(axis.figure)


@pytest.mark.slow
def test_builders_may_add_dropout_only_on_request(few_digits):
    def bare(hidden_rates=None, kernel_regularizer=None, input_shape=(28, 28), num_classes=10):
        model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten()])
        model.add(keras.layers.Dense(8, "relu", kernel_regularizer=kernel_regularizer))
        if hidden_rates is not None:
            model.add(keras.layers.Dropout(hidden_rates, name="late"))
        model.add(keras.layers.Dense(num_classes, "softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    settings = {"epochs": 1, "num_seeds": 2, "num_tuning_seeds": 1, "execution": ALONE}
    result = compare_methods(bare, few_digits, methods=["dropout"], **settings)
    rates = result.data.groupby("setting")["rate/late"].first()
    assert rates[NO_METHOD] == 0.0
    assert rates["dropout"] > 0.0

    def never(kernel_regularizer=None, input_shape=(28, 28), num_classes=10):
        return bare(None, kernel_regularizer, input_shape, num_classes)

    with pytest.raises(ValueError, match=r"\(no method, L1, L2.* received 'dropout'"):
        compare_methods(never, few_digits, methods=["dropout"], **settings)


@pytest.mark.slow
def test_the_control_turns_off_the_defaults_of_the_builder(few_digits):
    seen = []

    def held(max_norm=3.0, kernel_regularizer=None, input_shape=(28, 28), num_classes=10):
        seen.append((max_norm, kernel_regularizer is not None))
        return small((8,), kernel_regularizer, max_norm, None, input_shape, num_classes)

    compare_methods(
        held, few_digits, methods=["L2", "max-norm"], epochs=1, num_seeds=2, num_tuning_seeds=1,
        execution=ALONE,
    )  # fmt: skip
    assert (None, False) in seen
    assert (None, True) in seen
    assert (3.0, True) not in seen


@pytest.mark.slow
def test_transfer_leaves_the_model_of_the_caller_alone(few_digits):
    model = small()
    before = model.get_weights()
    built = transferred_model(model, {}, few_digits, few_digits, epochs=1)
    assert built is not model
    assert not np.array_equal(built.get_weights()[0], before[0])
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


def test_tokens_are_not_changed_into_others():
    tokens = load_dataset("topics")
    with pytest.raises(ValueError, match="received 'synthetic data'"):
        compare_methods("lstm", tokens, methods=["synthetic data"], execution=ALONE)
    with pytest.raises(ValueError, match="reads tokens"):
        robustness("lstm", tokens, execution=ALONE)


@pytest.mark.slow
def test_an_option_at_the_end_of_its_range_is_reported(race):
    chosen = race.data.groupby("setting")["option"].first()
    ends = {
        name: {options[0].label, options[-1].label}
        for name, options in methods_for((12,), is_image=True).items()
        if len(options) > 1
    }
    told = next(line for line in race.summary().splitlines() if "at the end of their range" in line)
    for name, option in chosen.items():
        assert (f"{name} {option}" in told) == (option in ends.get(name, ())), (name, option)
