"""Defaults of studies. The command line shows some of them, so nothing is imported here."""

SWEPT_RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Rates of a validation curve: the range of Srivastava et al. 2014, Fig. 9."""

NUM_SEEDS = 5
NUM_SEEDS_OF_MAPS = 3
"""Fewer, because a map trains every combination of two factors."""

PREDICTION_BATCH_SIZE = 256
"""Examples that are predicted at a time."""
