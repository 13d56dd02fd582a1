"""A worker's thread, without Ray: a plan is packed and loaded, members come one by one."""

import pickle
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.training import EarlyDropout, Member, MemberTrainer, TrainSettings
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.members import Job
from dropout_zoo.training.provenance import versions

pytest.importorskip("cloudpickle")

from dropout_zoo.training.engine.cluster.plan_thread import PlanThread, check_versions
from dropout_zoo.training.engine.sent_plan import pack_job, pack_plan

SECONDS = 120


@pytest.fixture(autouse=True)
def warnings_restored():
    with warnings.catch_warnings():
        yield


@pytest.mark.slow
def test_members_that_come_one_by_one_are_those_of_a_trainer(few_digits, tmp_path):
    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    trainer = MemberTrainer(
        model, few_digits, TrainSettings(epochs=2), keep_state=True, directory=tmp_path
    )
    members = [
        Member([0.2], 1),
        Member([0.5], 1, schedule=EarlyDropout(epochs=1)),
        Member([0.3], 2, split=3),
    ]
    here = trainer.train(members)
    later = Member([0.2], 1, epochs=3, initial_epoch=2, weights=here[0].checkpoint)
    here += trainer.train([later])
    thread = PlanThread(pack_plan(trainer.plan), {"workers": 2})
    thread.start()
    ready = thread.ready.result(SECONDS)
    assert ready.slots == 2 and len(ready.group) == 8
    first = thread.train(_job(0, members[0], here[0].rates), None)
    time.sleep(0.05)  # one is being trained, and the engine has to be told of the next
    others = [thread.train(_job(n, members[n], here[n].rates), None) for n in (1, 2)]
    outcomes = [each.result(SECONDS) for each in (first, *others)]
    content = here[0].checkpoint.read_bytes()
    outcomes.append(
        thread.train(_job(3, replace(later, weights=None), here[3].rates), content).result(SECONDS)
    )
    for one, outcome in zip(here, outcomes, strict=True):
        assert outcome.trained.group == ready.group
        assert one.curves.equals(outcome.trained.curves)
        assert (one.score, one.status) == (outcome.trained.score, outcome.trained.status)
        assert one.checkpoint.read_bytes() == outcome.weights
    thread.end()
    thread.join(SECONDS)
    assert not thread.is_alive()


def _job(number, member, rates):
    return pickle.loads(pack_job(Job(number, member, rates)))


@pytest.mark.slow
def test_an_error_of_training_is_that_of_the_members_and_the_thread_goes_on(few_digits, tmp_path):
    trainer = MemberTrainer(
        build_mlp(units=(8,), hidden_rates=(0.4,)), few_digits, TrainSettings(epochs=1),
        directory=tmp_path,
    )  # fmt: skip
    thread = PlanThread(pack_plan(trainer.plan), {"workers": 1})
    thread.start()
    rates = {"hidden_1_dropout": 0.2}
    wrong = Member(rates, 0, initial_epoch=1, weights=tmp_path)
    np.savez(tmp_path / "other.npz", **{"best/0": np.zeros(3), "last/0": np.zeros(3)})
    other = (tmp_path / "other.npz").read_bytes()
    with pytest.raises(Exception, match=r".+"):
        thread.train(Job(0, replace(wrong, weights=None), rates), other).result(SECONDS)
    good = thread.train(Job(1, Member(rates, 0), rates), None).result(SECONDS)
    assert good.trained.status == "completed"
    saved = tmp_path / "saved.npz"
    saved.write_bytes(good.weights)
    assert len(Checkpoint.load(saved).best) == 4
    thread.end()


def test_other_versions_are_refused_by_name():
    check_versions(versions())
    with pytest.raises(ValueError, match=r"received keras 3\S+ in place of 2.0, old none in place"):
        check_versions(versions() | {"keras": "2.0", "old": "1"})
