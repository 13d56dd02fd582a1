"""Dropout and other noise that the code of a model draws itself."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from dropout_zoo.models import audit, diagram, dropout_sites, with_rates


class OwnDropout(layers.Layer):
    """Keras's function in a layer of one's own, as in research code; it reads its rate."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seeds = rate, keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        return keras.random.dropout(x, self.rate, seed=self.seeds) if training else x


class DropPath(layers.Layer):
    """Drops whole examples, with Keras's own generator, by a number computed from its rate."""

    def __init__(self, drop_prob, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob, self.keep = drop_prob, 1 - drop_prob

    def call(self, x, training=None):
        if not training:
            return x
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        return x * ops.floor(self.keep + keras.random.uniform(shape)) / self.keep


class ReadDropPath(DropPath):
    """Reads its rate, and has no dropout at all at a rate of 0."""

    def call(self, x, training=None):
        if not training or self.drop_prob == 0.0:
            return x
        self.keep = 1 - self.drop_prob
        return super().call(x, training=training)


class OwnGaussian(OwnDropout):
    """Multiplies by noise, as Keras's GaussianDropout."""

    def call(self, x, training=None):
        if not training:
            return x
        stddev = (self.rate / (1 - self.rate)) ** 0.5
        return x * keras.random.normal(ops.shape(x), 1.0, stddev, seed=self.seeds)


class Zoom(OwnDropout):
    """An augmentation, which is applied with a probability, and drops nothing."""

    def call(self, x, training=None):
        if not training:
            return x
        often = keras.random.uniform((ops.shape(x)[0], 1), seed=self.seeds) < self.rate
        return ops.where(often, 1.1 * x, x)


class Noise(layers.Layer):
    """Random in training, with nothing that could be its rate."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        return x + keras.random.normal(ops.shape(x), seed=self.seeds) if training else x


class Sampling(layers.Layer):
    """As in a variational autoencoder: random at inference too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seeds = 0.5, keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seeds)


class NoisyScale(Sampling):
    """Random in training, but not the identity at inference."""

    def call(self, x, training=None):
        return super().call(x) if training else 2 * x


