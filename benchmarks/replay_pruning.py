"""What pruning saves and what it costs: rules that stop trials early, replayed on full searches.

    python benchmarks/replay_pruning.py record --mnist mnist.npz [--only TASK ...]
    python benchmarks/replay_pruning.py replay

`record` trains twenty searches in full, each of 25 settings on several seeds, and keeps their
learning curves in `runs/replay_pruning`; if it is interrupted, run it again. `replay` decides with
each rule, from these curves, which trials would have been stopped, and writes
`replay_pruning.json`. Nothing is trained then: a trial that goes on is the same with and without
pruning, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_tuner
import numpy as np
import pandas as pd
from scipy import stats

from dropout_zoo.training import Member, Objective
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.tuning import SearchSpace
from dropout_zoo.tuning.search.halving import halve, rungs
from dropout_zoo.tuning.search.training_length import TYPICAL_PATIENCES
from dropout_zoo.tuning.tuners.oracles import make_oracle

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "replay_pruning"
RESULTS = Path(__file__).with_suffix(".json")
NUM_SEEDS = 3
CHOSEN_ON, JUDGED_ON = (0,), (1, 2)
"""Seeds: the rule of `tune` was chosen among others on the first, and is judged on the rest."""

CONTROL = 0
RANGES = 3
LOSS = Objective("val_loss", "min")


def record(mnist: str, only: list[str]) -> None:
    """Train the searches in full, seed by seed, and keep their curves."""
    from pruning_tasks import TASKS, settings_of

    from dropout_zoo.models.graph.sites import dropout_sites
    from dropout_zoo.training import MemberTrainer, TrainSettings, prepare_threads
    from dropout_zoo.tuning.search.training_length import with_default_length

    prepare_threads()
    RUNS.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in TASKS if not only or task.name in only]
    for seed in range(NUM_SEEDS):
        for task in tasks:
            file = RUNS / f"{task.name}, seed {seed}.parquet"
            if file.exists():
                continue
            data = task.data(mnist)
            model = task.build(data)
            settings = settings_of([site.path for site in dropout_sites(model)])
            length = with_default_length(task.training, data.num_examples())
            trainer = MemberTrainer(model, data, TrainSettings.from_options(length))
            results = trainer.train([Member(rates, seed) for rates in settings])
            rows = [
                each.curves[["epoch", "val_loss"]].assign(
                    task=task.name,
                    setting=number,
                    seed=seed,
                    epochs=length["epochs"],
                    patience=length["patience"],
                    mean_rate=sum(each.rates.values()) / len(each.rates),
                )
                for number, each in enumerate(results)
                if each.status == "completed"
            ]
            temporary = file.with_suffix(".partial")
            pd.concat(rows, ignore_index=True).to_parquet(temporary)
            temporary.replace(file)
            seconds = sum(each.seconds for each in results)
            print(f"{task.name}, seed {seed}: {seconds:.0f} s", file=sys.stderr, flush=True)


class Replay:
    """A search that was trained in full, whose trials are trained again by looking them up.

    Args:
        table: its learning curves.

    Attributes:
        curves: validation loss after each epoch, by the number of the setting; 0 is no dropout.
        mean_rates: mean rate over the sites of each setting.
        epochs: maximum number of epochs.
        patience: number of epochs without improvement after which training ends.
        spent: number of epochs that have been trained so far.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        groups = table.sort_values("epoch").groupby("setting")
        self.curves = {int(n): list(group["val_loss"]) for n, group in groups}
        self.mean_rates = {int(n): float(group["mean_rate"].iloc[0]) for n, group in groups}
        self.epochs, self.patience = int(table["epochs"].iloc[0]), int(table["patience"].iloc[0])
        self.spent = 0

    @property
    def typical(self) -> int:
        """Number of epochs after which training typically ends."""
        return min(self.epochs, TYPICAL_PATIENCES * self.patience)

    @property
    def trials(self) -> list[int]:
        """The settings that are searched."""
        return [number for number in self.curves if number != CONTROL]

    def train(self, number: int, end: int | None = None, begin: int = 0) -> list[float]:
        """Return the curve of a setting up to an epoch, and count the epochs after another."""
        curve = self.curves[number][:end]
        self.spent += max(0, len(curve) - begin)
        return curve

    def members(self, members: Sequence[Member]) -> list[TrainedMember]:
        """Train members whose labels are numbers of settings."""
        results = []
        for member in members:
            assert member.label is not None
            curve = self.train(int(member.label), member.epochs, member.initial_epoch)
            table = pd.DataFrame({"epoch": range(1, len(curve) + 1), LOSS.name: curve})
            best = curve.index(min(curve)) + 1
            results.append(
                TrainedMember(
                    member, {}, "completed", "", table, LOSS, best, min(curve), 0.0, None, None
                )
            )
        return results


