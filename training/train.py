"""Training members: the engine where it can, `Model.fit` where it must."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from dropout_zoo.training.fit import fit_member
from dropout_zoo.training.members import Member, TrainedMember, member_rates
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.plan import make_plan

if TYPE_CHECKING:
    from dropout_zoo.training.dataset import Dataset


class MemberTrainer:
    """Trains members of one model, batch after batch of them, with the same data and settings.

    What it takes to begin (clones, traced graphs) is done once. See `train_members` for what
    members of the same seed share.

    Args:
        model: a compiled Sequential or Functional model; it is left as it is.
        dataset: training, validation and test part; the test part is not touched.
        epochs: number of epochs, at least 1.
        batch_size: examples a step; the last batch of an epoch may be smaller.
        objective: what decides the best epoch: a column of the curves, with ``:min`` or ``:max``
            behind it where its direction is not known.
        patience: epochs without a better objective after which a member stops; None for never.
        class_weight: weight of each class in the training loss, by class number.
        initial_weights: ``"fresh"`` draws them from each member's seed, except for frozen and
            adapted layers; ``"keep"`` starts from the model's own.
        order: of the data: ``"paired"`` by seed, ``"shared"`` by all, or ``"independent"``.
        training_sample: number of training examples on which the training metric is measured
            with dropout off; None for as many as the validation part has, ``"all"`` for all.
        keep_state: whether checkpoints hold what it takes to continue the training.
        directory: where the members' weights are kept; None for a temporary folder that goes
            with the last trained member.

    Raises:
        ValueError: a setting is out of range, or model and data do not fit.
        TypeError: the model cannot be cloned.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        *,
        epochs: int,
        batch_size: int,
        objective: str | Objective = "val_loss",
        patience: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        initial_weights: str = "fresh",
        order: str = "paired",
        training_sample: int | str | None = None,
        keep_state: bool = False,
        directory: str | Path | None = None,
    ) -> None:
        folder = tempfile.TemporaryDirectory(prefix="dropout-zoo-") if directory is None else None
        self.plan = make_plan(
            model,
            dataset,
            epochs=epochs,
            batch_size=batch_size,
            objective=objective,
            patience=patience,
            class_weight=class_weight,
            initial_weights=initial_weights,
            order=order,
            training_sample=training_sample,
            keep_state=keep_state,
            directory=Path(folder.name if folder else directory),
            folder=folder,
        )
        self._numbers = itertools.count()

    def train(
        self,
        members: Sequence[Member],
        on_result: Callable[[TrainedMember], None] | None = None,
    ) -> list[TrainedMember]:
        """Train members.

        Args:
            members: what to train.
            on_result: hears of each member as it finishes.

        Returns:
            The trained members, in the order of `members`.

        Raises:
            ValueError: a member's rates do not fit the model.
        """
        resolved = [member_rates(self.plan.model, member) for member in members]
        trained = []
        for member, rates in zip(members, resolved, strict=True):
            trained.append(fit_member(self.plan, member, rates, next(self._numbers)))
            if on_result is not None:
                on_result(trained[-1])
        return trained


def train_members(
    model: keras.Model,
    members: Sequence[Member],
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    objective: str | Objective = "val_loss",
    patience: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    initial_weights: str = "fresh",
    order: str = "paired",
    training_sample: int | str | None = None,
    keep_state: bool = False,
    directory: str | Path | None = None,
    on_result: Callable[[TrainedMember], None] | None = None,
) -> list[TrainedMember]:
    """Train members of one model, each as if it were trained alone.

    Members with the same seed start from the same weights and see the data in the same order,
    whatever their rates, so that their scores can be compared in pairs.

    Args:
        model: a compiled Sequential or Functional model; it is left as it is.
        members: what to train.
        dataset: training, validation and test part; the test part is not touched.
        epochs: number of epochs, at least 1.
        batch_size: examples a step; the last batch of an epoch may be smaller.
        objective: what decides the best epoch: a column of the curves, with ``:min`` or ``:max``
            behind it where its direction is not known.
        patience: epochs without a better objective after which a member stops; None for never.
        class_weight: weight of each class in the training loss, by class number.
        initial_weights: ``"fresh"`` draws them from each member's seed, except for frozen and
            adapted layers; ``"keep"`` starts from the model's own.
        order: of the data: ``"paired"`` by seed, ``"shared"`` by all, or ``"independent"``.
        training_sample: number of training examples on which the training metric is measured
            with dropout off; None for as many as the validation part has, ``"all"`` for all.
        keep_state: whether checkpoints hold what it takes to continue the training.
        directory: where the members' weights are kept; None for a temporary folder that goes
            with the last trained member.
        on_result: hears of each member as it finishes.

    Returns:
        The trained members, in the order of `members`.

    Raises:
        ValueError: a setting is out of range, or model and data do not fit.
        TypeError: the model cannot be cloned.
    """
    trainer = MemberTrainer(
        model,
        dataset,
        epochs=epochs,
        batch_size=batch_size,
        objective=objective,
        patience=patience,
        class_weight=class_weight,
        initial_weights=initial_weights,
        order=order,
        training_sample=training_sample,
        keep_state=keep_state,
        directory=directory,
    )
    return trainer.train(members, on_result)
