"""The results of members: a long search keeps thousands of them."""

import gc
import tracemalloc
from pathlib import Path

import pytest

from dropout_zoo.training import Member, TrainedMember
from dropout_zoo.training.engine.journal import JournaledTrainer
from dropout_zoo.training.members import as_curves
from dropout_zoo.training.objective import parse_objective

MEASURED = ("loss", "accuracy", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


class Finished:
    """A trainer that has trained everything already."""

    rates = {"drop": 0.5}  # noqa: RUF012
    max_parallel = 1

    class settings:  # noqa: N801
        epochs = 1

    def outline_of(self, member):
        return self

    def train(self, members, on_result):
        results = []
        for member in members:
            curves = as_curves([{"epoch": 1, **dict.fromkeys(MEASURED, 0.5)}])
            objective = parse_objective("val_loss")
            results.append(
                TrainedMember(
                    member, dict(self.rates), "completed", "", curves, objective, 1, 0.5, 1.0,
                    None, None,
                )
            )  # fmt: skip
            on_result(results[-1])
        return results


@pytest.mark.parametrize("journaled", [False, True])
def test_a_result_takes_little_memory_once_it_is_recorded(tmp_path: Path, journaled):
    trainer, kept = Finished(), []
    if journaled:
        trainer = JournaledTrainer(trainer, tmp_path / "journal.jsonl")

    def train(seeds):
        for trained in trainer.train([Member({}, seed) for seed in seeds], kept.append):
            assert trained.best_metrics == dict.fromkeys(MEASURED, 0.5)

    train(range(10))
    gc.collect()
    tracemalloc.start()
    try:
        train(range(10, 210))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / 200 < 6_000
