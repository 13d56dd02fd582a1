"""Whether an engine trains a model with custom code as `Model.fit` does: by trying."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.runtime_rates import (
    runtime_rates,
    why_rates_are_fixed,
    with_runtime_rates,
)
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.data.structures import Structure, map_arrays, take
from dropout_zoo.training.engine.base import Engine, EngineOptions
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.keras_fit import FitEngine
from dropout_zoo.training.members import Job, Member, TrainedMember
from dropout_zoo.training.plan import Plan, as_input
from dropout_zoo.training.seeding import seed_masks, seeded_globals

_EPOCHS = 2
_SHIFT, _LARGEST = 0.3, 0.9  # of the rates
_EXAMPLES, _TRIED_RATES = 8, (0.0, 0.6)


@dataclass(frozen=True)
class ReferenceRun:
    """What `Model.fit` makes of a model on a few examples.

    Attributes:
        plan: the examples, and settings for two short epochs.
        job: the member that was trained.
        curves: its learning curves, without names, in the order of their names.
        weights: its weights.
    """

    plan: Plan
    job: Job
    curves: np.ndarray
    weights: list[np.ndarray]


def reference_run(plan: Plan, folder: Path) -> ReferenceRun:
    """Train a member with `Model.fit` for two epochs, each of one full and one smaller batch.

    Args:
        plan: model, data and settings.
        folder: where weights are saved.

    Returns:
        The outcome.

    Raises:
        ValueError: the training fails.
    """
    size = plan.settings.batch_size
    few = slice(size + size // 2 + 1)
    examples = plan.examples
    weight = examples.sample_weight
    small = replace(
        plan,
        examples=replace(
            examples,
            train=take(examples.train, few),
            sample_weight=take(weight, few),
            validation=take(examples.validation, few),
            sample=take(examples.sample, few),
        ),
        settings=replace(plan.settings, epochs=_EPOCHS, patience=None),
        keep_state=False,
        directory=folder,
        folder=None,
        stream=None,
    )
    job = _job(small, 0)
    trained = _trained(FitEngine(small), [job])
    if trained.status == "failed":
        raise ValueError(
            f"expected a model that Model.fit can train, received {plan.model.name!r}, whose "
            f"training fails: {trained.reason}"
        )
    return ReferenceRun(small, job, *_results(trained))


def check_engine(reference: ReferenceRun, start: Callable[[Plan, EngineOptions], Engine]) -> None:
    """Check that an engine comes to the results of `Model.fit`.

    Args:
        reference: what `Model.fit` made of the model.
        start: starts the engine.

    Raises:
        ValueError: it does not.
    """
    with warnings.catch_warnings():  # the engine gives them again when it is started for training
        warnings.simplefilter("ignore")
        engine = start(reference.plan, EngineOptions(update="keras", workers=1))
    # One member before it, in the same loop: whatever it leaves behind must not matter.
    before = _job(reference.plan, 1)
    trained = _trained(engine, [before, reference.job])
    if trained.status == "failed":
        raise ValueError(
            f"expected training that succeeds, as with Model.fit, received {trained.reason}"
        )
    curves, weights = _results(trained)
    pairs = zip([reference.curves, *reference.weights], [curves, *weights], strict=True)
    if not all(
        one.shape == other.shape and np.allclose(one, other, 1e-4, 1e-6, equal_nan=True)
        for one, other in pairs
    ):
        raise ValueError("expected the curves and weights that Model.fit gives, received others")


def check_lifted_rates(plan: Plan) -> None:
    """Check that a model whose rates are variables computes what it does at fixed rates.

    Args:
        plan: a plan of a model whose layers of attention have code of the user's own.

    Raises:
        ValueError: it does not.
    """
    inputs = as_input(take(plan.examples.train, slice(_EXAMPLES))[0])
    if keras.backend.backend() == "tensorflow":
        inputs = map_arrays(keras.ops.convert_to_tensor, inputs)
    lifted = with_runtime_rates(plan.model)
    for rate in _TRIED_RATES:
        for variable in runtime_rates(lifted).values():
            variable.set_rate(rate)
        plain = with_rates(plan.model, dict.fromkeys(runtime_rates(lifted), rate))
        pairs = zip(_in_training(plain, inputs), _in_training(lifted, inputs), strict=True)
        if not all(np.allclose(one, other, 1e-4, 1e-5, equal_nan=True) for one, other in pairs):
            raise ValueError(
                "expected attention with code of its own that computes the same with its rate in a "
                f"variable, received other outputs at a rate of {rate:g}"
            )


def _in_training(model: keras.Model, inputs: Structure) -> list[np.ndarray]:
    seed_masks(model, 0)
    with seeded_globals(0):
        outputs = model(inputs, training=True)
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]


def _job(plan: Plan, number: int) -> Job:
    """A member whose rates are not those of the model, unless its code fixes them."""
    rates = {site.path: site.rate for site in plan.sites}
    if why_rates_are_fixed(plan.model) is None:
        shift = _SHIFT * (number + 1)
        rates |= {
            site.path: (site.rate + shift) % _LARGEST
            for site in plan.sites
            if not site.own_noise  # their rates cannot change in an engine
        }
    return Job(number, Member(rates, seed=number), rates)


def _trained(engine: Engine, jobs: list[Job]) -> TrainedMember:
    """The last of the jobs, trained one after another."""
    trained = engine.run(JobSource(iter(jobs), known=True), on_result=None)
    return trained[jobs[-1].number]


def _results(trained: TrainedMember) -> tuple[np.ndarray, list[np.ndarray]]:
    curves = trained.curves.reindex(sorted(trained.curves), axis=1).to_numpy("float64")
    saved = trained.checkpoint
    return curves, [] if saved is None else list(Checkpoint.load(saved).best)
