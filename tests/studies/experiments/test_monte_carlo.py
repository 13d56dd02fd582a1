"""Monte Carlo dropout against what is known by hand."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from scipy import stats

from dropout_zoo.models import DropConnect, dropout_sites
from dropout_zoo.studies import (
    MonteCarloDisplay,
    MonteCarloPrediction,
    StudyResult,
    monte_carlo,
    monte_carlo_convergence,
)

RATE = 0.4


def linear():
    """One linear unit behind dropout: mean and variance are known."""
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dropout(RATE), layers.Dense(1, use_bias=False)]
    )
    model.layers[-1].set_weights([np.linspace(-1, 2, 6, dtype="float32")[:, None]])
    return model


def test_a_linear_model_gives_the_analytic_mean_and_deviation():
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    found = monte_carlo(linear(), x, 4000)
    weights = np.linspace(-1, 2, 6)
    mean = x @ weights
    std = np.sqrt(RATE / (1 - RATE) * ((x * weights) ** 2).sum(axis=1))
    assert np.abs(found.mean[:, 0] - mean).max() < 4 * std.max() / np.sqrt(4000)
    np.testing.assert_allclose(found.std[:, 0], std, rtol=0.05)
    assert found.entropy is None
    assert found.mutual_information is None


def test_the_model_is_left_as_it_was():
    model = keras.Sequential(
        [
            keras.Input((6,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(),
            layers.Dropout(0.5), layers.Dense(3, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (64, 6)).astype("float32")
    model.fit(x, np.arange(64) % 3, epochs=1, verbose=0)
    before = [
        keras.ops.convert_to_numpy(v).copy()
        for v in (*model.variables, model.layers[2].seed_generator.state)
    ]
    plain = model.predict(x, verbose=0)
    one, other = (monte_carlo(model, x, 5, seed=seed) for seed in (1, 1))
    after = [
        keras.ops.convert_to_numpy(v).copy()
        for v in (*model.variables, model.layers[2].seed_generator.state)
    ]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert not np.array_equal(one.mean, monte_carlo(model, x, 5, seed=2).mean)
    assert vars(model.layers[2]).get("call") is None


def test_another_output_shape_is_reported():
    model = keras.Sequential([keras.Input((5, 3)), layers.Dropout(0.5), layers.Dense(4)])
    with pytest.raises(ValueError, match=r"outputs of shape \(2, 5, 4\)"):
        monte_carlo(model, np.ones((2, 5, 3), "float32"), 3)


def test_batch_normalization_stays_off():
    """With dropout's rate next to nothing, all passes are the prediction at inference."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(1e-6), layers.Dense(2)]
    )
    x = np.random.default_rng(0).normal(50, 9, (32, 4)).astype("float32")
    found = monte_carlo(model, x, 3)
    # Outputs are about 30; normalized by the batch they would be about 1. The rate scales by 1e-6,
    # which cancellation in a sum of large terms makes more of than a relative bound allows.
    np.testing.assert_allclose(found.mean, model.predict(x, verbose=0), rtol=1e-5, atol=1e-4)
    assert found.std.max() < 1e-3


def test_dropout_inside_recurrent_and_nested_layers_is_on():
    inner = keras.Sequential([keras.Input((8,)), layers.Dropout(0.5), layers.Dense(4)])
    model = keras.Sequential([keras.Input((5, 3)), layers.GRU(8, dropout=0.4), inner])
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    assert len(dropout_sites(model)) == 2
    assert (monte_carlo(model, x, 8).std > 0).all()
    inner.layers[0].rate = 0.0
    assert (monte_carlo(model, x, 8).std > 0).all(), "the GRU's own dropout is on"
    model.layers[0].cell.dropout = 0.0
    with pytest.raises(ValueError, match="expected a model with dropout at a rate above 0"):
        monte_carlo(model, x, 8)


