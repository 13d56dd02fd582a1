"""Names of the files that `tune` writes into its directory."""

BEST_MODEL = "best.keras"
BEST_WEIGHTS = "best.weights.h5"  # in its place where Keras cannot create the model from a file
TRIALS = "trials.csv"
FINALISTS = "finalists.csv"
RACE = "race.parquet"
CURVES = "curves.parquet"
PLOT = "rates.png"
FILES = (BEST_MODEL, BEST_WEIGHTS, TRIALS, FINALISTS, RACE, CURVES, PLOT)
JOURNAL = "journal.jsonl"  # in the state directory, which goes when the run is complete