Rule = Callable[[Replay], Iterable[int]]
"""Trains a search, and returns the settings that were trained to their end."""


def in_full(search: Replay) -> Iterable[int]:
    """Train everything to its end."""
    for number in search.trials:
        search.train(number)
    return search.trials


def halving(search: Replay) -> Iterable[int]:
    """Halve as `tune` does, by the code of `tune`."""
    members = [Member({}, 0, label=str(number)) for number in search.trials]
    ends = rungs(search.epochs, search.typical)
    results = halve(members, ends, search.patience, LOSS, search.members)
    return [int(str(each.member.label)) for each in results if each.status == "completed"]


def halving_by_score(search: Replay) -> Iterable[int]:
    """Halve at the same epochs by the best loss so far."""
    left, begin = search.trials, 0
    for end in rungs(search.epochs, search.typical):
        losses = {number: min(search.train(number, end, begin)) for number in left}
        left, begin = sorted(losses, key=losses.__getitem__)[: math.ceil(len(left) / 2)], end
    for number in left:
        search.train(number, None, begin)
    return left


def halving_by_range(search: Replay) -> Iterable[int]:
    """Halve by the best loss so far within each of three ranges of the mean rate."""
    ordered = sorted(search.trials, key=search.mean_rates.__getitem__)
    groups = [list(group) for group in np.array_split(ordered, RANGES)]
    begin = 0
    for end in rungs(search.epochs, search.typical):
        for place, group in enumerate(groups):
            losses = {number: min(search.train(number, end, begin)) for number in group}
            ranked = sorted(losses, key=losses.__getitem__)
            groups[place] = ranked[: math.ceil(len(group) / 2)]
        begin = end
    left = [number for group in groups for number in group]
    for number in left:
        search.train(number, None, begin)
    return left


def one_epoch(search: Replay) -> Iterable[int]:
    """Train the three settings to their end that have the lowest loss after one epoch."""
    losses = {number: search.train(number, 1)[0] for number in search.trials}
    best = sorted(losses, key=losses.__getitem__)[:3]
    for number in best:
        search.train(number, None, 1)
    return best


def median(search: Replay) -> Iterable[int]:
    """Stop below the median, as Google Vizier does.

    From the fifth epoch on, a trial ends when its best loss so far is above the median of the mean
    losses that the trials before it had up to the same epoch.
    """
    means: list[np.ndarray] = []
    ended = []
    for number in search.trials:
        curve = search.curves[number]
        length = len(curve)
        for epoch in range(5, len(curve) + 1):
            others = [mean[min(epoch, len(mean)) - 1] for mean in means]
            if len(others) >= 5 and min(curve[:epoch]) > np.median(others):
                length = epoch
                break
        else:
            ended.append(number)
        search.train(number, length)
        means.append(np.cumsum(curve[:length]) / np.arange(1, length + 1))
    return ended