def test_entropy_and_mutual_information_follow_their_definitions(trained, few_digits):
    x = few_digits.validation[0]
    found = monte_carlo(trained, x, 6, seed=3)
    np.testing.assert_allclose(found.mean.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.entropy, stats.entropy(found.mean, axis=1), rtol=1e-5)
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= found.entropy + 1e-9).all()
    single = monte_carlo(trained, x, 1, seed=3)
    np.testing.assert_allclose(single.mutual_information, 0, atol=1e-6)
    np.testing.assert_allclose(single.std, 0)
    unsure = found.mean.argmax(axis=1) != few_digits.validation[1]
    assert found.entropy[unsure].mean() > found.entropy[~unsure].mean()


def test_averages_settle_at_or_below_weight_scaling(trained, few_digits, tmp_path):
    x, y = few_digits.validation
    found = monte_carlo_convergence(trained, x, y, samples=(1, 10, 60), repeats=40)
    loss = found.data.groupby("samples")["loss"]
    assert list(loss.groups) == [0, 1, 10, 60]
    assert loss.mean()[1] > loss.mean()[10] > loss.mean()[60]
    assert loss.std()[1] > loss.std()[10] > loss.std()[60]
    scaled = trained.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert loss.mean()[0] == pytest.approx(scaled, rel=1e-4)
    everything = monte_carlo(trained, x, 60)
    expected = -np.log(everything.mean[np.arange(len(y)), y]).mean()
    assert loss.mean()[60] == pytest.approx(expected, rel=1e-5)
    assert f"loss {loss.mean()[0]:.4g}; the average of 60 passes" in found.summary()
    again = StudyResult.from_parquet(found.to_parquet(tmp_path / "mc.parquet"))
    assert type(again) is StudyResult
    assert again.summary() == found.summary()

    axis = MonteCarloDisplay.from_result(found, "loss").plot().ax_
    drawn = {line.get_label(): line for line in axis.get_lines()}
    np.testing.assert_allclose(drawn["average of passes\nwith dropout on"].get_xdata(), [1, 10, 60])
    np.testing.assert_allclose(
        drawn["average of passes\nwith dropout on"].get_ydata(), loss.mean()[[1, 10, 60]]
    )
    level = drawn["weight scaling\n(dropout off, one pass)"].get_ydata()
    assert set(level) == {loss.mean()[0]}
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "number of passes averaged"
    plt.close(axis.figure)


def test_predictions_are_saved_and_loaded(trained, few_digits, tmp_path):
    x = few_digits.test[0]
    found = monte_carlo(trained, x, 7, seed=4)
    again = MonteCarloPrediction.from_parquet(found.to_parquet(tmp_path / "passes.parquet"))
    assert type(again) is MonteCarloPrediction
    for name in ("mean", "std", "entropy", "mutual_information"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.mean.shape == again.std.shape == (len(x), 10)
    assert (again.samples, again.settings["seeds"], again.versions) == (7, [4], found.versions)
    assert f"a mean entropy of {found.entropy.mean():.3g} nats" in again.summary()
    assert again.summary() == found.summary()
    regression = monte_carlo(linear(), np.ones((3, 6), "float32"), np.int64(2))
    assert regression.to_parquet(tmp_path / "regression.parquet").is_file()
    assert list(regression.data) == ["example", "mean/0", "std/0"]


def test_convergence_needs_a_classifier(few_digits):
    with pytest.raises(ValueError, match="expected a classifier with one probability per class"):
        monte_carlo_convergence(linear(), np.ones((3, 6), "float32"), np.zeros(3, int))


@pytest.mark.parametrize("per_example", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_pass_draws_its_own_mask(few_digits, per_example):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            DropConnect(16, 0.5, per_example=per_example),
            layers.Dense(10, "softmax"),
        ]
    )
    x = few_digits.test[0][:3]
    two, six = (monte_carlo(model, x, samples=samples) for samples in (2, 6))
    assert (two.std.max(axis=1) > 0).all()
    assert not np.allclose(two.mean, six.mean)


class Unsaved(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


def test_a_model_that_cannot_be_saved_can_be_sampled():
    model = linear()
    model.compile(keras.optimizers.SGD(Unsaved()), "mse")
    assert monte_carlo(model, np.ones((3, 6), "float32"), 2).samples == 2
