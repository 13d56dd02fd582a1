"""Defaults of studies. The command line shows some of them, so nothing is imported here."""

NUM_SEEDS = 5
NUM_SEEDS_OF_MAPS = 3
"""Fewer, because a map trains every combination of two factors."""

PREDICTION_BATCH_SIZE = 256
"""Examples that are predicted at a time."""
