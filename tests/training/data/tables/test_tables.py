"""Tables of numbers, categories and text: what their columns become, and what is refused."""

import re

import keras
import numpy as np
import pandas as pd
import pytest
from backends import last_words
from sklearn.datasets import load_wine

from dropout_zoo.models import build_tabular_mlp, dropout_sites
from dropout_zoo.training import DataError, as_dataset, load_dataset, table_inputs

NAN = float("nan")
PEOPLE = pd.DataFrame(
    {
        "id": [f"p{n}" for n in range(40)],
        "age": [20, 30, NAN, 50] * 10,
        "job": ["cook", "cook", "nurse", None] * 10,
        "married": pd.Series([True, False, None, False] * 10, dtype=object),
        "country": "Utopia",
        "comment": ["Good work!", "bad work", None, "good"] * 10,
        "income": ["low", "high"] * 20,
    }
)
OPTIONS = {"target": "income", "drop": "id", "text": "comment"}
# Age, married, whether each is missing; jobs: cook, none, nurse; comments: work, good, bad.
ENCODED = [
    [20, 1, 0, 0, 1, 0, 0, 1, 1, 0],
    [30, 0, 0, 0, 1, 0, 0, 1, 0, 1],
    [30, 0, 1, 1, 0, 0, 1, 0, 0, 0],
    [50, 0, 0, 0, 0, 1, 0, 0, 1, 0],
]


def wines():
    """Real measurements with missing values, names, and a made-up remark on each wine."""
    frame = load_wine(as_frame=True).frame
    shade = pd.cut(frame["color_intensity"], [0, 3, 6, 20], labels=["pale", "medium", "deep"])
    taste = np.where(frame["flavanoids"] > 2, "round, full", "thin and sharp")
    table = pd.DataFrame(
        {
            "alcohol": frame["alcohol"].where(np.arange(178) % 9 > 0),
            "mlp": frame["proline"],  # as the model is called
            "cast": shade.astype(object).where(np.arange(178) % 11 > 0),  # as an operation is
            "hours per week (%)": np.where(frame["hue"] > 1, "more", "less"),
            "remark": [f"A {each} wine, no. {n}." for n, each in enumerate(taste)],
            "kind": np.array(["one", "two", "three"])[frame["target"]],
        }
    )
    return table.sample(frac=1, random_state=0, ignore_index=True)


def refused(message, frame, **options):
    with pytest.raises(DataError, match=message) as caught:
        as_dataset(frame, **{"target": "income", **options})
    assert "\n" not in str(caught.value)


def test_columns_become_numbers_by_what_the_training_set_holds():
    other = PEOPLE.iloc[:8].assign(age=[NAN, *range(7)], job="astronaut", comment="good grief")
    dataset = as_dataset(PEOPLE, validation_data=other, test_data=other.iloc[::-1], **OPTIONS)
    np.testing.assert_array_equal(dataset.train[0], ENCODED * 10)
    x = dataset.validation[0]
    np.testing.assert_array_equal(x[:, 0], [30, *range(7)])
    np.testing.assert_array_equal(x[:, 4:], [[0, 0, 0, 0, 1, 0]] * 8)
    np.testing.assert_array_equal(dataset.test[0], x[::-1])


def test_the_description_says_what_each_column_is_taken_for(tmp_path):
    table = pd.concat([PEOPLE] * 6).assign(town=[f"town {n % 60}" for n in range(240)])
    table.to_csv(tmp_path / "people.csv", index=False)
    dataset = load_dataset(tmp_path / "people.csv", split=(0.5, 0.5), **OPTIONS)
    described = re.sub(r"\d+ (missing|levels|most)", r"N \1", dataset.describe())
    assert described.splitlines()[1:6] == [
        "  numbers    age (N missing), married (N missing)",
        "  categories job (N levels, N missing), "
        "town (N levels, all but the N most frequent as one)",
        "  text       comment (3 words, N missing)",
        "  constant   country",
        "  dropped    id",
    ]
    missing = int(re.search(r"age \((\d+) missing", dataset.describe())[1])
    assert missing == (dataset.train[0][:, 2] == 1).sum() > 0


