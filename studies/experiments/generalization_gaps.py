"""Generalization gaps: training accuracy minus validation accuracy."""

from __future__ import annotations

from dataclasses import replace

from dropout_zoo.studies.metric_names import accuracy_name
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import (
    basis_sentences,
    gain_sentences,
    not_ended_sentences,
)
from dropout_zoo.training.objective import Objective

GAP = Objective("gap", "min")


def generalization_gaps(result: TrainingStudyResult) -> TrainingStudyResult:
    """Compare the settings of a study by their generalization gaps.

    Args:
        result: a study of classifiers.

    Returns:
        The same study with one row per run, at its last epoch, and ``gap`` as objective: the
        accuracy on training examples minus the accuracy on the validation set, both with
        dropout off, in percentage points. Means, gains and displays are those of the gap.

    Raises:
        ValueError: no accuracy was measured.

    Example:
        >>> from dropout_zoo.studies import generalization_gaps, learning_curves
        >>> study = learning_curves("mlp", "digits", epochs=1, num_seeds=1)
        >>> generalization_gaps(study).objective.name
        'gap'
    """
    accuracy = accuracy_name(result.metrics)
    if accuracy is None:
        raise ValueError(
            f"expected a study of classifiers compiled with metrics=['accuracy'], received one "
            f"that measures {', '.join(result.metrics)}"
        )
    data = result.data
    last = data[data["epoch"] == data.groupby("run")["epoch"].transform("max")]
    gap = 100 * (last[f"train_{accuracy}"] - last[f"val_{accuracy}"])
    judged = replace(
        result,
        data=last.assign(best_epoch=last["epoch"], gap=gap).reset_index(drop=True),
        objective=GAP,
    )
    return replace(judged, conclusions=tuple(_conclude(judged)))


def _conclude(judged: TrainingStudyResult) -> list[str]:
    return [
        *not_ended_sentences(judged),
        *gain_sentences(judged, describe=lambda gap: f"gap of {gap:.2f} points"),
        *basis_sentences(judged),
    ]
