"""One member trained by plain `Model.fit`: the measure that the engine is held to."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras

from dropout_zoo.models.cloning import with_rates
from dropout_zoo.models.graph import flat_layers
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.interrupts import check_interrupt
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.plan import Plan, Record
from dropout_zoo.training.reasons import reason_of
from dropout_zoo.training.seeding import seed_masks


def fit_member(
    plan: Plan, member: Member, rates: Mapping[str, float], number: int
) -> TrainedMember:
    """Train one member with `Model.fit`.

    Args:
        plan: data and settings.
        member: the member.
        rates: its rate (fraction dropped) at every site.
        number: its number among the members, which names its checkpoint.

    Returns:
        The trained member. An exception in the model's own code is its reason to have failed.
    """
    started = time.perf_counter()
    record = Record(plan, member, rates)
    best = None
    model = with_rates(plan.model, rates)
    model.set_weights(plan.start_weights(member.seed))
    seed_masks(model, member.seed)
    if member.weights is not None:
        _restore(model, Checkpoint.load(member.weights))
    for epoch in range(member.initial_epoch, member.epochs or plan.epochs):
        check_interrupt()
        try:
            logs = _run_epoch(plan, model, epoch, member, rates)
        except Exception as error:  # the user's own code may raise anything
            record.status, record.reason = "failed", reason_of(error)
            break
        if record.add(epoch, *logs):
            best = model.get_weights()
        if record.finished:
            break
    checkpoint = None
    if best is not None:
        checkpoint = Checkpoint(best, *(_state(model) if plan.keep_state else ()))
    return record.result(time.perf_counter() - started, checkpoint, f"{number:06d}")


def _run_epoch(
    plan: Plan, model: keras.Model, epoch: int, member: Member, rates: Mapping[str, float]
) -> tuple[dict, dict, dict]:
    order = plan.batch_order(member, rates, epoch)
    weight = None if plan.sample_weight is None else plan.sample_weight[order]
    history = model.fit(
        plan.train[0][order],
        plan.train[1][order],
        sample_weight=weight,
        batch_size=plan.batch_size,
        initial_epoch=epoch,
        epochs=epoch + 1,
        shuffle=False,
        verbose=0,
    )
    running = {name: values[-1] for name, values in history.history.items()}
    train, validation = (
        model.evaluate(*part, batch_size=plan.evaluation_batch_size, verbose=0, return_dict=True)
        for part in (plan.sample, plan.validation)
    )
    return running, train, validation


def _state(model: keras.Model) -> tuple[list, list, list]:
    """Weights, optimizer and seed generators as they are now."""
    optimizer = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    seeds = [keras.ops.convert_to_numpy(generator.state) for generator in _generators(model)]
    return model.get_weights(), optimizer, seeds


def _restore(model: keras.Model, checkpoint: Checkpoint) -> None:
    model.set_weights(list(checkpoint.last))
    for variable, value in zip(model.optimizer.variables, checkpoint.optimizer, strict=True):
        variable.assign(value)
    for generator, value in zip(_generators(model), checkpoint.seeds, strict=True):
        generator.state.assign(value)


def _generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    return [g for layer in flat_layers(model) for g in layer._seed_generators]
