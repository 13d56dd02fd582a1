"""Defaults of a search. The command line shows them, so nothing is imported here."""

ORACLES = ("grid", "random", "bayesian", "halving", "hyperband")
LARGEST_FULL_GRID = 20  # of which every setting is trained to the end
LARGEST_GRID = 50  # of which every setting is tried
DEFAULT_MAX_TRIALS = 20  # of the oracles that do not try everything
MAX_UPDATES = 8000
PATIENCE_UPDATES = 1000
NUM_SEEDS = 40
NUM_FINALISTS = 1
SEED = 0
