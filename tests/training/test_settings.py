"""The settings of a training run: one place for names, defaults and checks."""

import dataclasses
import inspect
import json
import typing

import numpy as np
import pytest

from dropout_zoo import studies
from dropout_zoo.training import Member, Objective, TrainSettings, train_members
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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"training_sample": "al"}, "expected training_sample to be .*'all'.*, received 'al'"),
        ({"training_sample": 0}, "expected training_sample to be"),
        ({"training_sample": True}, "expected training_sample to be"),
        ({"class_weight": [1, 2]}, "expected class_weight to be a dict .*, received"),
        (
            {"class_weight": {"cat": 2}},
            "each key of class_weight to be .*, received 'cat'",
        ),
        ({"class_weight": {0: -1}}, r"expected class_weight\[0\] to be .*, received -1"),
        ({"class_weight": {0: "heavy"}}, r"expected class_weight\[0\] to be .*, received 'heavy'"),
        ({"callbacks": 3}, "received an object of type int, whose state"),
    ],
)
def test_settings_of_the_wrong_type_are_refused_by_name(settings, words):
    with pytest.raises((TypeError, ValueError), match=words):
        TrainSettings(**settings)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "one"])
def test_a_member_needs_a_seed(seed):
    with pytest.raises(ValueError, match="expected seed to be a whole number of at least 0"):
        Member({}, seed)
