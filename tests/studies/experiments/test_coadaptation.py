"""Hidden units: how active, how alike, how much missed, and how they are drawn."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import ActivationDisplay, Execution, FeatureDisplay, coadaptation
from dropout_zoo.studies.control_names import NO_DROPOUT
from dropout_zoo.training.data.targets import with_loss_targets

pytestmark = pytest.mark.slow

ALONE = Execution(workers=1)


@pytest.fixture(scope="module")
def units(model, few_digits):
    return coadaptation(
        model, few_digits, epochs=60, patience=5, learning_rate=0.005, num_seeds=2, execution=ALONE
    )


@pytest.mark.slow
def test_every_unit_is_measured(units, few_digits):
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
    text = f"as given, mean activation: {given:.3g}, compared with {without:.3g} without dropout"
    assert text in units.summary()


def test_ablating_a_unit_without_weights_changes_nothing(few_digits):
    from dropout_zoo.studies.experiments.coadaptation import _units

    model = build_mlp(units=(6,), hidden_rates=0.5)
    kernel, bias = model.get_layer("hidden_1").get_weights()
    kernel[:, 2] = 0
    model.get_layer("hidden_1").set_weights([kernel, bias])
    before = model.get_weights()
    x, targets = with_loss_targets(model, few_digits.validation, few_digits)
    table, values = _units(model, x, targets)
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
