"""Every entry of the zoo on each of Keras's backends: trained for a step, saved, read again."""

import backends
import pytest

PROGRAM = """
import sys

import keras
import numpy as np

from dropout_zoo.models import create_model, dropout_sites, list_models, model_entry

backend, limit, folder = sys.argv[1:]
assert keras.backend.backend() == backend
keras.config.disable_traceback_filtering()
random = np.random.default_rng(0)
path = folder + "/model.keras"
for name in list_models():
    entry = model_entry(name)
    if entry.parameters > int(limit):
        continue  # the same builders as smaller entries
    model = create_model(name)
    assert sum(np.prod(v.shape) for v in model.trainable_variables) == entry.parameters, name
    assert {site.path: site.rate for site in dropout_sites(model)} == dict(entry.sites), name
    # Small enough whole numbers stand for tokens as well.
    x = random.integers(0, 2, (4, *model.input_shape[1:])).astype(model.inputs[0].dtype)
    width = model.output_shape[-1]
    y = x.reshape(4, -1) if entry.family == "autoencoder" else np.eye(width)[[0, 1, 0, 1]]
    loss = model.fit(x, y.reshape(4, *model.output_shape[1:]), verbose=0).history["loss"][0]
    assert np.isfinite(loss), (name, loss)
    # The last one without training, which moves the averages of batch normalization.
    on, again, off = (
        keras.ops.convert_to_numpy(model(x, training=training)) for training in (True, True, False)
    )
    assert np.isfinite(off).all(), name
    assert np.array_equal(on, again) != any(entry.sites.values()), name
    model.save(path)
    reloaded = keras.models.load_model(path, safe_mode=True)
    same = keras.ops.convert_to_numpy(reloaded(x, training=False))
    np.testing.assert_allclose(off, same, atol=1e-5, err_msg=name)
    print(name, "runs", flush=True)
print("all is well")
"""


SMALL, MEDIUM = 500_000, 3_000_000  # parameters; each family has an entry below the first


# On TensorFlow it is more of what the tests of each architecture do there.
@pytest.mark.parametrize(
    ("backend", "limit"),
    [
        pytest.param("torch", SMALL, marks=pytest.mark.slow),
        pytest.param("jax", SMALL, marks=pytest.mark.slow),
        *(
            pytest.param(name, MEDIUM, marks=pytest.mark.nightly)
            for name in ("tensorflow", "torch", "jax")
        ),
    ],
)
def test_every_entry_trains_on_other_backends(backend, limit, tmp_path):
    assert backends.last_words(backend, "-c", PROGRAM, backend, limit, tmp_path) == backends.WELL
