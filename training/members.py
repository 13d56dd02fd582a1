"""Members: training runs of one model that differ in dropout rates and seed, and their results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.schedules import RateSchedule, check_schedule


@dataclass(frozen=True)
class Member:
    """One training run of a model: dropout rates and a seed.

    Attributes:
        rates: rates (fractions dropped) by site path, or one per site in the order of
            `dropout_sites`. Sites that a mapping leaves out keep the model's rates.
        seed: seed of the initial weights, the order of the data and the dropout masks, a whole
            number of at least 0.
        epochs: epoch at which to stop, counted from the very first one; None for that of the
            `TrainSettings`.
        initial_epoch: number of epochs that an earlier run has completed.
        weights: checkpoint of that run, from `TrainedMember.checkpoint`, trained with
            ``keep_state=True``. The result is that of one run that was never interrupted: its
            learning curves begin with the first epoch, and its patience counts on.
        label: a name for tables and messages.
        schedule: schedule of the rates over the epochs; None for constant rates.
        split: 0 for the training and validation set as they are; another number for those that
            `Dataset.resplit` makes with it as its seed. Adapted layers keep their statistics.
        hyperparameters: values, by name, with which a build function has made the model; none where
            the model is given.

    Raises:
        ValueError: the seed is not a whole number of at least 0.
        TypeError: `schedule` is not a schedule.

    Example:
        >>> from dropout_zoo.training import EarlyDropout, Member
        >>> Member({"hidden_1_dropout": 0.3}, seed=1).seed
        1
        >>> Member([0.5, 0.5], seed=1, schedule=EarlyDropout(epochs=5)).schedule
        EarlyDropout(epochs=5)
    """

    rates: Mapping[str, float] | Sequence[float]
    seed: int
    epochs: int | None = field(default=None, kw_only=True)
    initial_epoch: int = field(default=0, kw_only=True)
    weights: Path | None = field(default=None, kw_only=True)
    label: str | None = field(default=None, kw_only=True)
    schedule: RateSchedule | None = field(default=None, kw_only=True)
    split: int = field(default=0, kw_only=True)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        check_count(self.seed, "seed", minimum=0)
        if self.schedule is not None:
            check_schedule(self.schedule)


@dataclass(frozen=True)
class Job:
    """A member to train.

    Attributes:
        number: its number among the members of a trainer, which names its checkpoint.
        member: the member.
        rates: its rate (fraction dropped) at every site of the model, by path.
        callbacks: its callbacks.
    """

    number: int
    member: Member
    rates: Mapping[str, float]
    callbacks: Sequence[keras.callbacks.Callback] = ()


@dataclass(frozen=True)
class TrainedMember:
    """The result of training a member.

    Attributes:
        member: the member.
        rates: its rate (fraction dropped) at every site of the model, by path.
        status: ``"completed"``, ``"diverged"`` (the loss is not finite) or ``"failed"``.
        reason: why the training run failed or diverged; empty if it completed.
        curves: the learning curves, one row per epoch. Columns are ``epoch`` (from 1); with a
            schedule ``rate_factor``, by which the rates were multiplied; ``loss`` and the metrics
            as Keras reports them during training; the same measured with dropout off after the
            epoch, on the training sample (``train_...``) and on the validation set
            (``val_...``); and the learning rates that callbacks log.
        objective: the metric that determines the best epoch.
        best_epoch: epoch with the best objective, from 1; 0 if no epoch was finished.
        score: the objective at that epoch.
        best_metrics: all values of the curves at that epoch, by name.
        seconds: duration of the training run.
        checkpoint: file with the weights of the best epoch; None if no epoch was finished.
        group: name that all nodes of a cluster share whose processors compute the same bits; empty
            for a member that was trained in this process.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import Member, load_dataset, train_members
        >>> model = build_mlp(units=(16,), hidden_rates=(0.5,))
        >>> [trained] = train_members(model, [Member({}, seed=0)], load_dataset("digits"), epochs=2)
        >>> trained.status, list(trained.curves["epoch"])
        ('completed', [1, 2])
        >>> trained.score == min(trained.curves["val_loss"])
        True
        >>> plain = trained.model()
    """

    member: Member
    rates: Mapping[str, float]
    status: str
    reason: str
    curves: pd.DataFrame
    objective: Objective
    best_epoch: int
    score: float
    seconds: float
    checkpoint: Path | None
    _template: keras.Model | None = field(repr=False)  # None without a checkpoint
    # Keeps a temporary directory of weights while a member needs it.
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)
    group: str = field(default="", kw_only=True)

    @classmethod
    def failed(cls, member: Member, reason: str, objective: Objective) -> TrainedMember:
        """Return the result of a member whose model could not be built.

        Args:
            member: the member, with rates by site path.
            reason: why.
            objective: what members are judged by.

        Returns:
            A result that failed before its first epoch.
        """
        rates = member.rates if isinstance(member.rates, Mapping) else {}
        worst = objective.worst
        return cls(
            member, rates, "failed", reason, pd.DataFrame(), objective, 0, worst, 0.0, None, None
        )

    @property
    def best_metrics(self) -> dict[str, Any]:
        """The values of the curves at the best epoch, by name."""
        # Of a copy, because pandas would keep an index and a view of each column.
        values: dict[str, Any] = (
            self.curves.copy().set_index("epoch").loc[self.best_epoch].to_dict()
        )
        return values

    def model(self) -> keras.Model:
        """Build the plain Keras model with the member's rates and the weights of its best epoch.

        Returns:
            A compiled model.

        Raises:
            RuntimeError: no epoch of the member was finished.
        """
        if self.checkpoint is None:
            raise RuntimeError(
                f"expected a trained member, received one that {self.status}: {self.reason}"
            )
        model = with_rates(self._template, self.rates)
        model.set_weights(list(Checkpoint.load(self.checkpoint).best))
        return model

    def final_model(self) -> keras.Model:
        """Build the plain Keras model that one call of `Model.fit` returns after the last epoch.

        Where the optimizer averages the weights (`use_ema`), `Model.fit` replaces the weights with
        their average at its end; the learning curves are measured before that. Callbacks may
        change the weights at the end of training, as ``restore_best_weights`` does.

        Returns:
            A compiled model.

        Raises:
            RuntimeError: no epoch of the member was finished, or its last state was not kept.
        """
        checkpoint = None if self.checkpoint is None else Checkpoint.load(self.checkpoint)
        if checkpoint is None or not checkpoint.last:
            raise RuntimeError(
                "expected a member trained with keep_state=True, received one that "
                f"{self.status}, without its state after the last epoch"
            )
        model = with_rates(self._template, self.rates)
        model.set_weights(list(checkpoint.last))
        # Those of other optimizers, which the code of a model may hold, come after its own.
        for variable, value in zip(model.optimizer.variables, checkpoint.optimizer, strict=False):
            variable.assign(value)
        if checkpoint.final:
            model.set_weights(list(checkpoint.final))
        else:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        return model


def completed_rates(sites: Mapping[str, float], member: Member) -> dict[str, float]:
    """Return the rate of a member at every site, from those that it does not change.

    Args:
        sites: rate (fraction dropped) of the model itself by site path.
        member: the member.

    Returns:
        Rate by site path.

    Raises:
        ValueError: a rate is out of range, a path names no site, or the numbers of rates and
            sites differ.
    """
    given = member.rates
    if not isinstance(given, Mapping):
        if len(given) != len(sites):
            raise ValueError(
                f"expected {len(sites)} rates, one for each of {', '.join(sites) or 'no sites'}, "
                f"received {tuple(given)}"
            )
        given = dict(zip(sites, given, strict=True))
    unknown = [path for path in given if path not in sites]
    if unknown:
        raise ValueError(
            f"expected rates of {', '.join(sites) or 'no sites'}, received one of "
            f"{', '.join(map(repr, unknown))}"
        )
    return {**sites, **{path: check_rate(rate, path) for path, rate in given.items()}}


def as_curves(rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return learning curves as a table.

    The tables of the members of a search share their labels, which would otherwise take more memory
    than the curves.

    Args:
        rows: the values of each epoch by name, or those of all epochs.

    Returns:
        The table.
    """
    table = pd.DataFrame(rows)
    table.columns = _column_labels(tuple(table.columns))
    table.index = _row_labels(len(table))
    return table


@lru_cache(maxsize=32)
def _column_labels(names: tuple[str, ...]) -> pd.Index:
    return pd.Index(names)


@lru_cache(maxsize=32)
def _row_labels(count: int) -> pd.Index:
    return pd.RangeIndex(count)
