"""Published ways to optimize: the steps that they take, and that they are saved."""

import keras
import numpy as np
import pytest

from dropout_zoo.models import build_mlp, create_model
from dropout_zoo.models.architectures.optimizers import RampedSGD, srivastava_sgd
from dropout_zoo.training import Member, train_members
from dropout_zoo.training.engine.eligibility import why_only_model_fit


def steps(optimizer, gradients):
    """The weight after each step, starting at 0."""
    weight = keras.Variable([0.0])
    optimizer.build([weight])
    taken = []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
        taken.append(float(weight.numpy()[0]))
    return taken


def test_the_momentum_rises_in_a_straight_line_and_stays():
    optimizer = RampedSGD(0.1, 0.9, initial_momentum=0.5, momentum_steps=4)
    gradients = [1.0, -2.0, 0.5, 3.0, 1.0, -1.0, 2.0]
    weight, velocity, expected = 0.0, 0.0, []
    for momentum, gradient in zip((0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9), gradients, strict=True):
        velocity = momentum * velocity + gradient
        weight -= 0.1 * velocity
        expected.append(weight)
    np.testing.assert_allclose(steps(optimizer, gradients), expected, rtol=1e-5)


def test_with_a_constant_momentum_it_is_keras_sgd():
    gradients = [1.0, -2.0, 0.5, 3.0]
    ramped = RampedSGD(0.1, 0.9, initial_momentum=0.9, momentum_steps=1)
    plain = keras.optimizers.SGD(0.1, 0.9)
    np.testing.assert_allclose(steps(ramped, gradients), steps(plain, gradients), rtol=1e-5)


def test_the_learning_rate_of_the_paper_halves_and_goes_on_falling():
    rate = srivastava_sgd(learning_rate=2.0, half_life=10)._learning_rate
    rates = [float(rate(step)) for step in (0, 10, 20, 30)]
    np.testing.assert_allclose(rates, [2.0, 1.0, 2 / 3, 0.5], rtol=1e-6)


def test_the_recipe_has_the_numbers_of_the_paper():
    settings = srivastava_sgd().get_config()
    assert (settings["initial_momentum"], settings["momentum"]) == (0.5, 0.95)
    assert settings["momentum_steps"] == 100_000
    schedule = settings["learning_rate"]["config"]
    assert (schedule["initial_learning_rate"], schedule["decay_steps"]) == (1.0, 10_000)


@pytest.mark.slow
def test_the_recipe_trains_a_dropout_net_with_max_norm(few_digits):
    keras.utils.set_random_seed(0)
    optimizer = srivastava_sgd(momentum_steps=100, half_life=100)
    model = create_model("srivastava_1024x3", units=(64, 64), optimizer=optimizer)
    x, y = few_digits.train
    targets = keras.utils.to_categorical(y, 10)
    losses = model.fit(x, targets, batch_size=25, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.75 * losses[0]
    for layer in model.layers:
        if layer.weights:
            norms = np.linalg.norm(np.asarray(layer.kernel), axis=0)
            assert norms.max() <= 2 + 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Model.fit trains the members")
def test_the_engine_takes_the_steps_of_the_recipe(few_digits):
    optimizer = srivastava_sgd(learning_rate=0.5, half_life=20, momentum_steps=10)
    model = build_mlp(units=(8, 8), hidden_rates=(0.2, 0.2), max_norm=2, optimizer=optimizer)
    assert why_only_model_fit(model) is None
    settings = {"epochs": 2, "batch_size": 50, "objective": "val_loss"}
    (fast,) = train_members(model, [Member([0.2, 0.2], seed=3)], few_digits, **settings)
    model.run_eagerly = True  # which the engine leaves to `Model.fit`
    assert why_only_model_fit(model) is not None
    (plain,) = train_members(model, [Member([0.2, 0.2], seed=3)], few_digits, **settings)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(fast.curves[name], plain.curves[name], rtol=1e-4)
    assert fast.curves["val_loss"].iloc[-1] < fast.curves["val_loss"].iloc[0]


def test_a_model_with_the_recipe_is_saved_with_its_progress(few_digits, tmp_path):
    model = build_mlp(units=(8, 8), hidden_rates=0.0, optimizer=srivastava_sgd(half_life=50))
    x, y = few_digits.train
    targets = keras.utils.to_categorical(y, 10)
    model.fit(x, targets, batch_size=50, verbose=0)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(reloaded.optimizer) is RampedSGD
    assert reloaded.optimizer.get_config() == model.optimizer.get_config()
    assert int(reloaded.optimizer.iterations) == 3
    for each in (model, reloaded):
        each.fit(x, targets, batch_size=50, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), reloaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum_steps": 0}, "expected momentum_steps"),
        ({"initial_momentum": 1.5}, "expected initial_momentum in"),
        ({"momentum": 0.0}, "momentum in"),
        ({"half_life": 0}, "expected half_life"),
    ],
)
def test_invalid_arguments_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        srivastava_sgd(**arguments)
