"""Names of the files that `tune` writes into its directory."""

BEST_MODEL = "best.keras"
TRIALS = "trials.csv"
FINALISTS = "finalists.csv"
RACE = "race.parquet"
CURVES = "curves.parquet"
PLOT = "rates.png"
FILES = (BEST_MODEL, TRIALS, FINALISTS, RACE, CURVES, PLOT)
JOURNAL = "journal.jsonl"  # in the state directory, which goes when the run is complete
