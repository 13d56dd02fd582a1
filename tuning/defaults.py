"""Defaults of a search. The command line shows them, so nothing is imported here."""

NUM_SEEDS = 40
NUM_FINALISTS = 1
SEED = 0
