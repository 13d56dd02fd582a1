"""Defaults of `examine`. The command line shows them, so nothing is imported here."""

EPOCHS = 10
NUM_SEEDS = 3