def hyperband(search: Replay) -> Iterable[int]:
    """KerasTuner's Hyperband, as `tune` sets it up for small spaces."""
    space = SearchSpace({"setting": tuple(map(float, search.trials))}, {"setting": ("setting",)})
    oracle = make_oracle(
        "hyperband", space, objective=LOSS, max_trials=None, epochs=search.epochs, seed=0
    )
    parameters = keras_tuner.HyperParameters()
    parameters.Choice("setting", list(map(float, search.trials)), ordered=True)
    oracle.update_space(parameters)
    ended = []
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        values = trial.hyperparameters.values
        number, end = int(values["setting"]), values["tuner/epochs"]
        curve = search.train(number, end, values["tuner/initial_epoch"])
        if len(curve) == len(search.curves[number]):
            ended.append(number)
        oracle.update_trial(trial.trial_id, {LOSS.name: min(curve)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return ended


RULES: dict[str, Rule] = {
    "in full": in_full,
    "halving, as in `tune`": halving,
    "halving by the best loss so far": halving_by_score,
    f"the same, in {RANGES} ranges of rates": halving_by_range,
    "Hyperband": hyperband,
    "median": median,
    "one epoch, then the best 3": one_epoch,
}


class Searches:
    """The searches of a task on several seeds.

    Args:
        tables: learning curves by seed.
    """

    def __init__(self, tables: Mapping[int, pd.DataFrame]) -> None:
        self.tables = tables
        replays = [Replay(table) for table in tables.values()]
        # Settings that diverged on a seed are left out.
        shared = set.intersection(*(set(replay.curves) for replay in replays))
        self.numbers = sorted(shared)
        self.losses = np.array([[min(r.curves[n]) for n in self.numbers] for r in replays])
        deviations = (
            self.losses
            - self.losses.mean(axis=0)
            - self.losses.mean(axis=1, keepdims=True)
            + self.losses.mean()
        )
        seeds, settings = self.losses.shape
        self.freedom = (seeds - 1) * (settings - 1)
        self.deviation = math.sqrt((deviations**2).sum() / self.freedom)

    def judge(self, rule: Rule, seed: int) -> dict[str, float]:
        """Replay a rule on one seed, and judge its winner on the others.

        Returns:
            ``share`` of the epochs of the full search; ``as_good``, whether the winner is not
            reliably worse than that of the full search (one-sided, 5%); ``excess`` of its loss over
            the lowest mean on the other seeds, in standard deviations of a training run; and
            ``shift`` of its mean rate from that of the winner of the full search.
        """
        place = list(self.tables).index(seed)
        replay = Replay(self.tables[seed])
        ended = [number for number in rule(replay) if number in self.numbers]
        replay.train(CONTROL)
        whole = Replay(self.tables[seed])
        in_full(whole)
        whole.train(CONTROL)

        def winner(numbers: Iterable[int]) -> int:
            return min(numbers, key=lambda number: min(whole.curves[number]))

        chosen, best = winner(ended), winner(n for n in self.numbers if n != CONTROL)
        means = np.delete(self.losses, place, axis=0).mean(axis=0)
        loss, other = (means[self.numbers.index(number)] for number in (chosen, best))
        error = self.deviation * math.sqrt(2 / (len(self.losses) - 1))
        return {
            "share": replay.spent / whole.spent,
            "as_good": float((loss - other) / error <= stats.t.ppf(0.95, self.freedom)),
            "excess": (loss - means.min()) / self.deviation,
            "shift": replay.mean_rates[chosen] - replay.mean_rates[best],
        }


def replay(seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """Replay each rule on each search.

    Args:
        seeds: the seeds on which the rules choose.

    Returns:
        Means over the searches by rule.
    """
    tables: dict[str, dict[int, pd.DataFrame]] = {}
    for file in sorted(RUNS.glob("*.parquet")):
        table = pd.read_parquet(file)
        tables.setdefault(table["task"].iloc[0], {})[int(table["seed"].iloc[0])] = table
    found = {name: Searches(each) for name, each in tables.items() if len(each) == NUM_SEEDS}
    means = {}
    for rule_name, rule in RULES.items():
        rows = pd.DataFrame(
            [searches.judge(rule, seed) for searches in found.values() for seed in seeds]
        )
        means[rule_name] = {
            "tasks": len(found),
            "searches": len(rows),
            **{name: round(float(rows[name].mean()), 4) for name in rows},
            "mean_distance": round(float(rows["shift"].abs().mean()), 4),
        }
    return means


def main() -> None:
    """Record the searches, or replay them and write what each rule gives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["record", "replay"])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--only", nargs="+", metavar="TASK", default=[])
    arguments = parser.parse_args()
    if arguments.what == "record":
        record(arguments.mnist, arguments.only)
        return
    chosen, judged = replay(CHOSEN_ON), replay(JUDGED_ON)
    RESULTS.write_text(json.dumps({"chosen_on": chosen, "judged_on": judged}, indent=1) + "\n")
    for title, found in (("the seed on which the rule was chosen", chosen), ("others", judged)):
        print(f"{title}:")
        print(pd.DataFrame(found).T.to_string())


if __name__ == "__main__":
    main()
