"""A study seen through its generalization gaps: training less validation accuracy."""

from __future__ import annotations

from dataclasses import replace

from dropout_zoo.studies.metric_names import accuracy_name
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import failure_sentences, gain_clause, method_sentence
from dropout_zoo.training.objective import Objective

GAP = Objective("gap", "min")


def generalization_gaps(result: TrainingStudyResult) -> TrainingStudyResult:
    """Judge a study by how far its models do better on what they were trained on.

    Args:
        result: a study of classifiers.

    Returns:
        The same study with a row a training, as it stands after its last epoch, and ``gap`` as
        its objective: accuracy on training examples less that on the validation part, both with
        dropout off, in percentage points. Means, gains and displays then are those of the gap.

    Raises:
        ValueError: no accuracy was measured.
    """
    accuracy = accuracy_name(result.metrics)
    if accuracy is None:
        raise ValueError(
            f"expected a study of classifiers that measure their accuracy, received one that "
            f"measures {', '.join(result.metrics)}"
        )
    data = result.data
    last = data[data["epoch"] == data.groupby("training")["epoch"].transform("max")]
    gap = 100 * (last[f"train_{accuracy}"] - last[f"val_{accuracy}"])
    judged = replace(
        result,
        data=last.assign(best_epoch=last["epoch"], gap=gap).reset_index(drop=True),
        objective=GAP,
    )
    return replace(judged, conclusions=tuple(_conclude(judged)))


def _conclude(judged: TrainingStudyResult) -> list[str]:
    means = judged.means().set_index("setting")["mean"]
    sentences = [
        f"{row['setting']}: gap of {means[row['setting']]:.2f} points, "
        f"{gain_clause(row, row['control'])}."
        for _, row in judged.gains().iterrows()
    ]
    return [*sentences, *failure_sentences(judged), method_sentence(judged)]
