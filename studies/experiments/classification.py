"""What the studies of classifiers share: predicted classes, and sentences about what is gained."""

from __future__ import annotations

import keras
import numpy as np

from dropout_zoo.studies.defaults import PREDICTION_BATCH_SIZE
from dropout_zoo.studies.metric_names import MEASURED_AFTER_TRAINING
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import gain_sentences
from dropout_zoo.training.data.keras_inputs import as_keras_inputs


def predicted_classes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Predict the class of each example.

    Args:
        model: a classifier with one output unit per class, or one unit for two classes.
        x: inputs, shape ``(examples, ...)``.

    Returns:
        Classes, integers of shape ``(examples,)``.
    """
    outputs = np.asarray(
        model.predict(as_keras_inputs(x), batch_size=PREDICTION_BATCH_SIZE, verbose=0)
    )
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0.5).astype(int)


def sentences_on(metric: str, result: TrainingStudyResult) -> list[str]:
    """Say what each setting gains over its control in one metric.

    Args:
        metric: what was measured after training, a column of its data.
        result: the result.

    Returns:
        One sentence per setting that has a control.
    """
    name = MEASURED_AFTER_TRAINING[metric]
    return gain_sentences(result, metric, describe=lambda mean: f"{name} {mean:.3f}")
