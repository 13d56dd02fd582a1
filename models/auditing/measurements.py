"""The measurements of `dropout_zoo.studies.examine`, which the measured rules judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class MeasuredMetric:
    """A metric of one training run, measured in three ways with the same weights.

    Attributes:
        name: name of the metric.
        larger_is_better: whether larger values are better.
        dropout_on: value on the training sample with dropout on.
        training: value on the training sample with dropout off.
        validation: value on the validation data.
    """

    name: str
    larger_is_better: bool
    dropout_on: float
    training: float
    validation: float


def mean_metrics(metrics: Sequence[MeasuredMetric]) -> dict[str, float]:
    """The means over the seeds, by kind of measurement."""
    parts = {
        "training_dropout_on": [each.dropout_on for each in metrics],
        "training_dropout_off": [each.training for each in metrics],
        "validation": [each.validation for each in metrics],
    }
    return {name: sum(values) / len(values) for name, values in parts.items()}


@dataclass
class Measurements:
    """The measurements of `examine`; None where something was not measured.

    Attributes:
        loss_mismatch: why loss and labels do not match.
        from_logits: whether the loss expects logits.
        probabilities: whether the outputs are probabilities.
        metrics: one metric per seed.
        variance_ratios: by path of a site, the path of the batch normalization after it and the
            variance of its inputs in training, divided by that at inference.
        verdict: ``"overfitting"``, or ``"underfitting"`` or ``"over-regularized"`` if the training
            loss is worse than that of the control without dropout.
        sentence: the verdict in words.
        verdict_numbers: the numbers that it is based on.
        advice: what to do about it.
        repeat_difference: largest relative difference between the losses of two runs.
    """

    loss_mismatch: str | None = None
    from_logits: bool | None = None
    probabilities: bool | None = None
    metrics: list[MeasuredMetric] = field(default_factory=list)
    variance_ratios: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    verdict: str | None = None
    sentence: str = ""
    verdict_numbers: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    repeat_difference: float | None = None
