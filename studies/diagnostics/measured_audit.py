"""The measured part of the audit: short training runs show what reading the graph cannot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

import keras
import numpy as np
import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.auditing.audit import audit
from dropout_zoo.models.auditing.measurements import MeasuredMetric, Measurements, mean_metrics
from dropout_zoo.models.auditing.report import AuditReport, sorted_findings
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.models.auditing.rules.base import chosen_rules
from dropout_zoo.models.factory import check_compiled
from dropout_zoo.models.graph.model_graph import check_is_model, is_plain_model
from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.diagnostics.defaults import EPOCHS, NUM_SEEDS
from dropout_zoo.studies.diagnostics.dropout_switch import DropoutSwitch
from dropout_zoo.studies.diagnostics.output_checks import (
    are_probabilities,
    expects_logits,
    is_always_one,
)
from dropout_zoo.studies.diagnostics.variance_shift import variance_ratios
from dropout_zoo.studies.verdicts import (
    OVER_REGULARIZED,
    OVERFITTING,
    UNDECIDED,
    UNDERFITTING,
    listed_quantities,
    verdict,
)
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import take
from dropout_zoo.training.data.tables.encoder import without_encoder
from dropout_zoo.training.data.targets import with_loss_targets
from dropout_zoo.training.engine.trainer import train_members
from dropout_zoo.training.members import Member, TrainedMember
from dropout_zoo.training.objective import parse_objective
from dropout_zoo.training.plan import evaluate
from dropout_zoo.training.preparation import error_of_inputs
from dropout_zoo.training.settings import TrainOptions, TrainSettings

_EXAMPLES = 256  # for measuring outputs and variances
_REASONS = ("gap", "rise", "deficit")


def examine(
    model: keras.Model,
    dataset: Data,
    *,
    num_seeds: int = NUM_SEEDS,
    ignore: Iterable[str] = (),
    select: Iterable[str] | None = None,
    **settings: Unpack[TrainOptions],
) -> AuditReport:
    """Audit a model by reading its graph and by training it for a short time on a dataset.

    Copies of the model are trained as it is and without dropout, each on `num_seeds` seeds, and the
    first seed once more. The model itself is not changed, and the test set is not used.

    Args:
        model: a compiled Sequential or Functional model with one input and one output. Of one that
            takes the raw columns of a table, such as a `best.keras`, the part behind its encoder is
            trained.
        dataset: the data; see `as_dataset`.
        num_seeds: number of seeds, at least 1; a verdict needs 2.
        ignore: codes of rules to leave out, such as ``["DZ204"]``.
        select: codes of the rules to apply; None for all.
        **settings: how the model is trained; see `TrainSettings`. `epochs` defaults to 10; a
            verdict on over- or underfitting needs as many as a real training run.

    Returns:
        The findings of `audit` and those of the measurements, with their numbers. All
        measurements are in ``measurements``, and what could not be measured is in ``limits``.

    Raises:
        ValueError: a setting is out of range, a code is unknown, the model is not compiled, or its
            input does not fit the data.
        TypeError: `model` is not a Keras model.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import examine
        >>> from dropout_zoo.training import load_dataset
        >>> report = examine(build_mlp(), load_dataset("digits"), epochs=1, select=["DZ302"])
        >>> list(report)  # probabilities, as the loss expects
        []
    """
    check_is_model(model)
    training: TrainOptions = {"epochs": EPOCHS, **settings}
    TrainSettings.from_options(training, examine)
    check_count(num_seeds, "num_seeds")
    ignore, select = list(ignore), None if select is None else list(select)
    rules = [rule for rule in chosen_rules(RULES, ignore, select) if rule.measured]
    check_compiled(
        model, remedy="call model.compile(...) first, or use audit, which trains nothing"
    )
    data = as_dataset(dataset)
    measured = without_encoder(model, data.encoder)
    prefix = "" if measured is model else f"{measured.name}/"  # of its sites in `model`
    obstacle = _obstacle(measured, prefix)
    if rules and not obstacle and not model.built:
        model(take(data.train[0], slice(1)))
    read = audit(model, ignore=ignore, select=select)
    if not rules:
        return read
    if obstacle:
        return AuditReport(read.model_name, read.findings, (*read.limits, obstacle))
    codes = {rule.code for rule in rules}
    measuring = _MeasuredAudit(measured, prefix, data, training, num_seeds, codes)
    measuring.run()
    findings = [found for rule in rules for found in rule.findings(measuring.measured)]
    return AuditReport(
        read.model_name,
        sorted_findings([*read.findings, *findings]),
        (*read.limits, *measuring.limits),
        measuring.numbers,
    )


def _obstacle(model: keras.Model, prefix: str) -> str | None:
    """Why nothing can be measured, as a sentence; None if everything can."""
    if not is_plain_model(model):
        return f"{type(model).__name__} is a subclassed model: nothing was measured"
    if model.built:
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            return (
                f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs: "
                "nothing was measured, because measuring needs one of each"
            )
        if len(model.outputs[0].shape) != 2:
            return (
                f"the model returns {tuple(model.outputs[0].shape)}: nothing was measured, because "
                "measuring needs outputs of shape (batch, units)"
            )
    for site in dropout_sites(model):
        if not site.own_noise and not 0 <= site.rate < 1:
            return f"{prefix + site.path!r} has a rate of {site.rate:g}: nothing was measured"
    return None


class _MeasuredAudit:
    """The measurements of one call of `examine`, in the order in which they are made."""

    def __init__(
        self,
        model: keras.Model,
        prefix: str,
        dataset: Dataset,
        training: TrainOptions,
        num_seeds: int,
        codes: set[str],
    ) -> None:
        self.model, self.prefix, self.dataset, self.codes = model, prefix, dataset, codes
        self.training, self.epochs, self.num_seeds = training, training["epochs"], num_seeds
        self.sites = [site for site in dropout_sites(model) if not site.own_noise]
        self.measured = Measurements()
        self.limits: list[str] = []
        self.numbers: dict[str, dict[str, float]] = {}

    def run(self) -> None:
        """Make all measurements; nothing is trained where loss and labels do not match."""
        self._check_inputs()
        self.measured.loss_mismatch = self._mismatch()
        if self.measured.loss_mismatch:
            self.limits.append("loss and labels do not match: nothing was trained")
            return
        own, control, again = self._train()
        self._check_outputs()
        completed = [member for member in own if member.status == "completed"]
        self.limits += [
            f"seed {member.member.seed} {member.status}: {member.reason}"
            for member in own
            if member.status != "completed"
        ]
        if completed and self.codes & {"DZ303", "DZ304"}:
            self._compare_dropout_on_and_off(completed)
        if self.codes & {"DZ305", "DZ306"}:
            self._judge_curves(own, control)
        if again is not None:
            self._compare_repeat(own[0], again)

    def _check_inputs(self) -> None:
        x = self.dataset.train[0]
        try:
            self.model(take(x, slice(1)), training=False)
        except Exception as error:  # the user's own code may raise anything
            raise error_of_inputs(self.model, x, error) from error

    def _mismatch(self) -> str | None:
        x, _ = self.dataset.train
        try:
            with_loss_targets(self.model, self.dataset.train, self.dataset)
        except ValueError as error:
            return str(error)
        if is_always_one(self.model, take(x, slice(_EXAMPLES))):
            return "the output is a softmax over one unit, which is always 1; use a sigmoid"
        return None

    def _train(self) -> tuple[list[TrainedMember], list[TrainedMember], TrainedMember | None]:
        seeds = range(self.num_seeds)
        members = [Member({}, seed) for seed in seeds]
        settable = [site for site in self.sites if not site.learned]
        drops = any(site.rate > 0 for site in settable)
        if drops and self.codes & {"DZ305", "DZ306"}:
            none = {site.path: 0.0 for site in settable}
            members += [Member(none, seed) for seed in seeds]
        if "DZ307" in self.codes:
            members.append(Member({}, 0))
        if not self.codes - {"DZ301", "DZ302"}:
            return [], [], None
        trained = train_members(
            self.model,
            members,
            self.dataset,
            **self.training,
        )
        again = trained.pop() if "DZ307" in self.codes else None
        count = self.num_seeds
        return trained[:count], trained[count:], again

    def _check_outputs(self) -> None:
        self.measured.from_logits = expects_logits(self.model)
        if self.measured.from_logits is not None:
            x = take(self.dataset.train[0], slice(_EXAMPLES))
            self.measured.probabilities = are_probabilities(self.model, x)

    def _compare_dropout_on_and_off(self, trained: list[TrainedMember]) -> None:
        sample = with_loss_targets(self.model, self.dataset.training_sample(), self.dataset)
        ratios: list[dict[str, tuple[str, float]]] = []
        for member in trained:
            switch = DropoutSwitch(member.model())
            if any(site.rate > 0 for site in self.sites):
                self.measured.metrics.append(self._metric(member, switch, sample))
            ratios.append(variance_ratios(switch, take(sample[0], slice(_EXAMPLES))))
        self.measured.variance_ratios = {
            self.prefix + path: (
                norm and self.prefix + norm,
                float(np.mean([each[path][1] for each in ratios if path in each])),
            )
            for path, (norm, _) in ratios[0].items()
        }
        if self.measured.metrics:
            name = self.measured.metrics[0].name
            self.numbers[name] = mean_metrics(self.measured.metrics)
        if self.measured.variance_ratios:
            self.numbers["variance_ratio"] = {
                path: ratio for path, (_, ratio) in self.measured.variance_ratios.items()
            }

    def _metric(
        self, member: TrainedMember, switch: DropoutSwitch, sample: tuple[np.ndarray, np.ndarray]
    ) -> MeasuredMetric:
        row = member.curves.iloc[member.best_epoch - 1]
        with switch.on():
            dropping = evaluate(switch.model, sample, batch_size=_EXAMPLES)
        name = next((name for name in dropping if name != "loss" and _known(name)), "loss")
        return MeasuredMetric(
            name,
            parse_objective(f"val_{name}").direction == "max",
            float(dropping[name]),
            float(row[f"train_{name}"]),
            float(row[f"val_{name}"]),
        )

    def _judge_curves(self, own: list[TrainedMember], control: list[TrainedMember]) -> None:
        found = verdict(
            _curves(own),
            reference=_curves(control) if control else None,
            rate=max((site.rate for site in self.sites), default=None),
            examples=self.dataset.num_examples("validation"),
        )
        numbers = {name: value.mean for name, value in found.measured.items()}
        self.numbers["verdict"] = numbers
        above = {name: each for name, each in found.measured.items() if each.above}
        # Dropout slows training down: until the control has converged it is too early to judge.
        fall = verdict(_curves(control or own)).measured.get("fall")
        ended = self.epochs > 1 and fall is not None and fall.mean <= fall.threshold
        held_back = found.label in (UNDERFITTING, OVER_REGULARIZED) and "deficit" in above
        if found.label == OVERFITTING or (held_back and ended):
            reasons = {name: above[name] for name in _REASONS if name in above}
            self.measured.verdict = found.label
            self.measured.sentence = (
                f"{found.label}: {listed_quantities(reasons, 'that without dropout')}"
            )
            self.measured.verdict_numbers = numbers
            self.measured.advice = "; ".join(found.next_steps)
        elif found.label in (UNDERFITTING, OVER_REGULARIZED, UNDECIDED):
            # The short training may be the cause, rather than the model.
            trained = f"{count_of(self.epochs, 'epoch')} on {count_of(self.num_seeds, 'seed')}"
            self.limits.append(
                f"whether the model over- or underfits cannot be told after {trained}; train for "
                "more epochs or on more seeds"
            )

    def _compare_repeat(self, first: TrainedMember, again: TrainedMember) -> None:
        names = ["loss", "train_loss", "val_loss"]
        if first.status == again.status == "completed":
            one, other = (each.curves[names].to_numpy(float) for each in (first, again))
            difference = float((np.abs(one - other) / np.maximum(np.abs(one), 1e-12)).max())
            self.measured.repeat_difference = difference
            self.numbers["repeat"] = {"relative_difference": difference}


def _curves(trained: list[TrainedMember]) -> pd.DataFrame:
    return pd.concat(
        [each.curves.assign(seed=each.member.seed, status=each.status) for each in trained],
        ignore_index=True,
    )


def _known(name: str) -> bool:
    """Whether it is known if larger or smaller values of a metric are better."""
    try:
        parse_objective(f"val_{name}")
    except ValueError:
        return False
    return True
