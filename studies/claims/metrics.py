"""What claims are judged by: one number per training run, named with its unit and its epoch."""

from __future__ import annotations

from dropout_zoo.models.argument_validation import did_you_mean

METRICS = {
    "test_error": "test error at the best epoch (percentage points)",
    "test_loss": "test loss at the best epoch (nats)",
    "val_loss": "validation loss at the best epoch",
    "val_error": "validation error at the best epoch (percentage points)",
    "train_loss": "training loss at the best epoch, dropout off",
    "best_epoch": "best epoch",
    "log2_best_epoch": "best epoch (log2: 1 is twice as long)",
    "last_val_loss": "validation loss after the last epoch",
    "last_val_error": "validation error after the last epoch (percentage points)",
    "last_train_loss": "training loss after the last epoch, dropout off",
    "last_train_error": "training error after the last epoch, dropout off (percentage points)",
    "rise": "rise of the validation loss from its minimum to the last epoch, divided by the "
    "minimum",
    "gap": "validation loss minus training loss after the last epoch, dropout off",
    "error_gap": "validation error minus training error after the last epoch, dropout off "
    "(percentage points)",
    "rare_recall_error": "share of the rare class missed in the test set (percentage points)",
    "noise_increase": "test error added by Gaussian noise (percentage points)",
    "missing_increase": "test error added by missing pixels (percentage points)",
    "scaling_minus_mc_50": "test error of weight scaling minus that of 50 averaged passes "
    "(percentage points)",
    "mc_50_minus_scaling_loss": "test loss of 50 averaged passes minus that of weight scaling "
    "(nats)",
    "scaling_minus_mc_1": "test error of weight scaling minus that of a single pass with dropout "
    "(percentage points)",
    "mc_1_minus_scaling_loss": "test loss of a single pass with dropout minus that of weight "
    "scaling (nats)",
    "scaling_minus_mc_200": "test error of weight scaling minus that of 200 averaged passes "
    "(percentage points)",
    "mc_200_minus_scaling_loss": "test loss of 200 averaged passes minus that of weight scaling "
    "(nats)",
    "mc_200_minus_mc_50_loss": "test loss of 200 averaged passes minus that of 50 (nats)",
    "scaling_minus_geometric": "test error of weight scaling minus that of the geometric mean of "
    "200 passes (percentage points)",
    "closer_to_geometric": "distance (total variation) of weight scaling from the arithmetic mean "
    "of 200 passes minus that from their geometric mean",
    "disagreement_minus_entropy_area": "area under the ROC curve, wrong against right predictions, "
    "of the mutual information of 50 passes minus that of the entropy of weight scaling",
    "ensemble_minus_one": "test error of five averaged networks without dropout minus the mean "
    "error of one of them (percentage points)",
    "ensemble_minus_dropout": "test error of five averaged networks without dropout minus the "
    "mean error of one with dropout (percentage points)",
    "ensemble_gain_change": "test error that averaging five networks adds with dropout minus what "
    "it adds without (percentage points)",
    "inference_change": "largest change of an activation by a dropout layer at inference",
    "kept_scale_error": "largest relative deviation of a kept activation from x / (1 - rate)",
    "active_share": "share of the first hidden layer's units that are active",
    "mean_activation": "mean activation of the first hidden layer",
    "correlation": "mean absolute correlation between units of the first hidden layer",
    "ablation_increase": "test error added by removing a quarter of the first hidden layer "
    "(percentage points)",
}
"""Names of metrics, with what they are and their unit."""


def unit_of(metric: str) -> str:
    """Return what a metric is, with its unit.

    Raises:
        ValueError: there is no such metric.
    """
    if metric not in METRICS:
        raise ValueError(
            f"expected the name of a metric ({', '.join(METRICS)}), received {metric!r}"
            f"{did_you_mean(metric, METRICS)}"
        )
    return METRICS[metric]
