"""What a search was given to train with: for members, and for `Model.fit`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.models.wording import object_of
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.keras_inputs import as_keras_inputs
from dropout_zoo.training.data.structures import is_structure
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.settings import TrainSettings

_SETTINGS = frozenset(each.name for each in fields(TrainSettings))
# The settings of members for which `Model.fit` has no equivalent.
_OF_MEMBERS = ("initial_weights", "learning_rate", "order")
_DIRECTIONS = {"val_loss": "min", "loss": "min", "val_accuracy": "max", "accuracy": "max"}


def why_arguments_need_model_fit(
    x: Any, arguments: Mapping[str, Any], objective: keras_tuner.Objective
) -> str | None:
    """Return why only `Model.fit` can train with the arguments of a search.

    Args:
        x: the training examples.
        arguments: the keyword arguments of the search.
        objective: the objective of the oracle.

    Returns:
        The reason, as the end of a sentence; None if members can be trained.

    Raises:
        TypeError: the callbacks are a function, as `tune` takes it.
    """
    if hasattr(objective, "objectives"):
        return "the oracle has several objectives"
    if not isinstance(x, Dataset):
        arrays = hasattr(x, "shape") or is_structure(x)
        if x is not None and not arrays and not isinstance(x, str | Path):
            return f"the examples are {object_of(x)}, not arrays"
        validated = {"validation_data", "validation_split"} & set(arguments)
        if not validated and not needs_validation(objective):
            return "there are no validation data"
    callbacks = arguments.get("callbacks") or ()
    if callable(callbacks):
        raise TypeError(
            "expected a list of callbacks, which are copied for each trial, received a function"
        )
    others = [each for each in callbacks if not _is_patience(each, objective)]
    if others or len(callbacks) > 1:
        return f"{type([*others, *callbacks][0]).__name__} is a callback"
    known = _SETTINGS | set(_own_arguments())
    of_fit = inspect.signature(keras.Model.fit).parameters
    return next(
        (f"{name} is an argument for Model.fit only" for name in arguments
         if name in of_fit and name not in known),
        None,
    )  # fmt: skip


def has_plain_fit(hypermodel: keras_tuner.HyperModel) -> bool:
    """Return whether `Model.fit` receives the arguments of a search, not a `fit` of its own."""
    return type(hypermodel).fit is keras_tuner.HyperModel.fit


def needs_validation(objective: keras_tuner.Objective) -> bool:
    """Return whether an objective, or one of several, is measured on validation data."""
    objectives = getattr(objective, "objectives", [objective])
    return any(each.name.startswith("val_") for each in objectives)


def members_settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for members: early stopping becomes their patience.

    Args:
        arguments: the keyword arguments of a search that `why_arguments_need_model_fit` accepts.

    Returns:
        Settings by name.

    Raises:
        ValueError: both `patience` and early stopping are given.
    """
    settings = {k: v for k, v in arguments.items() if k not in _own_arguments()}
    for callback in arguments.get("callbacks") or ():
        if settings.get("patience") is not None:
            raise ValueError(
                f"expected either patience or EarlyStopping, received patience="
                f"{settings['patience']} and EarlyStopping(patience={callback.patience})"
            )
        settings["patience"] = max(1, callback.patience)  # Keras stops after one epoch for 0 too
    return settings


def check_model_fit_arguments(arguments: Mapping[str, Any]) -> None:
    """Check that `Model.fit` can train with the arguments of a search.

    Args:
        arguments: the keyword arguments of the search.

    Raises:
        TypeError: there is no such argument.
        ValueError: a setting has no equivalent in `Model.fit`.
    """
    known = {*inspect.signature(keras.Model.fit).parameters, *_SETTINGS}
    for name, value in arguments.items():
        if name not in known:
            raise TypeError(
                "expected an argument of search() or Model.fit, or a training setting, received "
                f"{name!r}{did_you_mean(name, known)}"
            )
        if name in _OF_MEMBERS:
            raise ValueError(
                f"expected no {name} where Model.fit trains the trials, received {value!r}; leave "
                "it out"
            )


def model_fit_arguments(
    hypermodel: keras_tuner.HyperModel,
    trial: Any,
    positional: Sequence[Any],
    arguments: Mapping[str, Any],
    objective: keras_tuner.Objective,
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a search as `Model.fit` takes them.

    Args:
        hypermodel: builds the models, which determine how the targets of a `Dataset` are encoded.
        trial: the trial.
        positional: the positional arguments of the search.
        arguments: its keyword arguments.
        objective: the objective of the oracle.

    Returns:
        Positional and keyword arguments.

    Raises:
        ValueError: a setting has no equivalent in `Model.fit`.
    """
    positional, arguments = list(positional), dict(arguments)
    if has_plain_fit(hypermodel):
        check_model_fit_arguments(arguments)
    arguments.setdefault("verbose", 0)
    arguments.pop("training_sample", None)  # of the learning curves of members
    patience = arguments.pop("patience", None)
    if patience is not None:
        stopping = keras.callbacks.EarlyStopping(
            objective.name, patience=patience, mode=objective.direction
        )
        arguments["callbacks"] = [*(arguments.get("callbacks") or ()), stopping]
    hp = trial.hyperparameters.values
    if "tuner/epochs" in hp:  # Hyperband
        arguments["epochs"] = hp["tuner/epochs"]
        arguments["initial_epoch"] = hp["tuner/initial_epoch"]
    if positional and isinstance(positional[0], Dataset):
        data, model = positional[0], hypermodel.build(trial.hyperparameters)
        x, y = with_loss_targets(model, data.train, data)
        positional[:1] = [as_keras_inputs(x), y]
        weight = () if data.validation_weight is None else (data.validation_weight,)
        x, y = with_loss_targets(model, data.validation, data)
        arguments["validation_data"] = (as_keras_inputs(x), y, *weight)
        arguments["sample_weight"] = data.sample_weight
    return positional, arguments


def _own_arguments() -> tuple[str, ...]:
    """The keyword arguments of a search that are not settings of members."""
    return "validation_data", "validation_split", "sample_weight", "callbacks", "verbose"


def _is_patience(callback: Any, objective: keras_tuner.Objective) -> bool:
    """Whether a callback stops the training just as the `patience` of members does."""
    return (
        type(callback) is keras.callbacks.EarlyStopping
        and callback.monitor == objective.name
        and objective.direction in (callback.mode, _DIRECTIONS.get(callback.monitor))
        and (callback.mode in ("auto", objective.direction))
        and (callback.min_delta, callback.baseline, callback.start_from_epoch) == (0, None, 0)
    )
