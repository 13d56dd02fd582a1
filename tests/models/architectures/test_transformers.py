"""The LSTM, the transformer and the vision transformer."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
from nets import split_settings
from stock_fit import member_rates

from dropout_zoo.models import (
    audit,
    build_lstm,
    build_transformer,
    build_vit,
    dropout_sites,
    with_rates,
)
from dropout_zoo.models.architectures.transformer_encoder import stochastic_depth_rates
from dropout_zoo.training import Dataset, Member, MemberTrainer, load_dataset, train_members
from dropout_zoo.training.engine.eligibility import why_only_model_fit
from dropout_zoo.training.engine.keras_fit import fit_member
from dropout_zoo.tuning.space import search_space

SMALL_BLOCKS = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 12}
SMALL = {
    build_lstm: {"embedding_dim": 8, "units": (12, 6)},
    build_transformer: SMALL_BLOCKS,
    build_vit: SMALL_BLOCKS,
}
NONE = {
    build_lstm: {"embedding_rate": 0.0, "recurrent_rate": 0.0, "hidden_rates": 0.0},
    build_transformer: {"embedding_rate": 0.0, "attention_rate": 0.0, "residual_rate": 0.0},
    build_vit: {"embedding_rate": 0.0, "residual_rate": 0.0, "stochastic_depth_rate": 0.0},
}


@pytest.fixture(scope="module")
def topics():
    return load_dataset("topics")


@pytest.fixture(scope="module")
def few_topics(topics):
    parts = ((x[:200], y[:200]) for x, y in (topics.train, topics.validation, topics.test))
    return Dataset.from_arrays(*parts)


def parameters_of_block(width, units):
    norms = 2 * 2 * width
    attention = 4 * (width * width + width)  # query, key, value and output, each with biases
    return norms + attention + (width * units + units) + (units * width + width)


def parameters_of_lstm(inputs, units):
    return 4 * units * (inputs + units + 1)


def test_parameters_of_the_lstm_agree_with_a_count_by_hand():
    assert build_lstm().count_params() == 200 * 32 + parameters_of_lstm(32, 64) + 64 * 4 + 4
    expected = 50 * 8 + parameters_of_lstm(8, 12) + parameters_of_lstm(12, 6) + 6 * 2 + 2
    model = build_lstm(**SMALL[build_lstm], vocabulary_size=50, num_classes=2, input_shape=(9,))
    assert model.count_params() == expected


def test_parameters_of_the_transformer_agree_with_a_count_by_hand():
    embeddings = 200 * 32 + 32 * 32
    expected = embeddings + 2 * parameters_of_block(32, 128) + 2 * 32 + 32 * 4 + 4
    assert build_transformer().count_params() == expected


def test_parameters_of_the_vision_transformer_agree_with_a_count_by_hand():
    embeddings = 16 * 64 + 64 + 49 * 64
    expected = embeddings + 4 * parameters_of_block(64, 128) + 2 * 64 + 64 * 10 + 10
    assert build_vit().count_params() == expected
    of_colors = build_vit(input_shape=(32, 32, 3))
    more = (48 - 16) * 64 + (64 - 49) * 64
    assert of_colors.count_params() == expected + more


def test_depth_rates_grow_in_equal_steps():
    assert stochastic_depth_rates(0.2, 4) == [0.05, 0.1, 0.15, 0.2]
    model = build_vit(stochastic_depth_rate=0.4, **SMALL_BLOCKS)
    rates = {s.path: s.rate for s in dropout_sites(model) if s.path.endswith("depth")}
    assert list(rates.values()) == [0.2, 0.2, 0.4, 0.4]
    without = build_vit(stochastic_depth_rate=None, **SMALL_BLOCKS)
    assert not any(site.path.endswith("depth") for site in dropout_sites(without))


def test_patches_are_squares_of_the_image():
    model = build_vit(input_shape=(8, 12, 3), **SMALL_BLOCKS)
    patches = keras.Model(model.inputs, model.get_layer("patches").output)
    image = np.random.default_rng(0).random((1, 8, 12, 3)).astype("float32")
    received = patches.predict(image, verbose=0)
    assert received.shape == (1, 6, 48)
    assert np.array_equal(received[0, 0], image[0, :4, :4].ravel())
    assert np.array_equal(received[0, 5], image[0, 4:, 8:].ravel())


def test_every_site_has_its_placement():
    assert {s.path: s.placement for s in dropout_sites(build_lstm(units=(8, 8)))} == {
        "embedding_dropout": "input",
        "lstm_1/cell/recurrent_dropout": "recurrent",
        "lstm_1_dropout": "hidden",
        "lstm_2/cell/recurrent_dropout": "recurrent",
        "lstm_2_dropout": "hidden",
    }
    placements = {s.path: s.placement for s in dropout_sites(build_transformer())}
    assert placements.pop("embedding_dropout") == "input"
    assert set(placements.values()) == {"hidden"}
    assert {s.placement for s in dropout_sites(build_vit())} == {"hidden"}


def test_the_lstm_drops_the_same_at_all_time_steps():
    model = build_lstm(units=(8, 8))
    ones = np.ones((30, 7, 8), "float32")
    for name in ("embedding_dropout", "lstm_1_dropout"):
        received = keras.ops.convert_to_numpy(model.get_layer(name)(ones, training=True))
        assert np.array_equal(received, np.broadcast_to(received[:, :1], received.shape))
        assert len(np.unique(received[:, 0], axis=0)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("build", SMALL)
def test_one_epoch_lowers_the_loss(build, topics, few_digits):
    keras.utils.set_random_seed(0)
    dataset = few_digits if build is build_vit else topics
    model = build(
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        optimizer=keras.optimizers.Adam(0.01),
        **SMALL[build],
    )
    x, y = dataset.train[0], keras.utils.to_categorical(dataset.train[1], dataset.num_classes)
    before = model.evaluate(x, y, batch_size=300, verbose=0)[0]
    model.fit(x, y, batch_size=25, verbose=0)
    assert model.evaluate(x, y, batch_size=300, verbose=0)[0] < before - 0.02


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(each, marks=pytest.mark.slow)
        for each in (build_lstm, build_transformer, build_vit)
    ],
)
def test_each_rate_can_be_set_saved_and_reloaded(build, tmp_path):
    model = build(**SMALL[build])
    sites = dropout_sites(model)
    x = np.random.default_rng(0).integers(0, 2, (3, *model.input_shape[1:])).astype("float32")
    rates = {site.path: 0.3 for site in sites}
    changed = with_rates(model, rates)
    assert {site.path: site.rate for site in dropout_sites(changed)} == rates
    alone = with_rates(model, {sites[1].path: 0.45})
    expected = {site.path: site.rate for site in sites} | {sites[1].path: 0.45}
    assert {site.path: site.rate for site in dropout_sites(alone)} == expected
    changed.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    assert {site.path: site.rate for site in dropout_sites(reloaded)} == rates
    # Called rather than `predict`, which would trace each of them.
    predictions = [keras.ops.convert_to_numpy(each(x)) for each in (model, changed, reloaded)]
    # Keras computes attention without dropout in another order.
    np.testing.assert_allclose(predictions[0], predictions[1], atol=1e-6)
    np.testing.assert_allclose(predictions[0], predictions[2], atol=1e-6)


def test_dropout_of_attention_is_set_through_its_layer():
    small = build_transformer(**SMALL[build_transformer])
    model = with_rates(small, {"block_2_attention/dropout_layer": 0.35})
    assert model.get_layer("block_1_attention").dropout == 0.1
    assert model.get_layer("block_2_attention").dropout == 0.35


@pytest.mark.parametrize("build", SMALL)
def test_a_control_without_dropout_starts_from_the_same_weights(build):
    weights = []
    for rates in ({}, NONE[build]):
        keras.utils.set_random_seed(4)
        weights.append(build(**SMALL[build], **rates).get_weights())
    for one, other in zip(*weights, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("build", SMALL)
def test_regression_is_supported_and_compiling_is_optional(build):
    model = build(num_classes=None, **SMALL[build])
    assert model.output_shape == (None, 1) and model.loss == "mean_squared_error"
    assert not build(compile=False, **SMALL[build]).compiled


def test_tokens_stay_whole_numbers_in_half_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_transformer(vocabulary_size=5000, **SMALL_BLOCKS)
    finally:
        keras.config.set_dtype_policy(before)
    embedded = keras.Model(model.input, model.get_layer("embedding").output)
    tokens = np.full((1, 32), 4097, "float32")  # datasets are float32; bfloat16 has 4096 next
    expected = keras.ops.cast(model.get_layer("embedding").embeddings[4097], "bfloat16")
    received = embedded(tokens)[0, 0]
    assert np.array_equal(*(keras.ops.convert_to_numpy(each) for each in (received, expected)))


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (build_lstm, {"input_shape": (28, 28)}, r"input_shape to be \(length,\)"),
        (build_lstm, {"recurrent_rate": 1.0}, r"recurrent_rate to be in \[0, 1\)"),
        (build_lstm, {"units": ()}, "units to be a sequence"),
        (build_lstm, {"vocabulary_size": 0}, "vocabulary_size to be a whole number"),
        (build_transformer, {"num_heads": 5}, "num_heads to divide hidden_dim=32, received 5"),
        (build_transformer, {"attention_rate": -0.1}, "attention_rate to be in"),
        (build_transformer, {"residual_rate": "x"}, "residual_rate to be a number"),
        (build_transformer, {"num_layers": 0}, "num_layers to be a whole number"),
        (build_vit, {"input_shape": (30, 28)}, r"multiples of patch_size=4, received \(30, 28\)"),
        (build_vit, {"stochastic_depth_rate": 1}, "stochastic_depth_rate to be in"),
    ],
)
def test_invalid_arguments_are_reported_by_name(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_every_site_that_drops_something_is_searched():
    for build in SMALL:
        model = build(**SMALL[build])
        searched = [path for paths in search_space(model).sites.values() for path in paths]
        assert set(searched) == {site.path for site in dropout_sites(model) if site.rate}


def test_the_audit_reads_all_of_them():
    for build in SMALL:
        assert not audit(build(**SMALL[build])).limits


@pytest.mark.parametrize("build", [build_transformer, build_vit])
def test_the_engine_can_train_transformers(build):
    assert why_only_model_fit(build(**SMALL[build])) is None


def transformers_by_engine_and_by_fit(rate, data):
    model = build_transformer(**SMALL[build_transformer])
    settings, others = split_settings({"epochs": 2, "batch_size": 32, "update": "keras"})
    trainer = MemberTrainer(model, data, settings, **others)
    member = Member([rate] * len(dropout_sites(model)), seed=1)
    (trained,) = trainer.train([member])
    by_fit = fit_member(trainer.plan, member, member_rates(model, member), 1000)
    assert trained.status == by_fit.status == "completed", trained.reason
    return trained, by_fit


@pytest.mark.slow
@pytest.mark.usefixtures("no_constant_folding")
def test_transformers_equal_those_of_fit_but_for_the_folding_of_constants(few_topics, recwarn):
    trained, by_fit = transformers_by_engine_and_by_fit(0.3, few_topics)
    assert trained.curves.equals(by_fit.curves)
    for one, other in zip(trained.model().get_weights(), by_fit.model().get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    assert not [each for each in recwarn if "Model.fit" in str(each.message)]


@pytest.mark.parametrize(
    "rate",
    [pytest.param(0.0, marks=pytest.mark.slow), pytest.param(0.3, marks=pytest.mark.nightly)],
)
def test_transformers_agree_with_those_of_fit_up_to_rounding(rate, few_topics):
    trained, by_fit = transformers_by_engine_and_by_fit(rate, few_topics)
    pd.testing.assert_frame_equal(trained.curves, by_fit.curves, rtol=1e-5)


def test_the_engine_can_train_the_lstm():
    assert why_only_model_fit(build_lstm()) is None


@pytest.mark.slow
def test_the_engine_trains_the_lstm(few_topics, recwarn):
    model = build_lstm(**SMALL[build_lstm])
    sites = len(dropout_sites(model))
    members = [Member([rate] * sites, 0) for rate in (0.0, 0.4)]
    none, some = train_members(model, members, few_topics, epochs=2, batch_size=32)
    for trained in (none, some):
        assert trained.status == "completed" and math.isfinite(trained.score)
    assert none.curves["loss"].iloc[-1] < some.curves["loss"].iloc[-1]
    assert not [each for each in recwarn if "Model.fit" in str(each.message)]
