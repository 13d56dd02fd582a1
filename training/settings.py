"""How a model is trained: the settings that trainers, studies and searches share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import keras

from dropout_zoo.models.argument_validation import (
    check_choice,
    check_count,
    check_not_negative,
    check_positive,
    did_you_mean,
)
from dropout_zoo.models.graph.fingerprint import function_fingerprint
from dropout_zoo.models.wording import object_of
from dropout_zoo.training.data.array_checks import check_sample_size
from dropout_zoo.training.defaults import BATCH_SIZE, EPOCHS, INITIAL_WEIGHTS, OBJECTIVE
from dropout_zoo.training.members import Member
from dropout_zoo.training.objective import NamedObjective, parse_objective
from dropout_zoo.training.provenance import as_json

ORDERS = ("paired", "shared", "independent")

CallbackFunction = Callable[[Member], Sequence[keras.callbacks.Callback]]
"""Makes the callbacks of a member."""


@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained.

    Functions that train take these settings as keyword arguments: `train_members`, `tune` and
    every study.

    Args:
        epochs: number of epochs, at least 1.
        batch_size: batch size, at least 1; the last batch of an epoch may be smaller.
        learning_rate: learning rate of the optimizer, above 0; None for that of the compiled model.
        objective: the metric that determines the best epoch: a column of the learning curves, such
            as ``"val_loss"`` or ``"val_accuracy"``. Append ``":min"`` or ``":max"`` to a metric
            whose direction is not known, or pass an `Objective` or a `keras_tuner.Objective`.
        patience: number of epochs without improvement of the objective after which training
            stops; None to train for all epochs.
        initial_weights: ``"fresh"`` draws the initial weights from the seed, except those of
            frozen and adapted layers; ``"keep"`` starts from the model's own weights.
        class_weight: weight of each class in the training loss, by class number; classes that
            are left out have a weight of 1.
        order: order of the training examples: ``"paired"`` is the same for the same seed,
            whatever the rates; ``"shared"`` is the same for every seed; ``"independent"``
            differs between seeds and rates. A streamed source determines it itself, except that
            the batches of a finite `PyDataset` are shuffled by the seed, as `Model.fit` does.
        training_sample: number of training examples on which the training metrics are measured
            with dropout off; None for the size of the validation set, ``"all"`` for all. Of a
            streamed source they are the first ones, at most as many as there are for validation.
        callbacks: function that is called with each `Member` and returns a list of new Keras
            callbacks for it. They are called as in one `Model.fit` of all epochs, with the same
            logs, and find the model that is trained in their `model`. Training stops at
            whichever comes first: `epochs`, `patience` or the callbacks; score and best epoch are
            those of the objective. `CSVLogger`, `EarlyStopping`, `LearningRateScheduler`,
            `ReduceLROnPlateau`, `TerminateOnNaN` (at the end of the epoch), and `LambdaCallback`
            without functions for batches are called between epochs, in the thread that trains the
            member; with any other, `Model.fit` trains the member. The state of callbacks is not
            saved: a member with callbacks cannot be continued, and one that was interrupted is
            trained again from the start.

    Raises:
        ValueError: a setting is out of range.
        TypeError: `callbacks` is not a function, `class_weight` not a dict, or `objective` not one
            objective.

    Example:
        >>> from dropout_zoo.training import TrainSettings
        >>> settings = TrainSettings(epochs=5, objective="val_accuracy")
        >>> settings.epochs, settings.batch_size
        (5, 32)
    """

    epochs: int = EPOCHS
    batch_size: int = BATCH_SIZE
    learning_rate: float | None = None
    objective: str | NamedObjective = OBJECTIVE
    patience: int | None = None
    initial_weights: str = INITIAL_WEIGHTS[0]
    class_weight: Mapping[int, float] | None = None
    order: str = "paired"
    training_sample: int | str | None = None
    callbacks: CallbackFunction | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "objective":  # NumPy's numbers become Python's, which JSON can hold
                object.__setattr__(self, each.name, as_json(getattr(self, each.name)))
        check_count(self.epochs, "epochs")
        check_count(self.batch_size, "batch_size")
        if self.learning_rate is not None:
            check_positive(self.learning_rate, "learning_rate")
        if self.patience is not None:
            check_count(self.patience, "patience")
        check_choice(self.initial_weights, INITIAL_WEIGHTS, "initial_weights")
        check_choice(self.order, ORDERS, "order")
        check_sample_size(self.training_sample, "training_sample")
        if self.class_weight is not None:
            _check_class_weight(self.class_weight)
        objective = parse_objective(self.objective)
        if not isinstance(self.objective, str):
            object.__setattr__(self, "objective", objective)
        if self.callbacks is not None:
            _check_callbacks(self.callbacks)

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], function: Callable[..., Any] | None = None
    ) -> TrainSettings:
        """Return the settings that a function received as keyword arguments.

        Args:
            options: settings by name; those left out have their defaults.
            function: the function, whose own arguments an error may suggest.

        Returns:
            The settings.

        Raises:
            TypeError: there is no such setting.
            ValueError: a setting is out of range.
        """
        names = [each.name for each in fields(cls)]
        for name in options:
            if name not in names:
                known, of = names, "a training setting"
                if function is not None:
                    own = inspect.signature(function).parameters
                    if name in own:  # a study takes `execution`, and its plan does not
                        raise TypeError(
                            f"expected an argument of plan_{function.__name__}() or a training "
                            f"setting, received {name!r}; pass it to the plan's run()"
                        )
                    known = [*names, *own]
                    of = f"an argument of {function.__name__}() or a training setting"
                hint = did_you_mean(name, known) or f"; settings: {', '.join(names)}"
                raise TypeError(f"expected {of}, received {name!r}{hint}")
        return cls(**options)

    def describe(self) -> dict[str, Any]:
        """Return all settings as plain data, for the record of a study or a search.

        Returns:
            Values that JSON can hold, by name; the objective with its direction, and a fingerprint
            of the code of `callbacks`.
        """
        objective = parse_objective(self.objective)
        described = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.callbacks is not None:
            described["callbacks"] = function_fingerprint(self.callbacks)
        return described | {"objective": f"{objective.name}:{objective.direction}"}


