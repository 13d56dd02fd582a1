"""Names stay text: in CSV files that spreadsheets open, and in what is read back."""

import csv

import keras
import pandas as pd
import pytest
from keras import layers

from dropout_zoo.studies.csv_tables import read_csv, write_csv
from dropout_zoo.tuning import TuningResult, tune


def test_texts_are_restored_and_none_begins_like_a_formula(tmp_path):
    texts = ["=1+1", "+1", "-x", "@A1", "\tx", "'=1", "plain", "", "1-2"]
    table = pd.DataFrame({"=name": texts, "number": range(-4, 5)})
    write_csv(table, tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="") as file:
        cells = [row[0] for row in csv.reader(file)]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    found = read_csv(tmp_path / "table.csv").fillna("")
    pd.testing.assert_frame_equal(found, table, check_dtype=False)


@pytest.mark.slow
def test_a_layer_called_like_a_formula_stays_text_in_a_run(few_digits, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dropout(0.3, name="-cmd"),  # TensorFlow refuses "=" in names
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    result = tune(
        model, few_digits, rates=[0.2, 0.5], epochs=1, num_finalists=1, num_seeds=2,
        directory=tmp_path / "run", progress=False,
    )  # fmt: skip
    for name in ("trials.csv", "finalists.csv"):
        text = (tmp_path / "run" / name).read_text()
        assert "'-cmd" in text
        assert text.count("-cmd") == text.count("'-cmd")
    loaded = TuningResult.load(tmp_path / "run")
    pd.testing.assert_frame_equal(loaded.trials, result.trials, check_dtype=False)
    assert list(loaded.best_rates) == ["-cmd"]
