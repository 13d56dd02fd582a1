"""Wrong labels, a rare class, corrupted inputs and co-adaptation: measured as they are named."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from nets import net_with_initializer

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    ActivationDisplay,
    Execution,
    FactorCurveDisplay,
    FeatureDisplay,
    coadaptation,
    epoch_sweep,
    imbalance_sweep,
    label_noise_sweep,
    plan_imbalance_sweep,
    robustness,
)
from dropout_zoo.studies.data.corruption import corrupted, with_rare_class, with_wrong_labels
from dropout_zoo.studies.plan import NO_DROPOUT

ALONE = Execution(workers=1)


@pytest.fixture(scope="module")
def model():
    return build_mlp(units=(32,), hidden_rates=(0.5,))


@pytest.fixture(scope="module")
def units(model, few_digits):
    return coadaptation(model, few_digits, epochs=8, seeds=2, execution=ALONE)


def test_wrong_labels_are_as_many_as_told_and_really_wrong(few_digits):
    data, wrong = with_wrong_labels(few_digits, 0.2, seed=0)
    differs = np.flatnonzero(data.train[1] != few_digits.train[1])
    np.testing.assert_array_equal(differs, wrong)
    assert len(wrong) == 30
    assert set(wrong) <= set(with_wrong_labels(few_digits, 0.4, seed=0)[1])
    assert data.validation is few_digits.validation


@pytest.mark.slow
def test_wrong_labels_are_learnt_by_heart_without_dropout(few_digits):
    result = label_noise_sweep(
        build_mlp(units=(128,), hidden_rates=0.5), few_digits, noise=(0.0, 0.4), rates=(0.8,),
        epochs=100, seeds=2, execution=ALONE,
    )  # fmt: skip
    means = {
        metric: result.means(metric).set_index("setting")["mean"]
        for metric in ("memorized", "clean_accuracy")
    }
    learnt = means["memorized"]
    assert np.isnan(learnt["0% wrong labels, no dropout"])
    assert learnt["40% wrong labels, no dropout"] > 0.8
    assert learnt["40% wrong labels, rate 0.80"] < learnt["40% wrong labels, no dropout"]
    right = means["clean_accuracy"]
    assert right["40% wrong labels, no dropout"] < right["0% wrong labels, no dropout"]
    share = f"{learnt['40% wrong labels, no dropout']:.0%}"
    text = f"40% wrong labels, no dropout: {share} of the wrong labels memorized."
    assert text in result.summary()
    last = result.data[result.data["epoch"] == 100].set_index(["setting", "seed"])
    name = ("0% wrong labels, no dropout", 0)
    assert last.loc[name, "clean_accuracy"] == pytest.approx(last.loc[name, "val_accuracy"])
    axis = FactorCurveDisplay.from_result(result, "clean_accuracy").plot().ax_
    assert axis.get_xlabel() == "share of training labels that are wrong"
    assert axis.get_ylabel() == "error (%) on correct labels after the last epoch"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [NO_DROPOUT, "rate 0.80"]
    plt.close(axis.figure)


@pytest.mark.slow
def test_a_rare_class_is_made_rare_and_found_less_often(few_digits, model):
    data = with_rare_class(few_digits, 3, 10, seed=0)
    before, after = (np.bincount(each.train[1]) for each in (few_digits, data))
    assert after[3] == max(1, round(before[3] / 10))
    np.testing.assert_array_equal(np.delete(after, 3), np.delete(before, 3))
    result = imbalance_sweep(
        model, few_digits, rare=3, ratios=(1, 100), rates=(0.5,), epochs=15, seeds=2,
        execution=ALONE,
    )  # fmt: skip
    recall = result.means("rare_recall").set_index("setting")["mean"]
    assert recall["1:1, no dropout"] > 0.5
    assert recall["100:1, no dropout"] < recall["1:1, no dropout"]
    assert result.controls == {
        "1:1, rate 0.50": "1:1, no dropout", "100:1, rate 0.50": "100:1, no dropout",
    }  # fmt: skip
    with pytest.raises(ValueError, match="expected rare to be a class from 0 to 9, received 12"):
        imbalance_sweep(model, few_digits, rare=12)


def test_corruptions_are_of_the_size_they_say(few_digits):
    x = few_digits.validation[0]
    noise = corrupted(x, "gaussian noise", 0.3, seed=0) - x
    assert noise.std() == pytest.approx(0.3 * x.max(), rel=0.02)
    missing = corrupted(x, "missing pixels", 0.4, seed=0)
    lost = (missing == 0)[x > 0]
    assert lost.mean() == pytest.approx(0.4, abs=0.02)
    np.testing.assert_array_equal(missing[missing > 0], x[missing > 0])
    with pytest.raises(ValueError, match="expected levels to be one of"):
        corrupted(x, "fog", 0.1, seed=0)


def test_robustness_measures_one_training_at_every_level(few_digits, model):
    result = robustness(
        model, few_digits, levels={"gaussian noise": (0, 0.8), "missing pixels": (0.5,)},
        epochs=15, seeds=2, execution=ALONE,
    )  # fmt: skip
    scores = result.scores()
    assert len(scores) == 2 * 2 * 3
    clean = scores[(scores["corruption"] == "gaussian noise") & (scores["severity"] == 0)]
    trained = clean.set_index(["dropout", "seed"])["score"]
    assert trained.min() > 0.5
    noisy = scores[scores["severity"] == 0.8].set_index(["dropout", "seed"])["score"]
    assert (noisy < trained).all()
    assert set(result.gains()["setting"]) == {
        "as given, gaussian noise 0", "as given, gaussian noise 0.8",
        "as given, missing pixels 0.5",
    }  # fmt: skip
    axis = FactorCurveDisplay.from_result(result).plot().ax_
    assert axis.get_xlabel() == "severity of the corruption of test inputs"
    assert len(axis.get_legend().get_texts()) == 4
    plt.close(axis.figure)


@pytest.mark.slow
def test_units_are_measured_as_they_are_named(units, few_digits):
    data = units.data
    assert len(data) == 2 * 2 * 32
    assert data["active_share"].between(0, 1).all()
    assert data["correlation"].dropna().between(0, 1).all()
    assert data["ablation"].mean() > 0, "a unit that is missed adds loss"
    counts = np.stack(data["counts"].to_list())
    assert set(counts.sum(axis=1)) == {len(few_digits.validation[1])}
    assert {len(feature) for feature in data["feature"]} == {784}
    means = data.groupby("dropout")["mean_activation"].mean()
    given, without = means["as given"], means[NO_DROPOUT]
    text = f"as given: mean activation {given:.3g}, compared with {without:.3g} without dropout"
    assert text in units.summary()


def test_a_unit_without_weights_is_not_missed(few_digits):
    from dropout_zoo.studies.experiments.coadaptation import _units

    model = build_mlp(units=(6,), hidden_rates=0.5)
    kernel, bias = model.get_layer("hidden_1").get_weights()
    kernel[:, 2] = 0
    model.get_layer("hidden_1").set_weights([kernel, bias])
    before = model.get_weights()
    x, y = few_digits.validation
    table, values = _units(model, x, y, 10)
    assert table["ablation"][2] == pytest.approx(0, abs=1e-6)
    assert table["active_share"][2] == 0
    assert np.isnan(table["correlation"][2])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    hidden = np.maximum(x.reshape(len(x), -1) @ kernel + bias, 0)
    np.testing.assert_allclose(values, hidden, rtol=1e-4, atol=1e-5)
    without = kernel.copy()
    without[:, 0] = 0
    model.get_layer("hidden_1").set_weights([without, bias])
    targets = np.eye(10)[y]
    ablated = model.evaluate(x, targets, verbose=0)[0]
    model.set_weights(before)
    whole = model.evaluate(x, targets, verbose=0)[0]
    assert table["ablation"][0] == pytest.approx(ablated - whole, abs=1e-4)


def test_layers_that_cannot_be_ablated_are_refused(few_digits):
    model = build_mlp(units=(6,), hidden_rates=0.5, activation="sigmoid")
    with pytest.raises(ValueError, match=r"activation that is 0 at 0.*received one that is 0\.5"):
        coadaptation(model, few_digits)
    flat = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dropout(0.1),
         keras.layers.Dense(10, activation="softmax")]
    )  # fmt: skip
    flat.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match="expected a model with a hidden Dense layer"):
        coadaptation(flat, few_digits, sites="all")


def test_features_are_the_weights_of_the_units_that_matter_most(units):
    display = FeatureDisplay.from_result(units, units=4).plot()
    assert [axis.get_title() for axis in display.axes_] == [
        "no dropout: 4 units", "as given: 4 units",
    ]  # fmt: skip
    first = units.data[(units.data["seed"] == 0) & (units.data["dropout"] == NO_DROPOUT)]
    top = np.reshape(first.nlargest(1, "ablation")["feature"].iloc[0], (28, 28))
    drawn = display.axes_[0].get_images()[0].get_array()
    assert drawn.shape == (57, 57)
    np.testing.assert_allclose(drawn[:28, :28], top)
    limits = {image.get_clim() for axis in display.axes_ for image in axis.get_images()}
    assert len(limits) == 1, "one scale for all settings"
    plt.close(display.figure_)


def test_activations_are_drawn_as_shares_of_each_setting(units):
    display = ActivationDisplay.from_result(units).plot()
    means, values = display.axes_
    assert means.get_xlabel() == "mean activation of a unit"
    assert values.get_xlabel() == "activation"
    for axis in display.axes_:
        assert [patch.get_label() for patch in axis.patches] == [NO_DROPOUT, "as given"]
        hatches = [patch.get_hatch() for patch in axis.patches]
        assert hatches[0] != hatches[1], "never color alone"
        for patch in axis.patches:
            assert patch.get_data().values.sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="expected the result of coadaptation"):
        ActivationDisplay.from_result(type(units)("rate_sweep", units.data, {}, {}, ()))
    plt.close(display.figure_)


@keras.saving.register_keras_serializable("tests")
class SometimesNaN(keras.initializers.GlorotUniform):
    """Weights that are no numbers, for about every other seed."""

    def __call__(self, shape, dtype=None):
        values = super().__call__(shape, dtype)
        return keras.ops.where(keras.ops.sum(values) > 0, values, np.nan)


@pytest.fixture(scope="module")
def sometimes_lost():
    return net_with_initializer(SometimesNaN())


@pytest.mark.parametrize(
    "study",
    [
        epoch_sweep,
        coadaptation,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (label_noise_sweep, robustness)),
    ],
)
def test_seeds_that_diverge_are_told_and_left_out(sometimes_lost, few_digits, study):
    result = study(sometimes_lost, few_digits, epochs=2, seeds=6, execution=ALONE)
    assert "did not complete" in result.summary()
    if study in (epoch_sweep, label_noise_sweep):
        scores = result.scores()
        lost = scores["status"] == "diverged"
        assert 0 < lost.sum() < len(scores)
        assert scores.loc[lost, "best_epoch"].isna().all()
        assert scores.loc[~lost, "best_epoch"].notna().all()
    if study is epoch_sweep:
        assert (result.means("best_epoch")["seeds"] < 6).all()
        assert "nan%" not in result.summary()


def test_a_ratio_that_is_given_twice_is_trained_once(model, few_digits):
    once = plan_imbalance_sweep(model, few_digits, ratios=(10,), seeds=2)
    assert plan_imbalance_sweep(model, few_digits, ratios=(10, 10), seeds=2).trainings == (
        once.trainings
    )


def test_an_unknown_setting_is_reported_with_the_study_it_was_given_to(model, few_digits):
    with pytest.raises(TypeError, match=r"epoch_sweep\(\)"):
        epoch_sweep(model, few_digits, epoch=3)


@pytest.mark.slow
def test_another_rare_class_is_another_study(model, few_digits, tmp_path):
    settings = {"ratios": (10,), "epochs": 1, "seeds": 2}
    execution = Execution(directory=tmp_path / "study", workers=1)
    imbalance_sweep(model, few_digits, rare=0, **settings, execution=execution)
    with pytest.raises(ValueError, match="expected a directory of the same study"):
        imbalance_sweep(model, few_digits, rare=3, **settings, execution=execution)


@pytest.mark.slow
def test_levels_of_noise_and_rates_that_differ_little_are_settings_of_their_own(model, few_digits):
    result = label_noise_sweep(
        model, few_digits, noise=(0.101, 0.104), rates=(0.12, 0.125), epochs=1, seeds=1,
        execution=ALONE,
    )  # fmt: skip
    assert list(dict.fromkeys(result.data["setting"])) == [
        f"{noise}% wrong labels, {dropout}"
        for noise in ("10.1", "10.4")
        for dropout in ("no dropout", "rate 0.12", "rate 0.125")
    ]
