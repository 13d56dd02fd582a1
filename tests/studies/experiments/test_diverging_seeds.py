"""Seeds that diverge: each study reports them and concludes from the others."""

import keras
import numpy as np
import pytest
from nets import net_with_initializer

from dropout_zoo.studies import (
    Execution,
    coadaptation,
    epoch_sweep,
    label_noise_sweep,
    robustness,
)

ALONE = Execution(workers=1)


@keras.saving.register_keras_serializable("tests")
class SometimesNaN(keras.initializers.GlorotUniform):
    """NaN weights, for about every other seed."""

    def __call__(self, shape, dtype=None):
        values = super().__call__(shape, dtype)
        return keras.ops.where(keras.ops.sum(values) > 0, values, np.nan)


@pytest.fixture(scope="module")
def sometimes_lost():
    return net_with_initializer(SometimesNaN())


@pytest.mark.slow
@pytest.mark.parametrize(
    "study",
    [
        epoch_sweep,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (coadaptation, label_noise_sweep, robustness)
        ),
    ],
)
def test_seeds_that_diverge_are_reported_and_left_out(sometimes_lost, few_digits, study):
    result = study(sometimes_lost, few_digits, epochs=2, num_seeds=6, execution=ALONE)
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
