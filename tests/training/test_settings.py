"""The settings of a training run: one place for names, defaults and checks."""

import dataclasses
import inspect
import json
import typing

import numpy as np
import pytest

from dropout_zoo import studies
from dropout_zoo.training import Objective, TrainSettings, train_members
from dropout_zoo.training.settings import TrainOptions
from dropout_zoo.tuning import tune


def test_the_options_are_the_settings_with_the_same_types():
    hints = typing.get_type_hints(TrainSettings)
    assert typing.get_type_hints(TrainOptions) == hints
    assert not TrainOptions.__required_keys__


def test_functions_with_settings_take_those_of_training():
    functions = [train_members, tune, *(getattr(studies, name) for name in studies.__all__)]
    takers = [function for function in functions if inspect.isfunction(function)]
    takers = [f for f in takers if "settings" in inspect.signature(f).parameters]
    assert len(takers) > 12
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    for function in takers:
        assert not names & set(inspect.signature(function).parameters), function.__name__


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 3}, "received 'epoch'; did you mean 'epochs'?"),
        ({"seeds": 3}, "an argument of rate_sweep.* received 'seeds'; did you mean 'num_seeds'?"),
        ({"xyz": 3}, "received 'xyz'; settings: epochs, batch_size, learning_rate"),
    ],
)
def test_an_unknown_setting_is_reported_with_the_nearest_one(options, words):
    with pytest.raises(TypeError, match=words):
        studies.rate_sweep("mlp", "digits", **options)


def test_the_record_is_plain_and_complete():
    settings = TrainSettings(
        epochs=np.int64(3),
        objective=Objective("val_score", "max"),
        class_weight={np.int64(2): np.float32(0.5)},
    )
    described = json.loads(json.dumps(settings.describe()))
    assert list(described) == [field.name for field in dataclasses.fields(TrainSettings)]
    assert described["epochs"] == 3
    assert described["objective"] == "val_score:max"
    assert described["class_weight"] == {"2": 0.5}
    assert TrainSettings().describe()["objective"] == "val_loss:min"
