"""A warning names the line of the user's code that it is about, not one of this package."""

import inspect
import warnings

import pytest
from keras_tuner import oracles

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import Execution, plan_rate_sweep, rate_sweep
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, train_members
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, tune

THREADS = "dropout_zoo.training.engine.tensorflow.loops.prepare_threads"
ONE = {"epochs": 1, "num_seeds": 1}
SEARCH = {"rates": [0.2], "num_finalists": 1, "max_trials": 1, "progress": False}


def net():
    return build_mlp(units=(4,), hidden_rates=0.5)


def eager_net():
    model = net()
    model.run_eagerly = True
    return model


def tuner(folder):
    oracle = oracles.GridSearchOracle("val_loss", max_trials=1)
    return DropoutTuner(oracle, DropoutHyperModel(eager_net()), directory=folder)


CALLS = {
    "train_members": lambda data, _: train_members(net(), [Member([0.5], 0)], data, epochs=1),
    "trainer": lambda data, _: MemberTrainer(eager_net(), data, TrainSettings()).start(),
    "study": lambda data, _: rate_sweep(net(), data, rates=0.5, **ONE),
    "plan": lambda data, _: plan_rate_sweep(eager_net(), data, rates=0.5, **ONE).run(),
    "directory": lambda data, folder: rate_sweep(
        net(), data, rates=0.5, **ONE, execution=Execution(directory=folder / "study")
    ),
    "tune": lambda data, _: tune(net(), data, **SEARCH, epochs=1, num_seeds=2),
    "tuner": lambda data, folder: tuner(folder).search(data, epochs=1),
}


def places_of_warnings(call, *arguments):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        call(*arguments)
    return {(each.filename, each.lineno) for each in found}


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_names_the_line_of_the_caller(name, few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(THREADS, lambda workers=None: False)
    call = CALLS[name]
    lines, first = inspect.getsourcelines(call)
    ((file, line),) = places_of_warnings(call, few_digits, tmp_path)
    assert file == __file__
    assert first <= line < first + len(lines)