def test_only_the_training_part_decides_how_columns_are_encoded():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "row": np.arange(400),
            "size": np.where(rng.random(400) < 0.3, NAN, rng.lognormal(3, 2, 400)),
            "code": [*(f"c{n % 90}" for n in range(360)), *(f"d{n}" for n in range(40))],
            "y": rng.random(400),
        }
    )
    dataset = as_dataset(table, target="y", seed=3)
    train = table.iloc[dataset.train[0][:, 0].astype(int)]
    test = table.iloc[dataset.test[0][:, 0].astype(int)]
    median = np.float32(train["size"].median())
    assert median != np.float32(table["size"].median())
    np.testing.assert_array_equal(dataset.test[0][:, 1], np.float32(test["size"].fillna(median)))
    np.testing.assert_array_equal(dataset.test[0][:, 2], test["size"].isna())
    # One for each of 50 levels; the other levels, known or not, are one.
    assert dataset.input_shape == (3 + 1 + 50,)
    np.testing.assert_array_equal(dataset.test[0][:, 3:].sum(1), 1)
    unseen = ~test["code"].isin(train["code"])
    assert unseen.any()
    assert (dataset.test[0][unseen, 3] == 1).all()


def test_a_saved_model_predicts_from_raw_columns_as_the_trained_one_does(tmp_path):
    table = wines()
    train, validation, test = table[:100], table[100:130], table[130:]
    dataset = as_dataset(
        train, target="kind", text="remark", validation_data=validation, test_data=test
    )
    model = build_tabular_mlp(units=(8,), name="mlp", **dataset.builder_arguments)
    dataset.model_for_raw_columns(model).save(tmp_path / "best.keras")

    best = keras.saving.load_model(tmp_path / "best.keras")
    assert [site.path for site in dropout_sites(best)] == ["mlp_/hidden_1_dropout"]
    raw = table_inputs(best, test)
    assert list(raw) == list(table.columns[:-1])
    predicted = best.predict({**raw, "another": np.zeros(len(test))}, verbose=0)
    np.testing.assert_allclose(predicted, model(dataset.test[0]), rtol=1e-6)
    assert best.compiled and best.loss == model.loss


def test_unknown_categories_and_missing_values_are_predicted():
    dataset = as_dataset(PEOPLE, **OPTIONS)
    model = keras.Sequential([keras.Input(dataset.input_shape), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    best = dataset.model_for_raw_columns(model)
    raw = {
        "age": np.array([NAN, 40]),
        "job": np.array(["", "astronaut"], object),
        "married": np.array([NAN, True]),
        "comment": np.array(["unheard of", ""], object),
    }
    features = np.array([[30, 0, 1, 1, 0, 1, 0, 0, 0, 0], [40, 1] + [0] * 8], "float32")
    np.testing.assert_allclose(best.predict(raw, verbose=0), model(features), rtol=1e-6)


def test_tables_of_numbers_alone_stay_as_they_are():
    numbers = PEOPLE[["age", "income"]].dropna().assign(size=range(30))
    dataset = as_dataset(numbers, target="income")
    assert dataset.input_shape == (2,)
    assert dataset.describe().splitlines()[1] == "  numbers    age, size"
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    assert dataset.model_for_raw_columns(model) is model


def test_frames_with_targets_beside_them_are_encoded_too():
    inputs, y = PEOPLE.drop(columns="income"), PEOPLE["income"]
    dataset = as_dataset(inputs, y, drop=["id"], text=["comment"], validation_split=0.25)
    np.testing.assert_array_equal(dataset.train[0], (ENCODED * 10)[:30])
    shuffled = inputs[inputs.columns[::-1]]
    pair = as_dataset(
        inputs, y, drop="id", text="comment", validation_data=(shuffled, y), test_data=(inputs, y)
    )
    for x, _ in pair.parts().values():
        np.testing.assert_array_equal(x, ENCODED * 10)
    itself = as_dataset(inputs, inputs, drop="id", text="comment", validation_split=0.25)
    np.testing.assert_array_equal(*itself.as_reconstruction().train)


def test_categories_may_be_numbers_if_their_type_says_so():
    sizes = pd.Series([36, 38] * 20).astype("category")
    for column in (sizes, sizes.astype(str).astype("category")):
        dataset = as_dataset(PEOPLE[["income"]].assign(size=column), target="income")
        np.testing.assert_array_equal(dataset.train[0].sum(1), 1)
        assert "  categories size (2 levels)" in dataset.describe()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([f"n{n}" for n in range(40)], r"received 40 different strings in 40 rows; .*--drop 'a b'"),
        ([None] * 40, r"expected values, received none in any row; .*--drop 'a b'"),
        (
            ["12"] * 39 + ["twelve"],
            "expected numbers, received 'twelve' in row 40, one of 1 values",
        ),
        (["?"] * 5 + ["12", "13.5"] * 17 + [None], r"received '\?' in row 1, one of 5 values"),
        ([*range(39), "x"], "expected numbers, received 'x' in row 40"),
        (["12", "13"] * 20, "received numbers stored as strings .'12'.; .*pandas.to_numeric"),
        (["2024-05-17", "2024-05-18T10:00"] * 20, "received dates .'2024-05-17'.; turn them into"),
        (["17.5.2024", None] * 20, "received dates .'17.5.2024'."),
        ([pd.Timestamp("2024-05-17")] * 40, "received dates .'2024-05-17 00:00:00'."),
        ([[1], [2]] * 20, r"expected numbers or strings, received '\[1\]' in row 1 of type list"),
        (["a", "b", 3, None] * 10, "received '3' in row 3 of type int"),
        ([1j] * 40, "received '1j' in row 1 of type complex"),
        ([1.0] * 39 + [float("inf")], "expected finite .* in 1 rows, the first in row 40"),
        ([1.0] * 39 + [1e39], "received infinite or too large values"),
    ],
)
def test_columns_that_are_no_features_are_refused(column, message):
    refused(f"column 'a b': .*{message}", PEOPLE[["age", "income"]].assign(**{"a b": column}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "incme"}, "received 'incme'; .* did you mean 'income'"),
        ({"drop": "ID"}, "expected drop .--drop. to name one of .*'ID'; did you mean 'id'"),
        ({"drop": "id", "text": ["coment"]}, "expected text .--text. .*did you mean 'comment'"),
        ({"drop": ("id", "income")}, "expected drop .* name inputs, received the target 'income'"),
        ({"drop": "id", "text": "id"}, "in drop .* or in text .*, received 'id' in both"),
        ({"drop": list(PEOPLE.columns[:-1])}, "at least one input, received drop with every"),
        ({"drop": "id", "text": ["comment", "age"]}, "column 'age': expected numbers or strings"),
        ({"target": "country", "drop": ["id", "comment"]}, "received a single class"),
        (
            {"target": "comment"},
            "expected a target in every row, received none .* in 10 of 40 rows",
        ),
    ],
)
def test_columns_that_do_not_fit_the_options_are_refused(options, message):
    refused(message, PEOPLE, **options)


