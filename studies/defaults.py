"""Defaults of studies. The command line shows some of them, so nothing is imported here."""

SWEPT_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Rates of a validation curve: the range of Srivastava et al. 2014, Fig. 9."""

SITES = "hidden"
"""Where a single rate applies."""

CAPACITY_RATES = (0.5,)
WIDTH_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of models of other sizes, as multiples of the model's own."""

METHODS = (
    "L1", "L2", "L1 + L2", "max-norm", "dropout", "dropout + L2", "dropout + max-norm",
    "batch norm", "batch norm then dropout", "dropout then batch norm", "early stopping",
    "synthetic data", "augmentation", "flips", "smaller model", "more data",
)  # fmt: skip
"""Methods against overfitting that need no other data, in the order in which they are shown."""

NUM_SEEDS = 5
NUM_SEEDS_OF_MAPS = 3
"""Fewer, because a map trains every combination of two factors."""

PREDICTION_BATCH_SIZE = 256
"""Examples that are predicted at a time."""
