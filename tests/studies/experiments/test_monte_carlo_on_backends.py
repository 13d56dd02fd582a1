"""Monte Carlo dropout on Keras's other backends, each in its own process."""

import backends
import pytest

PROGRAM = """
import sys

import keras
import numpy as np

from dropout_zoo.models import build_mlp, with_rates
from dropout_zoo.studies import monte_carlo

assert keras.backend.backend() == sys.argv[1]
keras.utils.set_random_seed(0)
model = build_mlp(input_shape=(12,), num_classes=4, units=(16, 8), hidden_rates=(0.0, 0.5))
x = np.random.default_rng(0).normal(size=(20, 12)).astype("float32")
scaled = model.predict(x, verbose=0)

dropped = monte_carlo(model, x, 6)
assert (dropped.std.max(axis=1) > 0).all(), dropped.std
assert (dropped.mutual_information > 0).any()
np.testing.assert_allclose(dropped.mean.sum(axis=1), 1, atol=1e-5)
np.testing.assert_array_equal(dropped.mean, monte_carlo(model, x, 6).mean)
assert not np.array_equal(dropped.mean, monte_carlo(model, x, 6, seed=1).mean)
np.testing.assert_array_equal(model.predict(x, verbose=0), scaled)

# A rate of 0 everywhere is refused; one that next to never drops has to agree.
none = with_rates(model, {"hidden_2_dropout": 1e-6})
kept = monte_carlo(none, x, 6)
np.testing.assert_allclose(kept.mean, scaled, atol=1e-5)
assert kept.std.max() < 1e-5, kept.std.max()
print("all is well")
"""


@pytest.mark.parametrize("backend", backends.NIGHTLY_ON_TORCH)
def test_monte_carlo_works_on_other_backends(backend):
    assert backends.last_words(backend, "-c", PROGRAM, backend) == backends.WELL
