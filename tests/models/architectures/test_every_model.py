"""Dense, convolutional and residual entries: saved, trained by the engine, searched.

The largest are saved and trained if asked for (`-m slow`, and `-m nightly` for the very largest).
"""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from dropout_zoo.models import create_model, dropout_sites, list_models, model_entry
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.studies import Execution, capacity_sweep
from dropout_zoo.training import Dataset, Member, targets_for, train_members
from dropout_zoo.training.data.split import split_arrays
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.tuning.search.search import Search, TuningSettings

FAMILIES = ("MLP", "CNN", "wide ResNet", "autoencoder")
ENTRIES = [name for name in list_models() if model_entry(name).family in FAMILIES]
HEAVY = {
    "srivastava_4096x2",
    "srivastava_8192x2",
    "srivastava_cnn",
    "wide_resnet_16_4",
    "wide_resnet_16_4_after_norm",
}
"""Seconds to minutes a step on two cores: built and counted by default, the rest if asked for."""

SLOW = HEAVY | {
    "goodfellow_maxout_240x2",
    "mlp",  # which the engine's own tests train
    "srivastava_1024x3",
    "srivastava_1024_1024_2048",
    "srivastava_1024x3_logistic",
    "srivastava_800x2_logistic",
    "tabular_mlp",
    "wide_resnet_10_1",
    "wide_resnet_10_1_after_norm",
}
# Trained as the one of half its width, and as those with dropout elsewhere or of less width.
REPEATED = {"srivastava_8192x2", "wide_resnet_16_4_after_norm"}
TRAINED = [
    pytest.param(name, marks=pytest.mark.nightly if name in REPEATED else pytest.mark.slow)
    if name in SLOW
    else name
    for name in ENTRIES
]
MARKED = [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in ENTRIES]
LIGHT = [name for name in ENTRIES if name not in HEAVY]


@pytest.fixture(scope="module")
def tumours() -> Dataset:
    """Thirty features in units of their own, from 0.001 to 4,000; two classes."""
    x, y = load_breast_cancer(return_X_y=True)
    parts = split_arrays(x[:300].astype("float32"), y[:300], fractions=(0.7, 0.15, 0.15), seed=0)
    return Dataset.from_arrays(*parts, source="breast cancer")


@pytest.fixture
def data_of(digits, few_digits, tumours):
    """Small real data that fit an entry, as large as its source had them."""

    def choose(name):
        entry = model_entry(name)
        if entry.family == "autoencoder":
            return few_digits.as_reconstruction()
        if len(entry.input_shape) == 1:
            return tumours
        if entry.input_shape[-1] == 3:
            # Rates in every layer, and no batch normalization: a hundred steps to begin with.
            return in_colors(digits if name == "srivastava_cnn" else few_digits)
        return few_digits

    return choose


def in_colors(digits):
    """The digits as images of 32 x 32 with three channels."""
    parts = [
        (np.pad(x, ((0, 0), (2, 2), (2, 2)))[..., None].repeat(3, axis=-1), y)
        for x, y in (digits.train, digits.validation, digits.test)
    ]
    return Dataset.from_arrays(*parts, source="digits in colors")


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # untrained
@pytest.mark.parametrize("name", MARKED)
def test_a_saved_and_reloaded_model_is_the_same(name, tmp_path):
    model = create_model(name)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert [(s.path, s.rate) for s in dropout_sites(reloaded)] == list(
        model_entry(name).sites.items()
    )
    x = np.random.default_rng(0).random((3, *model.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(np.asarray(reloaded(x)), np.asarray(model(x)), atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_training_in_the_engine_lowers_the_loss(name, data_of):
    data = data_of(name)
    keras.utils.set_random_seed(1)
    model = resolve_model(
        name, input_shape=data.input_shape, num_classes=data.num_classes, adapt_to=data.train[0]
    )
    assert why_only_model_fit(model) is None
    member = Member(dict(model_entry(name).sites), seed=1)
    # The moving averages of the largest nets' batch normalization take some thirty steps.
    batch_size = 5 if name.startswith("wide_resnet_16") else 10
    (trained,) = train_members(
        model,
        [member],
        data,
        epochs=1 if name in HEAVY else 4,
        batch_size=batch_size,
        initial_weights="keep",
    )
    assert trained.status == "completed", trained.reason
    assert trained.rates == dict(model_entry(name).sites)
    x, y = data.validation
    before = model.evaluate(x, targets_for(model, y, data.num_classes), verbose=0)[0]
    assert trained.curves["val_loss"].iloc[-1] < before


@pytest.mark.parametrize("name", LIGHT)
def test_a_search_finds_the_sites_of_every_model(name, data_of):
    data = data_of(name)
    search = Search(name, data, TuningSettings(rates=(0.2, 0.5)))
    assert search.given == dict(model_entry(name).sites)
    assert search.max_trials == 2 ** len(search.space.choices)
    assert {path for group in search.space.sites.values() for path in group} == set(search.given)


@pytest.mark.slow
def test_a_sweep_of_the_width_of_a_variant_keeps_its_other_arguments(few_digits):
    result = capacity_sweep(
        "srivastava_1024x3",
        few_digits,
        units=[(8, 8), (16, 8)],
        epochs=1,
        num_seeds=1,
        execution=Execution(workers=1),
    )
    assert set(result.data["units"]) == {"8-8", "16-8"}
    assert set(result.data["parameters"]) == {
        784 * 8 + 8 + 8 * 8 + 8 + 90,
        784 * 16 + 16 + 16 * 8 + 8 + 90,
    }
    assert set(result.data["status"]) == {"completed"}
