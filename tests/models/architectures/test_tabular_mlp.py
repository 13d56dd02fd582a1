"""The MLP for tables: it standardizes raw columns itself."""

import keras
import numpy as np
import pandas as pd
import pytest

from dropout_zoo.models import build_tabular_mlp, create_model, diagram, dropout_sites, model_entry
from dropout_zoo.models.factory import resolve_model, resolve_variant

# Means 2 and 200, variances 1 and 10,000.
COLUMNS = np.array([[1.0, 100.0], [3.0, 300.0]])
STANDARDIZED = [[-1.0, -1.0], [1.0, 1.0]]
SMALL = {"input_shape": (2,), "units": (8,), "hidden_rates": 0.2}


def standardized(model, x=COLUMNS):
    return keras.ops.convert_to_numpy(model.get_layer("normalization")(x)).tolist()


def test_layers_and_parameters_agree_with_a_count_by_hand():
    model = build_tabular_mlp()
    assert [layer.name for layer in model.layers] == [
        "normalization",
        "hidden_1",
        "hidden_1_dropout",
        "hidden_2",
        "hidden_2_dropout",
        "classifier",
    ]
    trained = 31 * 384 + 385 * 384 + 385 * 2
    assert model_entry("tabular_mlp").parameters == trained
    # A mean and a variance for each of 30 columns, and the number of rows they are of.
    assert model.count_params() == trained + 30 + 30 + 1
    assert model.name == "tabular_mlp"
    assert model.input_shape == (None, 30)


def test_columns_in_units_of_their_own_are_standardized():
    model = build_tabular_mlp(**SMALL, adapt_to=COLUMNS)
    assert standardized(model) == STANDARDIZED
    assert standardized(model, [[2.0, 500.0]]) == [[0.0, 3.0]]
    assert not model.get_layer("normalization").trainable_weights


@pytest.mark.parametrize(
    "table", [COLUMNS.tolist(), COLUMNS.astype("int32"), pd.DataFrame(COLUMNS, columns=["a", "b"])]
)
def test_it_adapts_to_any_kind_of_table(table):
    assert standardized(build_tabular_mlp(**SMALL, adapt_to=table)) == STANDARDIZED


def test_a_column_of_one_value_becomes_0():
    model = build_tabular_mlp(**SMALL, adapt_to=[[1.0, 7.0], [3.0, 7.0]])
    assert standardized(model, [[3.0, 7.0]]) == [[1.0, 0.0]]


def test_statistics_of_many_large_values_are_exact():
    x = np.random.default_rng(0).uniform(1000, 1001, (200_000, 2)).astype("float32")
    layer = build_tabular_mlp(**SMALL, adapt_to=x).get_layer("normalization")
    np.testing.assert_allclose(layer.adapt_mean, x.mean(0, dtype="float64"), rtol=1e-7)
    np.testing.assert_allclose(layer.adapt_variance, x.var(0, dtype="float64"), rtol=1e-6)


def test_the_layer_can_be_adapted_later():
    model = create_model("tabular_mlp", **SMALL)
    model.get_layer("normalization").adapt(COLUMNS)
    assert standardized(model) == STANDARDIZED
    inputs = COLUMNS.astype("float32")
    adapted = create_model("tabular_mlp", **SMALL, adapt_to=COLUMNS)
    adapted.set_weights(model.get_weights())
    np.testing.assert_array_equal(
        model.predict(inputs, verbose=0), adapted.predict(inputs, verbose=0)
    )


def test_a_saved_model_predicts_from_raw_columns(tmp_path):
    model = build_tabular_mlp(**SMALL, adapt_to=COLUMNS)
    model.fit(COLUMNS, np.eye(2), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert standardized(reloaded) == STANDARDIZED
    np.testing.assert_array_equal(
        reloaded.predict(COLUMNS, verbose=0), model.predict(COLUMNS, verbose=0)
    )


def test_dropout_on_the_standardized_columns_is_on_the_input():
    model = build_tabular_mlp(**SMALL, input_rate=0.1)
    assert [(site.path, site.placement) for site in dropout_sites(model)] == [
        ("input_dropout", "input"),
        ("hidden_1_dropout", "hidden"),
    ]
    assert "normalization" in str(diagram(model))


def test_regression_has_one_linear_output():
    model = build_tabular_mlp(**SMALL, num_classes=None)
    assert model.output_shape == (None, 1)
    assert model.loss == "mean_squared_error"


@pytest.mark.parametrize("model", ["tabular_mlp", build_tabular_mlp])
def test_a_model_built_for_data_is_adapted_to_them(model):
    data = {"input_shape": (2,), "num_classes": 3, "adapt_to": COLUMNS}
    for built in (resolve_model(model, **data), resolve_variant(model, {"units": (4,)}, **data)):
        assert standardized(built) == STANDARDIZED
        assert built.output_shape == (None, 3)


def test_a_custom_builder_gets_the_examples_that_it_asks_for():
    def build(adapt_to=None):
        normalize = keras.layers.Normalization(name="normalization")
        normalize.adapt(adapt_to)
        model = keras.Sequential([keras.Input((2,)), normalize, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    data = {"input_shape": (2,), "num_classes": None, "adapt_to": COLUMNS}
    assert standardized(resolve_model(build, **data)) == STANDARDIZED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (8, 8)}, r"expected input_shape to be \(columns,\).*received \(8, 8\)"),
        ({"adapt_to": COLUMNS}, r"the shape \(examples, 30\) of the inputs, received \(2, 2\)"),
        ({"adapt_to": [1.0] * 30}, r"received \(30,\)"),
        ({"adapt_to": np.zeros((0, 30))}, r"received \(0, 30\)"),
        ({"batch_norm": "never"}, "expected batch_norm to be one of"),
        ({"units": (0,)}, "expected units"),
        ({"hidden_rates": 1.0}, "expected"),
    ],
)
def test_invalid_arguments_are_reported_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_tabular_mlp(**arguments)
