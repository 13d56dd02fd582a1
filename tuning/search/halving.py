"""Successive halving: all settings begin, and the more promising half of them goes on."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.race.race import Train
from dropout_zoo.tuning.search.pruned_trials import has_ended, pruned

RUNGS = (1 / 8, 1 / 4, 1 / 2)
"""Parts of the length of a typical training run after which half of the settings end."""


def rungs(epochs: int, typical: int) -> list[int]:
    """Return the epochs at which settings are compared.

    Args:
        epochs: the maximum number of epochs.
        typical: the number of epochs after which training typically ends.

    Returns:
        Numbers of epochs, ascending and below the maximum.

    Example:
        >>> rungs(200, 75)
        [10, 19, 38]
    """
    return sorted({n for part in RUNGS if (n := math.ceil(part * typical)) < epochs})


def round_sizes(settings: int, num_rungs: int) -> list[int]:
    """Return how many settings are trained to each rung, and how many to the end.

    Args:
        settings: number of settings that begin.
        num_rungs: number of rungs.

    Returns:
        The numbers, if no training run fails.

    Example:
        >>> round_sizes(50, num_rungs=3)
        [50, 25, 13, 7]
    """
    halves = itertools.accumulate(range(num_rungs), lambda size, _: -(-size // 2), initial=settings)
    return list(halves)


def equal_runs(settings: int, rungs: Sequence[int], epochs: int) -> int:
    """Return how many whole training runs take as many epochs as all settings.

    Args:
        settings: number of settings that begin.
        rungs: epochs at which they are compared, ascending.
        epochs: number of epochs after which training ends.

    Returns:
        The number, rounded up.

    Example:
        >>> equal_runs(50, rungs=[10, 19, 38], epochs=75)
        17
    """
    ends = [min(rung, epochs) for rung in rungs] + [epochs]
    lengths = [end - begin for begin, end in itertools.pairwise([0, *ends])]
    sizes = round_sizes(settings, len(rungs))
    trained = sum(size * length for size, length in zip(sizes, lengths, strict=True))
    return math.ceil(trained / epochs)


def sample(choices: Mapping[str, Sequence[float]], count: int, seed: int) -> list[dict[str, float]]:
    """Draw different combinations of values.

    Args:
        choices: values by name of the hyperparameter.
        count: number of combinations; all of them if there are not more.
        seed: determines what is drawn.

    Returns:
        The combinations in the order of the grid.

    Example:
        >>> sample({"a": (0.2, 0.5), "b": (0.3,)}, count=9, seed=0)
        [{'a': 0.2, 'b': 0.3}, {'a': 0.5, 'b': 0.3}]
    """
    sizes = [len(values) for values in choices.values()]
    size = math.prod(sizes)
    draw, drawn = random.Random(seed), set[int]()
    while len(drawn) < min(count, size):  # `sample` takes no population as large as this may be
        drawn.add(draw.randrange(size))
    settings = []
    for number in sorted(drawn):
        places = []
        for length in reversed(sizes):
            number, place = divmod(number, length)
            places.append(place)
        pairs = zip(choices.items(), reversed(places), strict=True)
        settings.append({name: values[place] for (name, values), place in pairs})
    return settings


def expected_score(scores: Sequence[float], objective: Objective) -> float:
    """Predict the best score after twice as many epochs.

    What the second half of the epochs has gained is expected once more. A network with dropout
    learns more slowly: after a few epochs, low rates lead that fall behind later, and a comparison
    of the scores so far would favor them. How much it does is measured by
    `benchmarks/replay_pruning.py`.

    Args:
        scores: the objective after each epoch so far.
        objective: what it is, and which values are better.

    Returns:
        The score.

    Example:
        >>> loss = Objective("val_loss", "min")
        >>> round(expected_score([0.9, 0.5, 0.4, 0.3], loss), 3)
        0.1
        >>> expected_score([0.9, 0.3, 0.4, 0.5], loss)  # it has risen since
        0.3
    """
    choose = min if objective.direction == "min" else max
    best, earlier = choose(scores), choose(scores[: max(1, len(scores) // 2)])
    return best + (best - earlier)


def halve(
    members: Sequence[Member],
    rungs: Iterable[int],
    patience: int | None,
    objective: Objective,
    train: Train,
) -> list[TrainedMember]:
    """Train members, and at each rung go on with the more promising half of those that are left.

    Training is continued where it ended, so that a member that is trained to its end is the same
    as one that was never compared.

    Args:
        members: the members, each for the same number of epochs.
        rungs: epochs at which they are compared, ascending and below that number.
        patience: number of epochs without improvement after which training ends; None for never.
        objective: what they are judged by.
        train: trains members, and keeps the state after their last epoch.

    Returns:
        The longest training run of each member, in their order; its status is ``"pruned"`` where
        training was neither continued nor at its end.
    """
    left, results = list(range(len(members))), dict[int, TrainedMember]()
    begin = 0
    for end in rungs:
        results |= _continued(members, left, results, begin, end, train)
        left, begin = _promising(left, results, patience, objective), end
    results |= _continued(members, left, results, begin, None, train)
    return [
        result if number in left or has_ended(result, patience) else pruned(result)
        for number, result in sorted(results.items())
    ]


def _continued(
    members: Sequence[Member],
    left: Sequence[int],
    earlier: Mapping[int, TrainedMember],
    begin: int,
    end: int | None,
    train: Train,
) -> dict[int, TrainedMember]:
    going_on = [
        replace(
            members[number],
            epochs=members[number].epochs if end is None else end,
            initial_epoch=begin,
            weights=earlier[number].checkpoint if begin else None,
        )
        for number in left
    ]
    trained = train(going_on) if going_on else []
    return {
        number: replace(result, seconds=result.seconds + earlier[number].seconds)
        if number in earlier
        else result
        for number, result in zip(left, trained, strict=True)
    }


def _promising(
    left: Sequence[int],
    results: Mapping[int, TrainedMember],
    patience: int | None,
    objective: Objective,
) -> list[int]:
    def promise(number: int) -> float:
        result = results[number]
        if has_ended(result, patience):
            return result.score
        return expected_score(list(result.curves[objective.name]), objective)

    completed = [number for number in left if results[number].status == "completed"]
    # Of equal ones, the first.
    ranked = sorted(completed, key=promise, reverse=objective.direction == "max")
    return sorted(ranked[: math.ceil(len(left) / 2)])