def test_tables_whose_columns_do_not_fit_together_are_refused():
    plain = PEOPLE[["age", "job", "income"]]
    refused("column 'job': expected different names", pd.concat([plain, plain[["job"]]], axis=1))
    refused("column 3: expected a name", plain.rename(columns={"income": ""}), target="age")
    refused("a column that varies", PEOPLE[["country", "income"]])
    refused("columns without '/', which .*, received 'a/b'", plain.rename(columns={"job": "a/b"}))
    for texts in (["?", "!"] * 20, [f"w{n}" for n in range(40)]):
        refused("column 'job': expected words", plain.assign(job=texts), text="job")
    lacking = plain.drop(columns="age").assign(Age=1)
    refused("received none named 'age'; did you mean 'Age'", plain, validation_data=lacking)
    words = plain.assign(age="old")
    refused("validation_data: column 'age': expected numbers", plain, validation_data=words)
    array = (np.zeros((9, 2)), ["low", "high", "low"] * 3)
    refused("train: columns: expected every part as a data frame", plain, validation_data=array)
    with pytest.raises(ValueError, match="expected drop with a data frame, received ndarray"):
        as_dataset(np.zeros((9, 2)), [0, 1, 2] * 3, drop="a")
    with pytest.raises(ValueError, match="expected no text together with a Dataset"):
        as_dataset(load_dataset("digits"), text="a")
    with pytest.raises(DataError, match=r"digits: expected no drop \(--drop\) for data"):
        load_dataset("digits", drop=["a"])


@pytest.mark.nightly
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_fill_in_numbers_and_refuse_strings(backend):
    program = (
        "import numpy as np, pandas as pd\n"
        "from dropout_zoo.training import as_dataset\n"
        "table = pd.DataFrame({'a': [1, None, 3, 5] * 10, 'y': [0, 1] * 20})\n"
        "x = as_dataset(table, target='y', validation_data=table).train[0]\n"
        "assert x[:2].tolist() == [[1, 0], [3, 1]], x\n"
        "try: as_dataset(table.assign(b=['u', 'v'] * 20), target='y')\n"
        "except ValueError as error: print(error)\n"
    )
    said = last_words(backend, "-c", program)
    assert "column 'b': expected Keras's TensorFlow backend" in said and backend in said
