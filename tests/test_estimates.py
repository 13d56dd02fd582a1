"""Estimates of how long a run takes: of what it depends on, none is forgotten."""

from dataclasses import replace
from functools import partial

import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import Execution, capacity_sweep
from dropout_zoo.studies.trainings import estimate_seconds
from dropout_zoo.training import Member, MemberTrainer
from dropout_zoo.training.estimates import Pace, measure_pace
from dropout_zoo.tuning.search import Search, TuningSettings


class _PlannedError(Exception):
    """Ends a study before its first training."""


def planned(study):
    plans = []

    def stop(plan):
        plans.append(plan)
        raise _PlannedError

    with pytest.raises(_PlannedError):
        study(execution=Execution(on_plan=stop))
    return plans[0]


def test_every_training_costs_its_epochs_and_all_of_them_one_start():
    pace = Pace(start_up=2.0, training=0.5, epoch=0.1)
    assert pace.seconds(1, 10) == pytest.approx(3.5)
    assert pace.seconds(4, 10) == pytest.approx(8.0)


def test_trainings_side_by_side_share_the_time(few_digits):
    trainer = MemberTrainer(
        build_mlp(units=(8,), hidden_rates=(0.5,)), few_digits, epochs=1, batch_size=32, workers=2
    )
    trained = []
    train = trainer.train
    trainer.train = lambda members: trained.append(members) or train(members)
    pace = measure_pace(trainer, Member({}, 0), trainings=30)
    assert {len(members) for members in trained} == {2}
    assert [members[0].epochs for members in trained] == [1, 1, 3]
    assert pace.start_up > pace.training + pace.epoch, "tracing is paid once"


def test_a_search_of_more_epochs_takes_longer(digits):
    few, many = (
        Search("mlp", digits, TuningSettings(epochs=epochs)).estimate_seconds()
        for epochs in (4, 400)
    )
    assert many > 5 * few


@pytest.mark.slow
def test_a_sweep_is_estimated_from_more_than_one_of_its_models(few_digits):
    sweep = partial(capacity_sweep, "mlp", few_digits, epochs=20, seeds=2)
    small, both = (
        estimate_seconds(planned(partial(sweep, units=units)))
        for units in ([(8, 8)], [(1000, 1000), (8, 8)])
    )
    assert both > 3 * small


def test_trainings_that_are_decided_later_are_counted(few_digits):
    plan = planned(partial(capacity_sweep, "mlp", few_digits, epochs=1, units=[(8, 8)], seeds=2))
    longer = replace(plan, later=100 * plan.trainings)
    assert estimate_seconds(longer) > 10 * estimate_seconds(plan)
