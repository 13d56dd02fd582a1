"""Reading the graph: every rule has a model that triggers it, a near miss, and holds in Keras."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import dropout_zoo.models
from dropout_zoo.models import AuditReport, audit, build_mlp, dropout_sites, with_rates
from dropout_zoo.models.auditing.docs_page import rules_page
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.models.guidance import SEARCHED_RATES

GRAPH_RULES = [code for code, rule in RULES.items() if not rule.measured]


def program(text):
    """The model that the code of a rule makes."""
    names = {"keras": keras, "layers": layers}
    exec(text, names)
    return names["model"]


def codes(model, **chosen):
    return {finding.code for finding in audit(model, **chosen)}


def sequential(*inner, shape=(20,), end=None):
    return keras.Sequential([keras.Input(shape), *inner, end or layers.Dense(10, "softmax")])


def dense(units=64, activation="relu"):
    return layers.Dense(units, activation=activation)


@pytest.mark.parametrize("code", GRAPH_RULES)
def test_bad_code_triggers_its_rule_and_good_code_does_not(code):
    if code == "DZ206" and keras.backend.backend() != "tensorflow":
        pytest.skip("reads TensorFlow's graph")
    bad, good = program(RULES[code].bad), program(RULES[code].good)
    findings = [finding for finding in audit(bad) if finding.code == code]
    assert findings
    assert findings[0].severity == RULES[code].severity
    assert "\n" not in findings[0].message
    layer = findings[0].site.split("/")[0]
    assert layer in {each.name for each in bad.layers}
    assert f"'{layer}" in findings[0].message
    assert findings[0].fix and findings[0].why and findings[0].source
    assert code not in codes(good)
    # The bad code shows its own fault, and no other.
    assert {finding.code for finding in audit(bad)} == {code}


def bounded_gate():
    inputs = keras.Input((20,))
    gate = layers.Dropout(0.5)(layers.Dense(64, activation="tanh")(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Multiply()([gate, layers.Dense(64)(inputs)])))


def scores_in_softmax():
    inputs = keras.Input((20,))
    scores = layers.Dropout(0.5)(layers.Dense(20, activation="tanh")(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Dot(1)([layers.Softmax()(scores), inputs])))


def residual_from_the_input(noise_shape):
    inputs = keras.Input((64,))
    branch = layers.Dropout(0.2, noise_shape=noise_shape)(layers.Dense(64)(inputs))
    return keras.Model(inputs, layers.Dense(2)(inputs + branch))


def frozen_batch_norm():
    norm = layers.BatchNormalization()
    norm.trainable = False
    return sequential(dense(), layers.Dropout(0.5), norm)


def auxiliary_output():
    inputs = keras.Input((20,))
    features = layers.Dropout(0.5)(dense()(inputs))
    model = keras.Model(inputs, [features, layers.Dense(2)(features)])
    model.compile("adam", ["mse", "mse"])
    return model


def compiled(model):
    model.compile("adam", "mse")
    return model


LOUD = {
    "softmax scores of tanh": ("DZ108", scores_in_softmax),
    "batch norm behind pooling": (
        "DZ102",
        lambda: sequential(
            dense(), layers.Dropout(0.5), layers.Reshape((64, 1)), layers.MaxPooling1D(2),
            layers.Flatten(), layers.BatchNormalization(),
        ),
    ),
    "batch norm behind an addition": (
        "DZ104",
        lambda: _after_addition(layers.BatchNormalization()),
    ),
    "gaussian dropout": (
        "DZ102",
        lambda: sequential(dense(), layers.GaussianDropout(0.4), layers.BatchNormalization()),
    ),
    "spatial dropout of few maps": (
        "DZ111",
        lambda: sequential(
            layers.Conv2D(4, 3), layers.SpatialDropout2D(0.5), layers.Flatten(), shape=(8, 8, 3)
        ),
    ),
    "whole batches": (
        "DZ122",
        lambda: sequential(dense(), layers.Dropout(0.2, noise_shape=(1, 1))),
    ),
    "whole batches on a branch": ("DZ122", lambda: residual_from_the_input((1, 1))),
    "short noise shape": (
        "DZ123",
        lambda: sequential(dense(), layers.Dropout(0.2, noise_shape=(64,))),
    ),
    "percent": ("DZ201", lambda: _assigned(30)),
    "negative": ("DZ201", lambda: _assigned(-0.1)),
    "not a number": ("DZ201", lambda: _assigned(float("nan"))),
    "input too high": ("DZ204", lambda: sequential(layers.Dropout(0.4), dense())),
    "recurrent keep probability": (
        "DZ202",
        lambda: sequential(layers.LSTM(16, dropout=0.8), shape=(9, 64)),
    ),
    "several cells in one layer": (
        "DZ202",
        lambda: sequential(
            layers.RNN([layers.LSTMCell(8, dropout=0.7), layers.GRUCell(8)]), shape=(9, 64)
        ),
    ),
    "attention raised from 0": ("DZ205", lambda: _attention_raised()),
}  # fmt: skip

QUIET = {
    "features of a base": ("DZ101", lambda: sequential(dense(), end=layers.Dropout(0.5))),
    "features beside an output": ("DZ101", auxiliary_output),
    "no weights at all": ("DZ101", lambda: compiled(sequential(end=layers.Dropout(0.2)))),
    "layer normalization": (
        "DZ102",
        lambda: sequential(dense(), layers.Dropout(0.5), layers.LayerNormalization()),
    ),
    "frozen batch norm": ("DZ102", frozen_batch_norm),
    "alpha dropout": (
        "DZ102",
        lambda: sequential(
            dense(64, "selu"), layers.AlphaDropout(0.2), layers.BatchNormalization()
        ),
    ),
    "two layers before batch norm": (
        "DZ104",
        lambda: sequential(
            dense(), layers.Dropout(0.5), dense(), dense(), layers.BatchNormalization()
        ),
    ),
    "tanh is a value, not a gate": ("DZ108", bounded_gate),
    "sigmoid before dropout": (
        "DZ107",
        lambda: sequential(dense(64, "sigmoid"), layers.Dropout(0.5)),
    ),
    "relu after dropout": (
        "DZ107",
        lambda: sequential(dense(64, None), layers.Dropout(0.5), layers.ReLU()),
    ),
    "alpha dropout on the input": (
        "DZ109",
        lambda: sequential(layers.AlphaDropout(0.2), dense(64, "selu")),
    ),
    "selu as a layer": (
        "DZ109",
        lambda: sequential(dense(64, None), layers.Activation("selu"), layers.AlphaDropout(0.2)),
    ),
    "five survivors": ("DZ111", lambda: sequential(dense(10), layers.Dropout(0.5))),
    "a convolutional cell": (
        "DZ111",
        lambda: sequential(
            layers.ConvLSTM2D(4, 3, dropout=0.2), layers.Flatten(), shape=(3, 8, 8, 1)
        ),
    ),
    "pixels of one channel": (
        "DZ111",
        lambda: sequential(layers.Dropout(0.2), layers.Flatten(), shape=(28, 28, 1)),
    ),
    "a big net with weight decay": ("DZ112", lambda: _big(optimizer="adamw")),
    "a big net with a penalty": ("DZ112", lambda: _big(kernel_regularizer="l2")),
    "a frozen big net": ("DZ112", lambda: _big(trainable=False)),
    "a model frozen as a whole": ("DZ113", lambda: _big(trainable=False, dropout=0.5)),
    "stochastic depth": ("DZ122", lambda: residual_from_the_input((None, 1))),
    "a batch of one": (
        "DZ123",
        lambda: keras.Sequential(
            [keras.Input(batch_shape=(1, 20)), dense(), layers.Dropout(0.2, noise_shape=(1, 64)),
             layers.Dense(2)]
        ),
    ),
    "different seeds": (
        "DZ124",
        lambda: sequential(
            dense(), layers.Dropout(0.5, seed=1), dense(), layers.Dropout(0.5, seed=2)
        ),
    ),
    "a seed of a layer that drops nothing": (
        "DZ124",
        lambda: sequential(
            dense(), layers.Dropout(0.5, seed=1), dense(), layers.Dropout(0.0, seed=1)
        ),
    ),
    "cuDNN is ruled out anyway": (
        "DZ125",
        lambda: sequential(layers.LSTM(16, recurrent_dropout=0.2, unroll=True), shape=(9, 64)),
    ),
    "exactly one half": ("DZ202", lambda: sequential(dense(), layers.Dropout(0.5))),
    "attention without dropout": (
        "DZ203",
        lambda: _attention(layers.MultiHeadAttention(2, 8)),
    ),
    "a transformer's 0.1": ("DZ204", lambda: residual_from_the_input(None)),
    "the head of a transformer": (
        "DZ204",
        lambda: _attention(layers.MultiHeadAttention(2, 8), layers.Dropout(0.1)),
    ),
    "0.2 and 0.3 are searched": (
        "DZ204",
        lambda: sequential(dense(), layers.Dropout(0.2), dense(), layers.Dropout(0.3)),
    ),
    "raised from 0.1": ("DZ205", lambda: _assigned(0.4, made_with=0.1)),
    "lowered to 0": ("DZ205", lambda: _assigned(0.0, made_with=0.1)),
}  # fmt: skip


def _after_addition(last):
    inputs = keras.Input((64,))
    x = inputs + layers.Dropout(0.3)(dense()(inputs))
    return keras.Model(inputs, layers.Dense(2)(last(x)))


def _assigned(rate, made_with=0.5):
    model = sequential(dense(), layers.Dropout(made_with))
    model.layers[1].rate = rate
    return model


def _attention(layer, *head):
    x = inputs = keras.Input((9, 16))
    x = layers.Flatten()(layer(inputs, inputs))
    for each in head:
        x = each(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def _attention_raised():
    inputs = keras.Input((9, 16))
    attention = layers.Attention()
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attention([inputs, inputs]))))
    attention.dropout = 0.3
    return model


def _big(optimizer="adam", trainable=True, dropout=0.0, kernel_regularizer=None):
    wide = layers.Dense(1100, "relu", kernel_regularizer=kernel_regularizer)
    model = sequential(wide, *([layers.Dropout(dropout)] if dropout else []), shape=(1000,))
    model.trainable = trainable
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("name", LOUD)
def test_rules_find_more_than_their_examples(name):
    code, build = LOUD[name]
    assert code in codes(build())


@pytest.mark.parametrize("name", QUIET)
def test_code_that_almost_triggers_a_rule_gives_no_finding(name):
    code, build = QUIET[name]
    assert code not in codes(build())


def test_an_output_is_recognized_by_its_activation_or_loss():
    last = layers.Dropout(0.5, name="drop")
    for end in ("sigmoid", None):
        model = keras.Sequential([keras.Input((20,)), dense(), layers.Dense(3, end), last])
        (finding,) = audit(model, select=["DZ101"])
        assert finding.site == "drop"
        assert dict(finding.rates) == {"drop": 0.0}
    features = keras.Sequential([keras.Input((20,)), dense(), layers.Dropout(0.5)])
    assert not audit(features)
    assert codes(compiled(features)) == {"DZ101"}


# What Keras does, on which rules rest.


def test_keras_overrides_training_that_is_baked_in():
    model = program(RULES["DZ121"].bad)
    x = np.ones((64, 20), "float32")
    answers = [model.predict(x, verbose=0) for _ in range(2)]
    np.testing.assert_array_equal(*answers)
    drawn = [np.asarray(keras.ops.convert_to_numpy(model(x))) for _ in range(2)]
    assert np.abs(drawn[0] - drawn[1]).max() > 0


def test_keras_drops_in_a_frozen_base_that_is_called_with_training_false():
    bad, good = program(RULES["DZ113"].bad), program(RULES["DZ113"].good)
    x = np.ones((64, 20), "float32")
    for model, differs in ((bad, True), (good, False)):
        one, other = (keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2))
        assert bool(np.abs(one - other).max() > 0) is differs


def test_keras_fails_where_a_rate_was_raised_from_0():
    model = program(RULES["DZ205"].bad)
    with pytest.raises(AttributeError, match="seed_generator"):
        model(np.ones((4, 20), "float32"), training=True)


def test_keras_gives_layers_with_one_seed_the_same_mask():
    x = np.ones((8, 64), "float32")
    masks = [layers.Dropout(0.5, seed=42)(x, training=True) for _ in range(2)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, masks))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="reads TensorFlow's graph")
class TestTracedRates:
    def traced(self, layer_class, rate=0.4):
        model = keras.Sequential(
            [keras.Input((6, 8)), layer_class(rate), layer_class(0.25), layers.Flatten(),
             layers.Dense(1)]
        )  # fmt: skip
        model.compile("sgd", "mse")
        model.fit(np.zeros((4, 6, 8)), np.zeros((4, 1)), verbose=0)
        return model

    @pytest.mark.parametrize(
        "layer_class",
        [
            layers.Dropout,
            layers.SpatialDropout1D,
            layers.GaussianDropout,
            layers.AlphaDropout,
        ],
    )
    def test_each_kind_of_layer_is_audited(self, layer_class):
        model = self.traced(layer_class)
        assert "DZ206" not in codes(model)
        model.layers[0].rate = 0.3
        (finding,) = audit(model, select=["DZ206"])
        assert finding.site == model.layers[0].name
        assert "0.3" in finding.message and "0.4" in finding.message
        model.compile("sgd", "mse")  # Keras traces anew
        assert "DZ206" not in codes(model)

    def test_traced_rates_are_found_in_half_precision_and_recurrent_layers(self):
        before = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
        try:
            model = self.traced(layers.Dropout, 0.3)
        finally:
            keras.mixed_precision.set_dtype_policy(before)
        assert "DZ206" not in codes(model)
        model = keras.Sequential([keras.Input((6, 8)), layers.LSTM(4, dropout=0.2, name="rnn")])
        model.compile("sgd", "mse")
        model.fit(np.zeros((4, 6, 8)), np.zeros((4, 4)), verbose=0)
        assert "DZ206" not in codes(model)
        model.layers[0].cell.dropout = 0.4
        assert [each.site for each in audit(model, select=["DZ206"])] == ["rnn/cell/dropout"]


# Odd models.


class Subclassed(keras.Model):
    def __init__(self, rate=0.8):
        super().__init__()
        self.hidden, self.drop, self.last = dense(), layers.Dropout(rate), layers.Dense(2)

    def call(self, inputs, training=False):
        return self.last(self.drop(self.hidden(inputs), training=training))


def test_a_subclassed_model_is_read_as_far_as_it_can_be():
    report = audit(Subclassed())
    assert [finding.code for finding in report] == ["DZ202"]
    assert "subclassed" in report.limits[0]
    inputs = keras.Input((20,))
    around = keras.Model(inputs, layers.Dense(2)(Subclassed()(inputs)))
    report = audit(around)
    assert [finding.code for finding in report] == ["DZ202"]
    assert "inside custom layers" in report.limits[0]


def test_an_unbuilt_model_is_read_as_far_as_it_can_be():
    model = keras.Sequential([dense(6), layers.Dropout(0.5), layers.BatchNormalization(), dense()])
    report = audit(model)
    assert {finding.code for finding in report} == {"DZ102"}
    assert "has not been built" in report.limits[0]
    model.build((None, 20))
    report = audit(model)
    assert {finding.code for finding in report} == {"DZ102", "DZ111"}
    assert not report.limits


def identity():
    inputs = keras.Input((3,))
    return keras.Model(inputs, inputs)


ODD = {
    "empty": keras.Sequential,
    "input only": lambda: keras.Sequential([keras.Input((3,))]),
    "identity": identity,
    "time distributed": lambda: sequential(
        layers.TimeDistributed(layers.Dropout(0.3)), shape=(3, 4)
    ),
    "any length": lambda: sequential(layers.Dropout(0.3), layers.GRU(2), shape=(None, 4)),
    "no weights": lambda: sequential(layers.Dropout(0.3), end=layers.Flatten()),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_models_do_not_break_the_audit(name):
    report = audit(ODD[name]())
    assert isinstance(report, AuditReport)
    assert not report.errors
    json.loads(report.to_json())


def test_a_shared_layer_is_reported_once():
    drop = layers.Dropout(0.8, name="drop")
    one, other = keras.Input((20,)), keras.Input((20,))
    x = layers.Concatenate()([drop(dense()(one)), drop(dense()(other))])
    report = audit(keras.Model([one, other], layers.Dense(2)(layers.BatchNormalization()(x))))
    assert [(each.code, each.site) for each in report] == [("DZ102", "drop"), ("DZ202", "drop")]


def test_only_models_are_audited():
    with pytest.raises(TypeError, match="received Dense; load a file"):
        audit(layers.Dense(2))
    with pytest.raises(TypeError, match="received str"):
        audit("mlp")


# The report.


@pytest.fixture(scope="module")
def report():
    model = sequential(
        dense(), layers.Dropout(0.8, name="high"), dense(), layers.Dropout(0.0, name="none"),
        dense(), layers.Dropout(1.0, name="all"),
    )  # fmt: skip
    return audit(model)


def test_the_report_is_sorted_and_counts_its_findings(report):
    assert [finding.code for finding in report] == ["DZ201", "DZ202", "DZ203"]
    assert len(report) == 3 and bool(report) and report.worst == "error"
    assert len(report.errors) == len(report.warnings) == len(report.notes) == 1
    assert len(report.at_least("note")) == 3 and len(report.at_least("error")) == 1
    with pytest.raises(ValueError, match=r"expected severity to be one of \(note, warning, error"):
        report.at_least("fatal")
    text = str(report).splitlines()
    assert text[0].endswith("1 error, 1 warning, 1 note")
    assert text[1].startswith("DZ201  error    'all'")
    clean = audit(build_mlp())
    assert not clean and len(clean) == 0 and clean.worst is None
    assert str(clean) == "mlp: no findings"


def test_the_report_can_be_written_as_json(report):
    read = json.loads(report.to_json())
    assert read["worst"] == "error"
    assert [finding["code"] for finding in read["findings"]] == ["DZ201", "DZ202", "DZ203"]
    assert read["findings"][1]["rates"] == {"high": 0.2}
    assert set(read) == {"model", "worst", "findings", "limits", "measurements"}
    not_a_number = audit(_assigned(float("nan")), select=["DZ201"])
    json.loads(not_a_number.to_json(), parse_constant=pytest.fail)


def test_suggested_rates_fix_the_finding(report):
    model = sequential(
        dense(), layers.Dropout(0.8, name="high"), dense(), layers.Dropout(0.05, name="low"),
        dense(), layers.Dropout(1.0, name="all"),
    )  # fmt: skip
    rates = audit(model).fixing_rates()
    assert rates == {"high": 0.2, "low": 0.2, "all": 0.5}
    assert not audit(with_rates(model, rates))
    model = _assigned(0.4, made_with=0.0)
    raised = with_rates(model, audit(model).fixing_rates())
    raised(np.ones((2, 20), "float32"), training=True)


def test_rules_are_chosen_by_code():
    model = _assigned(0.8)
    assert codes(model) == {"DZ202"}
    assert codes(model, ignore=["DZ202"]) == set()
    assert codes(model, select=["DZ101", "DZ202"]) == {"DZ202"}
    assert codes(model, select=["DZ202"], ignore=["DZ202"]) == set()
    assert codes(model, select=[]) == set()
    with pytest.raises(ValueError, match=r"received 'DZ999'; the rules are DZ101, .*DZ307"):
        audit(model, ignore=["DZ999"])
    with pytest.raises(ValueError, match="expected select to be a sequence of codes"):
        audit(model, select="DZ101")


def test_documented_models_have_no_findings():
    for rate in SEARCHED_RATES:
        assert not audit(build_mlp(hidden_rates=rate, input_rate=min(rate, 0.25)))


def test_an_audit_changes_nothing():
    model = build_mlp()
    weights = model.get_weights()
    sites = [(site.path, site.rate) for site in dropout_sites(model)]
    audit(model)
    assert [(site.path, site.rate) for site in dropout_sites(model)] == sites
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# Codes, page, exports.


def test_codes_are_well_formed_and_stable():
    assert list(RULES) == sorted(RULES)
    assert all(len(code) == 5 and code.startswith("DZ") for code in RULES)
    assert all(rule.why.endswith((".", ")")) and rule.source for rule in RULES.values())
    assert len(RULES) >= 25


def test_the_page_shows_the_current_rules():
    page = Path(__file__).parents[3] / "docs" / "audit_rules.md"
    assert page.read_text(encoding="utf-8") == rules_page(), (
        "run: python -m dropout_zoo.models.auditing.docs_page > docs/audit_rules.md"
    )


@pytest.mark.slow
def test_audit_is_the_function_and_not_a_module():
    ran = subprocess.run(
        [sys.executable, "-c", "import dropout_zoo.models as m; assert callable(m.audit)"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert callable(dropout_zoo.models.audit)
