"""Names of the files that `tune` writes into its directory."""

BEST_MODEL = "best.keras"
BEST_WEIGHTS = "best.weights.h5"  # in its place where Keras cannot create the model from a file
TRIALS = "trials.csv"
FINALISTS = "finalists.csv"
RACE = "race.parquet"
CURVES = "curves.parquet"
PLOT = "rates.png"
FILES = (BEST_MODEL, BEST_WEIGHTS, TRIALS, FINALISTS, RACE, CURVES, PLOT)
NEEDED = tuple(name for name in FILES if name != PLOT)
"""Those from which the result is read."""
JOURNAL = "journal.jsonl"  # in the state directory, which goes when the run is complete
STATE_FILES = (JOURNAL, "weights-#/*.npz", "weights-#/*/*.npz", "oracle/trial_*/*.npz")
"""Patterns of the files in the state directory."""
