"""Models with several inputs and outputs, and targets of any shape, train as in `Model.fit`."""

import pytest
from everyday_models import (
    WORKS,
    crnn,
    encoder_decoder,
    features_by_name,
    subclassed,
    token_tags,
    two_inputs,
)

from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.training.members import member_rates

FIRST = (subclassed,)
"""The others take long, and go through the same code but for their layers."""

LONGEST = (crnn, encoder_decoder, token_tags)


def _marks(make):
    if make in FIRST:
        return []
    return [pytest.mark.nightly if make in LONGEST else pytest.mark.slow]


@pytest.mark.parametrize(
    ("make", "memory_budget"),
    [
        (two_inputs, 1),  # streamed
        pytest.param(features_by_name, 1, marks=pytest.mark.slow),
        *(pytest.param(each, None, marks=_marks(each)) for each in WORKS),
    ],
)
def test_members_equal_fit_bit_for_bit(make, memory_budget):
    model, x, y, _ = make()
    data = as_dataset(x, y, validation_split=0.3)
    assert why_only_model_fit(model) is None
    trainer = MemberTrainer(
        model, data, TrainSettings(epochs=3), update="keras", memory_budget=memory_budget
    )
    count = len(member_rates(model, Member({}, 0)))
    member = Member([0.4] * count, seed=1)
    (trained,) = trainer.train([member])
    fitted = fit_member(trainer.plan, member, member_rates(trainer.plan.model, member), 1000)
    assert trained.status == "completed", trained.reason
    assert trained.curves.equals(fitted.curves)
    one, other = Checkpoint.load(trained.checkpoint), Checkpoint.load(fitted.checkpoint)
    for a, b in zip(one.best, other.best, strict=True):
        assert a.tobytes() == b.tobytes()
