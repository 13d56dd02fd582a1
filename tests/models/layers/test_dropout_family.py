"""DropConnect, DropBlock, stochastic depth and concrete dropout: masks, sites, saving, training."""

import re
from pathlib import Path

import backends
import keras
import numpy as np
import pytest
from keras import layers
from stock_fit import member_rates

from dropout_zoo.models import (
    ConcreteDropout,
    DropBlock2D,
    DropConnect,
    StochasticDepth,
    audit,
    dropout_sites,
    with_rates,
)
from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.studies import monte_carlo
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, train_members
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.tuning.space import search_space

CHECKS = Path(__file__).parents[2] / "dropout_family_checks.py"


@pytest.mark.parametrize("backend", backends.ALL)
def test_the_layers_drop_learn_and_are_saved_on_other_backends(backend, tmp_path):
    assert backends.last_words(backend, CHECKS, backend, tmp_path) == backends.WELL


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StochasticDepth(1.0), r"rate to be in \[0, 1\)"),
        (lambda: DropBlock2D("0.1"), "rate to be a number"),
        (lambda: DropBlock2D(0.1, 0), "block_size to be a whole number of at least 1"),
        (lambda: DropBlock2D(0.1, data_format="last"), "data_format to be 'channels_last'"),
        (lambda: DropBlock2D(0.1)(np.ones((1, 5, 9, 2))), "at least block_size=7, received 5 x 9"),
        (lambda: DropConnect(4, -0.1), r"rate to be in \[0, 1\)"),
        (lambda: ConcreteDropout(layers.Conv2D(2, 3)), "a keras.layers.Dense, received Conv2D"),
        (lambda: ConcreteDropout(layers.Dense(2), initial_rate=0), "initial_rate above 0"),
        (lambda: ConcreteDropout(layers.Dense(2), temperature=0), "temperature to be above 0"),
        (lambda: ConcreteDropout(layers.Dense(2), weight_regularizer=-1.0), "to be at least 0"),
    ],
)
def test_invalid_arguments_are_reported_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def small_maps_net(rate=0.2):
    """Blocks, a residual branch that is dropped as a whole, and dropout in the head."""
    inputs = keras.Input((28, 28))
    x = layers.Reshape((28, 28, 1))(inputs)
    x = layers.Conv2D(4, 5, 3, activation="relu")(x)
    x = DropBlock2D(rate, 3, name="blocks")(x)
    branch = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Add()([x, StochasticDepth(rate, name="depth")(branch)])
    x = layers.Flatten()(x)
    x = layers.Dropout(0.3, name="head_dropout")(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def dropped_weights_net(rate=0.3):
    stack = [
        layers.Flatten(),
        DropConnect(16, rate, activation="relu", name="first"),
        DropConnect(10, rate, activation="softmax", name="last"),
    ]
    model = keras.Sequential([keras.Input((28, 28)), *stack])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def learned_rate_net():
    stack = [
        layers.Flatten(),
        ConcreteDropout(layers.Dense(16, activation="relu"), name="first"),
        layers.Dropout(0.3, name="drop"),
        ConcreteDropout(layers.Dense(10, activation="softmax"), initial_rate=0.6, name="last"),
    ]
    model = keras.Sequential([keras.Input((28, 28)), *stack])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def placements(model):
    return {site.path: site.placement for site in dropout_sites(model)}


def test_sites_and_their_placements():
    assert placements(small_maps_net()) == {
        "blocks": "convolutional", "depth": "convolutional", "head_dropout": "hidden"
    }  # fmt: skip
    # Weights are neither inputs nor outputs, wherever they appear; an input that is dropped is one.
    assert placements(dropped_weights_net()) == {"first": "hidden", "last": "hidden"}
    assert placements(learned_rate_net()) == {"first": "input", "drop": "hidden", "last": "hidden"}


@pytest.mark.parametrize("build", [small_maps_net, dropped_weights_net])
def test_the_audit_has_no_findings(build):
    report = audit(build())
    assert not report, report
    assert not report.limits


def test_the_audit_recognizes_learned_rates():
    assert not audit(learned_rate_net())  # no advice on a rate of 0.6 that nobody chose


def test_stochastic_depth_off_a_residual_branch_is_found():
    model = keras.Sequential(
        [keras.Input((20,)), layers.Dense(64, "relu"), StochasticDepth(0.2), layers.Dense(2)]
    )
    assert [finding.code for finding in audit(model)] == ["DZ122"]


def test_a_rate_raised_from_zero_drops_and_the_weights_stay():
    model = with_rates(dropped_weights_net(0.0), {"first": 0.5})
    x = np.ones((4, 28, 28), "float32")
    assert len(np.unique(model(x, training=True).numpy(), axis=0)) == 4
    back = with_rates(model, {"first": 0.0})
    for one, other in zip(model.get_weights(), back.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert model_fingerprint(model) != model_fingerprint(back)
    assert model_fingerprint(model, rates=False) == model_fingerprint(back, rates=False)


def test_controls_start_from_the_same_weights():
    for build in (small_maps_net, dropped_weights_net):
        weights = []
        for rate in (0.0, 0.4):
            keras.utils.set_random_seed(1)
            weights.append(build(rate).get_weights())
        for one, other in zip(*weights, strict=True):
            assert np.array_equal(one, other)


def test_a_learned_rate_is_neither_set_nor_searched():
    model = learned_rate_net()
    assert list(search_space(model).choices) == ["drop"]
    with pytest.raises(ValueError, match=r"'first', whose layer learns its rate \(0\.1 so far\)"):
        with_rates(model, {"first": 0.2})
    with pytest.raises(ValueError, match=r"by site path \(drop\), received 'last'"):
        search_space(model, rates={"last": [0.1]})
    alone = keras.Sequential([keras.Input((4,)), ConcreteDropout(layers.Dense(2), name="only")])
    with pytest.raises(ValueError, match=r"only \(input, a rate that is learned\)"):
        search_space(alone)


def test_learned_rates_are_kept_in_clones():
    model = learned_rate_net()
    model.get_layer("first").rate_logit.assign(0.7)
    clone = with_rates(model, {"drop": 0.1})
    assert clone.get_layer("first").rate == model.get_layer("first").rate
    assert clone.get_layer("first").rate == pytest.approx(1 / (1 + np.exp(-0.7)))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(small_maps_net, marks=pytest.mark.slow),
        dropped_weights_net,
        learned_rate_net,
    ],
)
def test_monte_carlo_drops_at_each_site(build, few_digits):
    model, x = build(), few_digits.test[0][:20]
    settable = [site.path for site in dropout_sites(model) if not site.learned]
    learned = len(settable) < len(dropout_sites(model))
    for path in settable:
        others = {other: 0.0 for other in settable if other != path}
        assert monte_carlo(with_rates(model, others), x, samples=3).std.max() > 1e-4
    nothing_else = with_rates(model, dict.fromkeys(settable, 0.0))
    if learned:
        assert monte_carlo(nothing_else, x, samples=3).std.max() > 1e-4


