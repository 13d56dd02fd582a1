"""A search says before it trains what the audit finds wrong, and what becomes of the weights."""

import keras
import pytest
from click.testing import CliRunner
from keras import layers

from dropout_zoo.tuning import tune
from dropout_zoo.tuning.cli.main import main

QUICK = {"rates": [0.2], "epochs": 1, "num_seeds": 1}
FINDING = "Audit error DZ122: 'drop' sets whole examples to 0: noise_shape=(None, 1). Fix: "


class Opaque(layers.Layer):
    """A layer that the audit cannot read."""

    @property
    def kernel_size(self):
        raise RuntimeError("nobody may know")

    def call(self, inputs):
        return inputs


def net(*extra, noise_shape=None):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            *extra,
            layers.Dense(8, "relu"),
            layers.Dropout(0.3, noise_shape=noise_shape, name="drop"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_errors_of_the_audit_are_shown_before_the_first_training(few_digits, capsys):
    result = tune(net(noise_shape=(None, 1)), few_digits, **QUICK)
    said = capsys.readouterr().err
    assert FINDING in said
    assert said.index("Audit error") < said.index("training runs, best val_loss")
    assert set(result.best_rates) == {"drop"}  # the search goes on


@pytest.mark.slow
def test_warnings_of_the_audit_are_left_to_the_audit(few_digits, capsys):
    tune(net(layers.Dropout(0.8, name="in")), few_digits, **QUICK)  # DZ202, a warning
    assert "Audit" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_that_the_audit_cannot_read_is_still_searched(few_digits, capsys):
    result = tune(net(Opaque()), few_digits, **QUICK)
    assert set(result.best_rates) == {"drop"}
    assert "Audit" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run_shows_errors_of_the_audit_apart_from_its_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net(noise_shape=(None, 1)).save("wrong.keras")
    options = ["--rates", "0.2", "--epochs", "1", "--num-seeds", "1", "--dry-run", "--json"]
    answered = CliRunner().invoke(main, ["tune", "wrong.keras", *options])
    assert answered.exit_code == 0, answered.output
    assert FINDING in answered.stderr
    assert "Audit error" not in answered.stdout


@pytest.mark.slow
def test_a_search_says_that_the_weights_of_a_trained_model_are_drawn_anew(few_digits, capsys):
    model = net()
    told = "The model was trained before. Its weights are drawn anew for each seed"
    tune(model, few_digits, **QUICK)
    assert told not in capsys.readouterr().err
    model.fit(*few_digits.train, epochs=1, verbose=0)
    tune(model, few_digits, initial_weights="keep", **QUICK)
    assert told not in capsys.readouterr().err
    tune(model, few_digits, **QUICK)
    assert told in capsys.readouterr().err
