"""The fingerprint of a model: the same for the same, another for what would train differently."""

import keras
import pytest
from keras import layers

from dropout_zoo.models import build_cnn, build_mlp, list_models, model_entry
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.fingerprint import function_fingerprint, model_fingerprint


def branches(wired):
    """Two dense layers one after the other; what is added is wired in different ways."""
    inputs = keras.Input((8,))
    first = layers.Dense(8, name="first")(inputs)
    second = layers.Dense(8, name="second")(first)
    x = layers.Add()([second, {"skips one": first, "skips both": inputs}[wired]])
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(x)))
    model.compile("adam", "mse")
    return model


def judged_by(alpha, root=False):
    def loss(truth, predicted):
        off = truth - predicted
        return alpha * (keras.ops.abs(off) if root else keras.ops.square(off))

    model = build_mlp(input_shape=(3,), num_classes=None, units=(4,), hidden_rates=0.3)
    model.compile("adam", loss)
    return model


@pytest.mark.parametrize("build", [build_mlp, build_cnn, lambda: branches("skips one")])
def test_the_same_function_gives_the_same_fingerprint(build, tmp_path):
    model = build()
    assert model_fingerprint(model) == model_fingerprint(build())
    assert model_fingerprint(with_rates(model, {})) == model_fingerprint(model)
    model.save(tmp_path / "model.keras")
    assert model_fingerprint(
        keras.models.load_model(tmp_path / "model.keras")
    ) == model_fingerprint(model)


def test_models_that_train_differently_have_different_fingerprints():
    models = [
        branches("skips one"), branches("skips both"), judged_by(1.0), judged_by(2.0),
        judged_by(1.0, root=True), build_mlp(), build_mlp(max_norm=3.0),
    ]  # fmt: skip
    assert len({model_fingerprint(model) for model in models}) == len(models)
    assert model_fingerprint(judged_by(2.0)) == model_fingerprint(judged_by(2.0))


def test_a_loss_may_enclose_anything():
    def fingerprint():
        held = (object(), 2.0)

        def loss(truth, predicted):
            return keras.ops.square(truth - predicted) * (held[1] if held else later)

        model = judged_by(1.0)
        model.compile("adam", loss)
        found = model_fingerprint(model)
        later = 1.0  # what the loss encloses has no value before
        return found

    assert fingerprint() == fingerprint()


def test_rates_can_be_left_out():
    one, other = (build_mlp(hidden_rates=rate) for rate in (0.2, 0.5))
    assert model_fingerprint(one) != model_fingerprint(other)
    assert model_fingerprint(one, rates=False) == model_fingerprint(other, rates=False)


@pytest.mark.slow
def test_small_entries_of_the_zoo_have_different_fingerprints():
    light = [name for name in list_models() if model_entry(name).parameters < 3_000_000]
    structures = {name: model_fingerprint(model_entry(name).builder()) for name in light}
    assert len(set(structures.values())) == len(light)


def test_subclassed_models_differ_by_configuration_attributes_and_code():
    class Scaled(keras.Model):
        def __init__(self, scale=1.0):
            super().__init__()
            self.scale = scale
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x * self.scale)

    class Shifted(Scaled):
        def call(self, x):
            return self.dense(x + self.scale)

    models = [Scaled(), Scaled(2.0), Shifted()]
    assert len({model_fingerprint(model) for model in models}) == 3
    assert model_fingerprint(Scaled()) == model_fingerprint(models[0])


def test_the_constants_of_a_set_are_part_of_the_code():
    one, same, other = (
        eval(f"lambda member: [] if member in {{{names}}} else None")
        for names in ("'a', 'b'", "'b', 'a'", "'a', 'c'")
    )
    assert function_fingerprint(one) == function_fingerprint(same)
    assert function_fingerprint(one) != function_fingerprint(other)