def test_layers_that_the_engine_cannot_train_have_a_reason():
    assert why_only_model_fit(small_maps_net()) is None
    assert re.search("'first' is a DropConnect", why_only_model_fit(dropped_weights_net()))


@pytest.mark.slow
def test_fit_trains_what_the_engine_cannot(few_digits):
    with pytest.warns(UserWarning, match=r"Model\.fit trains the members.*DropConnect"):
        (trained,) = train_members(
            dropped_weights_net(), [Member([0.1, 0.2], 0)], few_digits, epochs=2, batch_size=32
        )
    assert trained.curves["train_loss"].iloc[1] < trained.curves["train_loss"].iloc[0]
    assert trained.model().get_layer("first").rate == 0.1


@pytest.mark.parametrize("build", [small_maps_net, learned_rate_net])
@pytest.mark.slow
def test_the_engine_trains_what_fit_trains_bit_for_bit(build, few_digits):
    model = build()
    trainer = MemberTrainer(
        model, few_digits, TrainSettings(epochs=2), update="keras", keep_state=True
    )
    count = len(member_rates(model, Member({}, 0)))
    members = [Member([0.1] * count, seed=1), Member([0.4] * count, seed=2)]
    for number, trained in enumerate(trainer.train(members)):
        member = members[number]
        by_fit = fit_member(trainer.plan, member, member_rates(model, member), 1000 + number)
        assert trained.status == by_fit.status == "completed", (trained.reason, by_fit.reason)
        assert trained.curves.equals(by_fit.curves)
        one, other = Checkpoint.load(trained.checkpoint), Checkpoint.load(by_fit.checkpoint)
        for kind in ("best", "last", "optimizer"):
            for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
                assert a.tobytes() == b.tobytes(), kind
    learned = [site for site in dropout_sites(trained.model()) if site.learned]
    before = {site.path: site.rate for site in dropout_sites(model)}
    assert all(site.rate != before[site.path] for site in learned)
