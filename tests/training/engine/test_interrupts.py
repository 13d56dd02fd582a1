"""Interrupts, which end training even if Python swallows them, and time limits."""

import signal
import sys

import numpy as np
import pytest

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Member, MemberTrainer, TrainSettings, train_members
from dropout_zoo.training.engine.interrupts import (
    OutOfTimeError,
    TimeLimit,
    check_interrupt,
    interruptible,
    interrupts_held,
)
from dropout_zoo.training.engine.keras_fit import fit_member

pytestmark = pytest.mark.usefixtures("interrupts_enabled")


class Swallows:
    """Sends a signal while it is collected, where Python ignores what the handler raises."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_swallowed_interrupt_still_ends_the_training(few_digits, number):
    finished = []

    def first_result(trained):
        finished.append(trained)
        if len(finished) == 1:
            swallows = Swallows(number)
            del swallows

    model = build_mlp(units=(8,), hidden_rates=(0.4,))
    members = [Member([n / 100], seed=1) for n in range(50)]
    with interruptible(), pytest.raises(KeyboardInterrupt):
        train_members(model, members, few_digits, epochs=2, batch_size=32, on_result=first_result)
    assert 1 <= len(finished) < 50


def test_an_interrupt_that_a_library_wraps_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise SystemError("a call returned with an exception set") from None
    with pytest.raises(SystemError), interruptible():
        raise SystemError("none was asked for")


def test_other_exceptions_that_python_ignores_are_reported(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: reported.append(ignored.exc_type))
    hook = sys.unraisablehook

    class Fails:
        def __del__(self):
            raise OSError

    with interruptible():
        fails = Fails()
        del fails
    assert reported == [OSError]
    assert sys.unraisablehook is hook


def test_signals_raise_at_once_and_handlers_are_restored():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            check_interrupt()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    check_interrupt()  # what was asked for is over


def test_interrupts_are_held_back_until_the_end():
    steps = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            steps.append("after the signals")
        steps.append("after the end")
    assert steps == ["after the signals"]
    with interruptible(), interrupts_held():
        pass
    with interruptible(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            check_interrupt()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_time_limit_ends_the_code_in_its_context():
    with TimeLimit(3600):
        check_interrupt()
        with pytest.raises(OutOfTimeError), TimeLimit(0):
            check_interrupt()
        check_interrupt()
    passed = TimeLimit(0)
    check_interrupt()
    with pytest.raises(OutOfTimeError), passed:
        check_interrupt()


def test_an_interrupt_after_the_time_limit_is_still_an_interrupt():
    with pytest.raises(KeyboardInterrupt), interruptible(), TimeLimit(0):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            check_interrupt()


def trainer_of(dataset, **settings):
    return MemberTrainer(
        build_mlp(units=(8,), hidden_rates=(0.4,)), dataset, TrainSettings(**settings)
    )


def test_a_time_limit_ends_a_training_and_leaves_the_trainer_usable(few_digits):
    trainer = trainer_of(few_digits, epochs=10**6)
    with pytest.raises(OutOfTimeError), TimeLimit(0.5):
        trainer.train([Member([0.4], seed=0), Member([0.2], seed=0)])
    (trained,) = trainer.train([Member([0.4], seed=0, epochs=1)])
    assert trained.status == "completed"


def test_a_time_limit_ends_model_fit_within_an_epoch(few_digits):
    plan = trainer_of(few_digits, batch_size=1).plan
    order = plan.batch_order
    plan.batch_order = lambda *which: np.tile(order(*which), 200)  # half a minute or more
    member = Member({"hidden_1_dropout": 0.4}, seed=0, epochs=1)
    with pytest.raises(OutOfTimeError), TimeLimit(1.0):
        fit_member(plan, member, member.rates, 0)


def test_the_earlier_of_two_time_limits_counts():
    with TimeLimit(0.0), TimeLimit(60.0), pytest.raises(OutOfTimeError):
        check_interrupt()
    with TimeLimit(60.0):
        with TimeLimit(0.0), pytest.raises(OutOfTimeError):
            check_interrupt()
        check_interrupt()
