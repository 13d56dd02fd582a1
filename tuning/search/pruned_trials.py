"""Trials that end before their training does, as halving and Hyperband have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from dropout_zoo.training.members import TrainedMember
from dropout_zoo.tuning.records.trial_tables import PRUNED, TrainingRecord
from dropout_zoo.tuning.trial_setting import TrialSetting


def has_ended(result: TrainedMember, patience: int | None) -> bool:
    """Return whether patience has ended a training run, or an error.

    Args:
        result: the training run.
        patience: number of epochs without improvement after which training ends; None for never.
    """
    stalled = patience is not None and len(result.curves) - result.best_epoch >= patience
    return result.status != "completed" or stalled


def pruned(result: TrainedMember) -> TrainedMember:
    """Return a training run with a status that says that it was ended early."""
    reason = f"others were more promising at epoch {len(result.curves)}"
    return replace(result, status=PRUNED, reason=reason)


def last_of_each_setting(
    results: Mapping[str, TrainedMember], epochs: int, patience: int | None
) -> dict[str, TrainedMember]:
    """Keep the longest trial of each setting, and mark those that were ended early.

    A trial that another one has continued is left out: its epochs are those of the other one too.

    Args:
        results: the trials by name, in the order in which they were created.
        epochs: the maximum number of epochs.
        patience: as in `has_ended`.

    Returns:
        The trials that are left, by name.
    """
    longest: dict[str, str] = {}
    for name, result in results.items():
        key = TrialSetting.of(result).key
        if key not in longest or _end(result, epochs) >= _end(results[longest[key]], epochs):
            longest[key] = name
    return {
        name: result
        if _end(result, epochs) == epochs or has_ended(result, patience)
        else pruned(result)
        for name, result in results.items()
        if name in longest.values()
    }


def as_far_as_trained(
    records: Sequence[TrainingRecord], going_on: Collection[str], patience: int | None
) -> list[TrainingRecord]:
    """Return the records of halving that time has ended.

    Args:
        records: the training runs so far.
        going_on: names of the trials that were to go on.
        patience: as in `has_ended`.

    Returns:
        The records without trials that a later one of the same name has continued. Those that were
        not to go on are marked.
    """
    last = {
        (each.setting, each.role, each.result.member.seed, each.result.member.split): number
        for number, each in enumerate(records)
    }
    kept = [each for number, each in enumerate(records) if number in last.values()]
    return [
        each._replace(result=pruned(each.result))
        if each.role == "trial"
        and each.setting not in going_on
        and is_under_way(each.result, patience)
        else each
        for each in kept
    ]


def is_under_way(result: TrainedMember, patience: int | None) -> bool:
    """Return whether a trial of halving has come to a rung, and neither to its end nor further."""
    return result.member.epochs is not None and not has_ended(result, patience)


def _end(result: TrainedMember, epochs: int) -> int:
    return result.member.epochs or epochs
