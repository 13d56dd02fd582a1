"""Models with several inputs and outputs, and targets of any shape, train as in `Model.fit`."""

import pytest
from everyday_architectures import ARCHITECTURES, grouped_attention, mixed_precision
from everyday_models import (
    WORKS,
    crnn,
    encoder_decoder,
    features_by_name,
    gan_from_its_builder,
    mixup,
    own_loss,
    subclassed,
    token_tags,
    two_inputs,
    vae_from_its_builder,
    variational_autoencoder,
)
from everyday_texts import TEXTS, sentences, wide_and_deep
from stock_fit import member_rates

from dropout_zoo.training import Member, MemberTrainer, TrainSettings, as_dataset
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.eligibility import own_training_code, why_only_model_fit
from dropout_zoo.training.engine.keras_fit import fit_member

FIRST = (subclassed,)
"""The others take long, and go through the same code but for their layers."""

NIGHTLY = {
    crnn, encoder_decoder, token_tags, own_loss, variational_autoencoder, vae_from_its_builder,
    gan_from_its_builder, *ARCHITECTURES, *TEXTS,
} - {mixed_precision, sentences, wide_and_deep}  # fmt: skip


def _marks(make):
    if make in FIRST:
        return []
    return [pytest.mark.nightly if make in NIGHTLY else pytest.mark.slow]


@pytest.mark.parametrize(
    ("make", "memory_budget"),
    [
        pytest.param(two_inputs, 1, marks=pytest.mark.slow),  # streamed
        pytest.param(features_by_name, 1, marks=pytest.mark.slow),
        pytest.param(mixup, 1, marks=pytest.mark.nightly),
        pytest.param(wide_and_deep, 1, marks=pytest.mark.nightly),
        *(
            pytest.param(each, None, marks=_marks(each))
            for each in [*WORKS, *ARCHITECTURES, *TEXTS]
        ),
    ],
)
def test_members_equal_fit_bit_for_bit(make, memory_budget, request):
    if make is grouped_attention:
        request.getfixturevalue("no_constant_folding")
    model, x, y, _ = make()
    data = as_dataset(x, y, validation_split=0.3)
    trainer = MemberTrainer(
        model, data, TrainSettings(epochs=3), update="keras", memory_budget=memory_budget,
        keep_state=True, workers=2,
    )  # fmt: skip
    assert why_only_model_fit(trainer.plan.model) is None
    count = len(member_rates(trainer.plan.model, Member({}, 0)))
    # Of members with training code of their own, one is not trained by the loop that traced it.
    first, *others = [Member([0.4] * count, seed=1), Member([0.2] * count, seed=2)]
    members = [first, *(others if own_training_code(trainer.plan.model) else [])]
    for member, trained in zip(members, trainer.train(members), strict=True):
        fitted = fit_member(trainer.plan, member, member_rates(trainer.plan.model, member), 1000)
        assert trained.status == "completed", trained.reason
        assert trained.curves.equals(fitted.curves)
        one, other = Checkpoint.load(trained.checkpoint), Checkpoint.load(fitted.checkpoint)
        for kind in ("best", "last", "optimizer", "seeds"):
            for a, b in zip(getattr(one, kind), getattr(other, kind), strict=True):
                assert a.tobytes() == b.tobytes(), kind