def _check_class_weight(weights: object) -> None:
    if not isinstance(weights, Mapping):
        raise TypeError(
            "expected class_weight to be a dict of weights by class number, such as {1: 2.0}, "
            f"received {object_of(weights)}"
        )
    for number, weight in weights.items():
        check_count(number, "each key of class_weight", minimum=0)
        check_not_negative(weight, f"class_weight[{number}]")


def _check_callbacks(callbacks: object) -> None:
    if not callable(callbacks):
        raise TypeError(
            "expected callbacks to be a function that makes those of each member, such as "
            "callbacks=lambda member: [keras.callbacks.EarlyStopping(patience=3)], received "
            f"{object_of(callbacks)}, whose state all members would share"
        )
    try:
        inspect.signature(callbacks).bind("member")
    except TypeError:
        raise TypeError(
            "expected callbacks to be a function of the member, such as callbacks=lambda "
            f"member: [...], received a function that takes {inspect.signature(callbacks)}"
        ) from None


class CommonOptions(TypedDict, total=False):
    """The settings of `TrainSettings` that `DropoutTuner.search` takes too.

    The objective is that of its oracle, and it takes callbacks as `Model.fit` does.
    """

    epochs: int
    batch_size: int
    learning_rate: float | None
    patience: int | None
    initial_weights: str
    class_weight: Mapping[int, float] | None
    order: str
    training_sample: int | str | None


class TrainOptions(CommonOptions, total=False):
    """The settings of `TrainSettings` as keyword arguments."""

    objective: str | NamedObjective
    callbacks: CallbackFunction | None
