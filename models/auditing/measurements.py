"""What `dropout_zoo.studies.examine` measures, for the rules that judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class MeasuredMetric:
    """A metric of one trained seed, at the same weights.

    Attributes:
        name: name of the metric.
        larger_is_better: its direction.
        dropping: on the training sample, dropout on.
        training: on the training sample, dropout off.
        validation: on the validation part.
    """

    name: str
    larger_is_better: bool
    dropping: float
    training: float
    validation: float


def mean_metrics(metrics: Sequence[MeasuredMetric]) -> dict[str, float]:
    """The means over the seeds, by what was measured."""
    parts = {
        "training_dropout_on": [each.dropping for each in metrics],
        "training_dropout_off": [each.training for each in metrics],
        "validation": [each.validation for each in metrics],
    }
    return {name: sum(values) / len(values) for name, values in parts.items()}


@dataclass
class Measurements:
    """What `examine` measured; None where something was not.

    Attributes:
        misfit: why loss and labels do not fit.
        from_logits: what the loss was told about the outputs.
        probabilities: whether the outputs are probabilities.
        metrics: a metric of each seed.
        variance_ratios: by path of a site, the path of the batch normalisation behind it and the
            variance of what that receives, in training over inference.
        verdict: ``"overfitting"``, or ``"underfitting"`` where the training loss is behind that of
            the control without dropout.
        sentence: the verdict in words.
        verdict_numbers: what it was decided by.
        advice: what follows from it.
        repeat_difference: largest difference between two runs, as a fraction of the loss.
    """

    misfit: str | None = None
    from_logits: bool | None = None
    probabilities: bool | None = None
    metrics: list[MeasuredMetric] = field(default_factory=list)
    variance_ratios: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    verdict: str | None = None
    sentence: str = ""
    verdict_numbers: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    repeat_difference: float | None = None
