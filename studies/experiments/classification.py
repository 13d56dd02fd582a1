"""What the studies of classifiers share: predicted classes, and sentences about what they gain."""

from __future__ import annotations

import keras
import numpy as np

from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import gain_clause


def predicted_classes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Predict the class of each example.

    Args:
        model: a classifier with one output unit per class, or one unit for two classes.
        x: inputs, shape `(examples, ...)`.

    Returns:
        Classes, integers of shape `(examples,)`.
    """
    outputs = np.asarray(model.predict(x, batch_size=256, verbose=0))
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)


def gain_sentences(result: TrainingStudyResult, metric: str) -> list[str]:
    """Say what each setting gains over its control in one metric.

    Args:
        result: the result.
        metric: a column of its data.

    Returns:
        One sentence per setting that has a control.
    """
    means = result.means(metric).set_index("setting")["mean"]
    return [
        f"{gain['setting']}: {metric.replace('_', ' ')} {means.loc[gain['setting']]:.3f}, "
        f"{gain_clause(gain, gain['control'])}."
        for _, gain in result.gains(metric).iterrows()
    ]
