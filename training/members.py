"""Members: one model, many settings of rates and seed, and what comes of each."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import pandas as pd

from dropout_zoo.models.graph.cloning import with_rates
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.guidance import check_rate
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.schedules import RateSchedule, check_schedule


@dataclass(frozen=True)
class Member:
    """One training to be done: a setting of the rates, and a seed.

    Attributes:
        rates: rate (fraction dropped) by site path, or one a site in the order of
            `dropout_sites`. Sites left out of a mapping keep the model's rates.
        seed: decides initial weights, data order and dropout masks; a whole number >= 0.
        epochs: epochs at which to stop, counted from the first one of all; None for what
            `train_members` is told.
        initial_epoch: epochs that are done already.
        weights: checkpoint of an earlier training to continue, from `TrainedMember.checkpoint`.
        label: a name for tables and messages.
        schedule: how much of the rates applies in which epoch; None for all of them, always.
    """

    rates: Mapping[str, float] | Sequence[float]
    seed: int
    epochs: int | None = field(default=None, kw_only=True)
    initial_epoch: int = field(default=0, kw_only=True)
    weights: Path | None = field(default=None, kw_only=True)
    label: str | None = field(default=None, kw_only=True)
    schedule: RateSchedule | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.schedule is not None:
            check_schedule(self.schedule)


@dataclass(frozen=True)
class Job:
    """A member that is to be trained next.

    Attributes:
        number: its number among the members, which names its checkpoint.
        member: the member.
        rates: its rate (fraction dropped) at every site of the model, by path.
    """

    number: int
    member: Member
    rates: Mapping[str, float]


@dataclass(frozen=True)
class TrainedMember:
    """What came of a member.

    Attributes:
        member: the member.
        rates: its rate (fraction dropped) at every site of the model, by path.
        status: ``"completed"``, ``"diverged"`` (a loss that is not finite) or ``"failed"``.
        reason: why it failed or diverged, else empty.
        curves: a row an epoch: ``epoch`` (from 1); with a schedule ``rate_factor``, the part of
            the rates that applied; ``loss`` and metrics as Keras reports them while training; the
            same measured with dropout off after the epoch, on the training sample (``train_``)
            and on the validation part (``val_``).
        objective: what its epochs were judged by.
        best_epoch: epoch with the best objective, from 1; 0 if none was finished.
        score: the objective at that epoch.
        seconds: time of its training.
        checkpoint: file with its weights at the best epoch; None if no epoch was finished.
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
    _template: keras.Model = field(repr=False)
    # Keeps a temporary folder of weights until no member needs it.
    _folder: tempfile.TemporaryDirectory | None = field(default=None, repr=False)

    def model(self) -> keras.Model:
        """Build the plain Keras model with this member's rates and its weights at the best epoch.

        Returns:
            A compiled model.

        Raises:
            RuntimeError: no epoch of the member was finished.
        """
        if self.checkpoint is None:
            raise RuntimeError(f"expected a trained member, received one that {self.status}")
        model = with_rates(self._template, self.rates)
        model.set_weights(list(Checkpoint.load(self.checkpoint).best))
        return model

    def final_model(self) -> keras.Model:
        """Build the plain Keras model as one call of `Model.fit` leaves it after the last epoch.

        It is not the one that the best epoch was measured with: where the optimizer keeps an
        average of the weights (`use_ema`), `Model.fit` replaces the weights with it at its end.

        Returns:
            A compiled model.

        Raises:
            RuntimeError: no epoch of the member was finished, or its last state was not kept.
        """
        checkpoint = None if self.checkpoint is None else Checkpoint.load(self.checkpoint)
        if checkpoint is None or not checkpoint.last:
            raise RuntimeError(
                "expected a member that was trained with keep_state=True, received one that "
                f"{self.status} and whose state after the last epoch is not there"
            )
        model = with_rates(self._template, self.rates)
        model.set_weights(list(checkpoint.last))
        for variable, value in zip(model.optimizer.variables, checkpoint.optimizer, strict=True):
            variable.assign(value)
        model.optimizer.finalize_variable_values(model.trainable_weights)
        return model


def member_rates(model: keras.Model, member: Member) -> dict[str, float]:
    """The rate of a member at every site of a model.

    Args:
        model: the model.
        member: the member.

    Returns:
        Rate (fraction dropped) by site path.

    Raises:
        ValueError: a rate is out of range, its path names no site, or there are not as many
            rates as sites.
    """
    sites = {site.path: site.rate for site in settable_sites(model)}
    given = member.rates
    if not isinstance(given, Mapping):
        if len(given) != len(sites):
            raise ValueError(
                f"expected {len(sites)} rates, one for each of {', '.join(sites) or 'no sites'}; "
                f"received {tuple(given)}"
            )
        given = dict(zip(sites, given, strict=True))
    unknown = [path for path in given if path not in sites]
    if unknown:
        raise ValueError(
            f"expected rates of {', '.join(sites) or 'no sites'}; received one of "
            f"{', '.join(map(repr, unknown))}"
        )
    return sites | {path: check_rate(rate, path) for path, rate in given.items()}