class Residual(layers.Layer):
    """Holds a layer that drops."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.drop_path = layers.Dense(6), DropPath(0.25)

    def build(self, shape):
        self.dense.build(shape)
        self.drop_path.build(shape)

    def call(self, x, training=None):
        return x + self.drop_path(self.dense(x), training=training)


def model_with(*own):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(6, activation="relu"), *own])
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_dropout_of_own_layers_is_a_site_that_cannot_be_set():
    model = model_with(Zoom(0.4, name="zoom"), DropPath(0.3, name="path"), Noise(name="noise"))
    sites = dropout_sites(model)
    assert [(site.path, site.placement) for site in sites] == [
        ("zoom", "hidden"), ("path", "hidden"), ("noise", "hidden")
    ]  # fmt: skip
    assert [site.rate for site in sites[:2]] == [0.4, 0.3]
    assert math.isnan(sites[2].rate)
    assert all(site.own_noise and not site.is_settable for site in sites)


@pytest.mark.parametrize("kind", [OwnDropout, ReadDropPath, OwnGaussian])
@pytest.mark.parametrize("rate", [0.0, 0.02, 0.4])
def test_a_rate_that_own_code_reads_in_each_call_can_be_set(kind, rate):
    model = model_with(kind(rate, name="own"))
    (site,) = dropout_sites(model)
    assert (site.path, site.rate) == ("own", rate)
    assert site.own_noise and site.is_settable
    x = np.ones((512, 6), "float32")
    for new in (0.0, 0.6):
        changed = with_rates(model, {"own": new})
        assert [site.rate for site in dropout_sites(changed)] == [new]
        outputs = ops.convert_to_numpy(changed.get_layer("own")(x, training=True))
        assert np.var(outputs) == pytest.approx(new / (1 - new), abs=0.3)
    assert [site.rate for site in dropout_sites(model)] == [rate]


def test_a_rate_that_own_code_reads_inside_another_layer_can_be_set():
    class Block(Residual):
        def __init__(self, rate=0.25, **kwargs):
            super().__init__(**kwargs)
            self.own_rate, self.drop_path = rate, ReadDropPath(rate)

        def get_config(self):
            return {"name": self.name, "rate": self.own_rate}

    class FixedBlock(Residual):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.drop_path = ReadDropPath(0.25)

        def get_config(self):
            return {"name": self.name}

    for kind in (Block, FixedBlock):
        changed = with_rates(model_with(kind(name="block")), 0.6)
        (site,) = dropout_sites(changed)
        assert (site.path, site.rate, site.layer.drop_prob) == ("block/drop_path", 0.6, 0.6)
        rate = getattr(changed.get_layer("block"), "own_rate", None)
        assert rate in (0.6, None)


def test_a_low_rate_of_whole_examples_is_found_in_feature_maps():
    model = keras.Sequential([keras.Input((None, 16, 8)), DropPath(0.02, name="path")])
    assert [site.path for site in dropout_sites(model)] == ["path"]


def test_a_layer_in_a_custom_layer_or_subclassed_model_is_found():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.own = layers.Dense(4), OwnDropout(0.4)

        def call(self, x, training=None):
            return self.own(self.dense(x), training=training)

    model = Subclassed()
    model(np.zeros((2, 3)))
    assert [(site.path, site.rate) for site in dropout_sites(model)] == [("own", 0.4)]
    (site,) = dropout_sites(model_with(Residual(name="block")))
    assert (site.path, site.rate) == ("block/drop_path", 0.25)


def test_layers_that_do_not_drop_are_no_sites():
    assert dropout_sites(model_with(Sampling(), NoisyScale(), Zoom(0.0))) == []


def test_looking_for_sites_changes_no_random_state():
    def drawn(look):
        keras.utils.set_random_seed(3)
        model = model_with(OwnDropout(0.5), DropPath(0.5))
        if look:
            assert len(dropout_sites(model)) == 2
        outputs = model(np.ones((8, 6)), training=True)
        return ops.convert_to_numpy(outputs), np.random.random()

    for looked, untouched in zip(drawn(True), drawn(False), strict=True):
        np.testing.assert_array_equal(looked, untouched)


def test_one_rate_for_all_sites_leaves_own_layers_that_cannot_be_set_as_they_are():
    model = model_with(DropPath(0.4, name="own"), layers.Dropout(0.2, name="drop"))
    with pytest.warns(UserWarning, match=r"keeps that of 'own', whose layer \(DropPath\) draws"):
        changed = with_rates(model, 0.1)
    assert {site.path: site.rate for site in dropout_sites(changed)} == {"own": 0.4, "drop": 0.1}


def test_a_rate_that_cannot_be_set_is_refused_with_the_way_out():
    message = (
        r"'own', whose layer \(DropPath\) draws its noise itself; read its rate from an attribute "
        r"such as self\.rate in each call, or use keras.layers.Dropout.*with_rates\(model, 0\.0\)"
    )
    model = model_with(DropPath(0.4, name="own"))
    with pytest.raises(ValueError, match=message):
        with_rates(model, 0.0)
    with pytest.raises(ValueError, match=message):
        with_rates(model, {"own": 0.0})


def test_a_copy_keeps_noise_without_a_rate():
    model = model_with(Noise(name="noise"), layers.Dropout(0.2, name="drop"))
    assert [site.path for site in dropout_sites(with_rates(model, {"drop": 0.0}))] == [
        "noise", "drop"
    ]  # fmt: skip


def test_the_audit_and_the_diagram_name_layers_that_cannot_be_set():
    own = [OwnDropout(0.3, name="read"), DropPath(0.4, name="own"), Noise(name="noise")]
    model = model_with(*own)
    report = audit(model)
    assert not report
    noise = "applies dropout or other noise of its own"
    rules = "the rules do not apply to it"
    assert f"'read' (OwnDropout) {noise} at a rate of 0.3: {rules}\n" in f"{report}\n"
    assert f"'own' (DropPath) {noise} at a rate of 0.4: {rules}, and its rate cannot" in str(report)
    assert f"'noise' (Noise) {noise}: {rules}, and its rate cannot be set" in str(report)
    drawn = str(diagram(model))
    assert "rate 0.30, hidden, guidance" in drawn
    assert "rate 0.40 (cannot be set), hidden" in drawn
    assert "rate unknown (cannot be set), hidden" in drawn
