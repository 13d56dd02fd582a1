"""Models as people write them can be tuned, changed and saved."""

import warnings

import keras
import numpy as np
import pytest
from everyday_architectures import ARCHITECTURES
from everyday_models import WORKS, own_loss, subclassed
from everyday_texts import TEXTS, sentences

from dropout_zoo.models import dropout_sites, with_rates
from dropout_zoo.training import as_dataset
from dropout_zoo.training.data.keras_inputs import as_keras_inputs
from dropout_zoo.training.data.structures import arrays_of
from dropout_zoo.tuning import tune

FIRST = (subclassed, sentences)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(each, marks=pytest.mark.slow if each in FIRST else pytest.mark.nightly)
        for each in [*WORKS, *ARCHITECTURES, *TEXTS]
    ],
)
def test_everyday_models_are_tuned_changed_and_saved(make, tmp_path):
    model, x, y, loads = make()
    if isinstance(model, keras.Model):
        changed = with_rates(model, 0.3)
        assert {site.rate for site in dropout_sites(changed)} == {0.3}
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        result = tune(
            model, x, y, rates=[0.2, 0.3, 0.4], max_trials=3, oracle="random", num_seeds=2,
            epochs=2, progress=False,
        )  # fmt: skip
    words = " ".join(str(each.message) for each in issued)
    assert "Model.fit trains" not in words
    fixed = make in (subclassed, own_loss) and set(result.best_rates.values()) != {0.5}
    assert ("which its code fixes and its file does not keep" in words) == fixed
    built = not isinstance(model, keras.Model)
    assert ("its weights alone are saved, in best.weights.h5" in words) == built
    assert (result.trials["role"] == "trial").sum() == 3
    assert result.test["loss"] > 0
    best = result.best_model()
    if not loads:
        return
    best.save(tmp_path / "best.keras")
    loaded = keras.models.load_model(tmp_path / "best.keras")
    x = as_keras_inputs(as_dataset(x, y).train[0])
    one, other = (arrays_of(each.predict(x, verbose=0)) for each in (best, loaded))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
