"""Which engine trains the members of a plan."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.training.engine.base import Engine, EngineOptions
from dropout_zoo.training.engine.comparison_with_fit import (
    ReferenceRun,
    check_engine,
    check_lifted_rates,
    reference_run,
)
from dropout_zoo.training.engine.eligibility import (
    has_own_attention,
    own_training_code,
    why_only_model_fit,
)
from dropout_zoo.training.engine.keras_fit import FitEngine, fit_member
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.members import Job, TrainedMember
from dropout_zoo.training.plan import Plan
from dropout_zoo.training.repeated_warnings import warn_once


def start_engine(plan: Plan, options: EngineOptions) -> Engine:
    """Start the fastest engine that can train a model.

    Args:
        plan: model, data and settings.
        options: how to train.

    Returns:
        The engine. Where only `Model.fit` can train the model, a warning gives the reason; another
        one names options that the engine does not read.

    Raises:
        ValueError: the model has custom training code, which fails.
        TypeError: the model cannot be cloned.
    """
    reason = why_only_model_fit(plan.model)
    if plan.stream is not None:
        reason = f"the training examples are streamed from a {plan.stream.kind}"
    with tempfile.TemporaryDirectory() as folder:
        own = own_training_code(plan.model) is not None
        reference = reference_run(plan, Path(folder)) if own else None
        if reason is None:
            try:
                engine = _fast_engine(plan, options, reference)
            except Exception as error:  # the user's own code may not run in a graph
                reason = f"the faster engine cannot: {reason_of(error)}"
            else:
                if keras.backend.backend() == "jax":
                    _warn_of(options.without_effect({"workers"}), "JAX holds all data in memory")
                return engine
    if keras.backend.backend() == "torch" and plan.stream is None:
        reason = _why_no_workers(plan)
        if reason is None:
            return _process_engine(plan, options)
    with_rates(plan.model, {})  # raises before the warning if there can be no copies to train
    warn_once(f"Model.fit trains the members, one after another, because {reason}")
    _warn_of(options.without_effect(()), "Model.fit trains the members one after another")
    return FitEngine(plan)


def jobs_for(
    engine: Engine,
    plan: Plan,
    jobs: Iterator[Job | None],
    finished: Callable[[Job, TrainedMember], None],
) -> Iterator[Job | None]:
    """Train with `Model.fit` what an engine cannot train, and pass the other jobs on to it.

    Args:
        engine: the engine.
        plan: model, data and settings.
        jobs: jobs, or None where there are none at present.
        finished: called with each member that `Model.fit` has trained.

    Yields:
        What is left.
    """
    reported: set[str] = set()
    for job in jobs:
        reason = None if job is None else engine.why_not(job)
        if job is None or reason is None:
            yield job
            continue
        if reason not in reported:
            reported.add(reason)
            warn_once(f"Model.fit trains members one after another, because {reason}")
        finished(job, fit_member(plan, job.member, job.rates, job.number, job.callbacks))


def _fast_engine(plan: Plan, options: EngineOptions, reference: ReferenceRun | None) -> Engine:
    if reference is None and has_own_attention(plan.model):
        check_lifted_rates(plan)
    # Each imports its backend, of which only one need be installed.
    if keras.backend.backend() == "jax":
        from dropout_zoo.training.engine.jax.population import PopulationEngine

        return PopulationEngine(plan, options)
    from dropout_zoo.training.engine.tensorflow.loops import LoopEngine

    if reference is not None:
        check_engine(reference, LoopEngine)
    return LoopEngine(plan, options)


def _why_no_workers(plan: Plan) -> str | None:
    for package in ("cloudpickle", "loky"):
        if importlib.util.find_spec(package) is None:
            return (
                f"training in several processes needs the package {package}; run pip install "
                f"{package}"
            )
    from dropout_zoo.training.engine.torch.processes import why_no_workers

    return why_no_workers(plan)


def _process_engine(plan: Plan, options: EngineOptions) -> Engine:
    from dropout_zoo.training.engine.torch.processes import ProcessEngine

    unread = options.without_effect({"workers"})
    _warn_of(unread, "the processes that train on PyTorch share the data in a file")
    return ProcessEngine(plan, options)


def _warn_of(options: Sequence[str], reason: str) -> None:
    if options:
        named = ", ".join(options)
        warn_once(f"{named} has no effect, because {reason}")
