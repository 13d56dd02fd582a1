"""What this project expects of the private parts of Keras, one test for each."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dropout_zoo.models import keras_internals

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


class Block(layers.Layer):
    """A layer with two layers of its own, one of them in a list."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.first = layers.Dense(3)
        self.others = [layers.Dropout(0.5)]

    def call(self, inputs):
        return self.others[0](self.first(inputs))


def test_variables_beyond_a_limit_are_refused_before_they_are_created():
    assert callable(keras.Variable._validate_shape)  # is called with the shape of every variable

    def never(shape, dtype=None):
        raise AssertionError("was asked for initial values")

    with keras_internals.limited_variables(100) as count:
        layers.Dense(5).build((None, 10))
        assert count.values == 55
        with pytest.raises(ValueError, match="expected at most 100 values, received 1,055"):
            layers.Dense(100, kernel_initializer=never).build((None, 10))
        assert count.values == 1055
    layers.Dense(100).build((None, 10))


@pytest.fixture(scope="module")
def functional():
    """Dense layers around a nested model, and an operation of `keras.ops`."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)], name="inner")
    inputs = keras.Input((4,), name="inputs")
    x = layers.Dense(4, name="first")(inputs)
    x = ops.relu(inner(x))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    model.compile(
        keras.optimizers.SGD(0.1, weight_decay=0.1),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["mse"],
    )
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    return model


def complaint(name):
    return f"this version of Keras has changed {name}; see dropout_zoo/models/keras_internals.py"


def test_direct_layers_are_those_that_a_layer_holds():
    block = Block()
    found = keras_internals.direct_layers(block)
    assert found == [block.first, *block.others], complaint("Layer._layers")


@pytest.mark.parametrize("kind", [layers.Attention, layers.AdditiveAttention])
def test_attention_drops_its_weights_by_the_method_of_the_mixin(kind):
    class Halved(keras_internals.DropsAttentionWeights, kind):
        def with_dropout(self, weights):
            return weights / 2

    x, attention = np.ones((1, 3, 2), "float32"), Halved()
    whole, halved = (attention([x, x], training=training) for training in (False, True))
    changed = complaint("Attention._apply_scores")
    np.testing.assert_allclose(ops.convert_to_numpy(whole), x, err_msg=changed)
    np.testing.assert_allclose(ops.convert_to_numpy(halved), x / 2, err_msg=changed)


def test_nested_layers_are_all_layers_at_any_depth(functional):
    names = [layer.name for layer in keras_internals.nested_layers(functional)]
    inner = functional.get_layer("inner").layers[0].name
    assert names.count(inner) == 1, complaint("Layer._flatten_layers")
    assert {"inputs", "first", "inner", "last"} <= set(names), complaint("Layer._flatten_layers")
    assert functional.name not in names, complaint("Layer._flatten_layers")


def test_a_layer_that_forgets_its_calls_has_the_output_of_the_new_graph():
    dense = layers.Dense(2)
    earlier = keras.Input((3,))
    dense(earlier)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, dense(inputs))
    assert dense.output is not model.output  # it is that of the first graph
    keras_internals.forget_calls(dense)
    model = keras.Model(inputs, dense(inputs))
    assert dense.output is model.output, complaint("Operation._inbound_nodes")


def test_nested_layers_of_a_model_and_of_its_clone_come_in_the_same_order(functional):
    originals = keras_internals.nested_layers(functional)
    clones = keras_internals.nested_layers(keras.models.clone_model(functional))
    kept = [
        [type(each) for each in found if not isinstance(each, layers.InputLayer)]
        for found in (originals, clones)
    ]
    assert kept[0] == kept[1], complaint("Layer._flatten_layers")


def test_attributes_of_a_layer_hold_its_layers_and_no_lists_of_the_backend():
    block = Block()
    attributes = keras_internals.layer_attributes(block)
    assert attributes["first"] is block.first
    holders = [
        name
        for name, value in attributes.items()
        if value is block.first
        or (isinstance(value, (list, tuple)) and any(each is block.first for each in value))
    ]
    assert holders == ["first"], complaint(f"where a layer keeps its layers, now also {holders}")


def test_only_functional_models_have_a_graph_by_depth(functional):
    class Subclassed(keras.Model):
        pass

    assert keras_internals.is_functional(functional), complaint("Functional._nodes_by_depth")
    assert not keras_internals.is_functional(Subclassed()), complaint("Functional._nodes_by_depth")


def test_a_sequential_keeps_its_graph_in_a_functional_model_once_built():
    model = keras.Sequential([layers.Dense(2)])
    assert keras_internals.functional_of(model) is None, complaint("Sequential._functional")
    model.build((None, 3))
    graph = keras_internals.functional_of(model)
    assert keras_internals.is_functional(graph), complaint("Sequential._functional")


def test_nodes_by_depth_hold_calls_with_their_tensors_and_arguments(functional):
    nodes = keras_internals.nodes_by_depth(functional)
    (last,) = nodes[min(nodes)]
    assert last.operation is functional.get_layer("last"), complaint("Functional._nodes_by_depth")
    assert [tuple(each.shape) for each in last.input_tensors] == [(None, 4)], complaint("Node")
    assert [tuple(each.shape) for each in last.outputs] == [(None, 2)], complaint("Node")
    assert not last.is_input, complaint("Node.is_input")
    assert "training" not in last.arguments.kwargs, complaint("Node.arguments")
    (first,) = nodes[max(nodes)]
    assert first.is_input, complaint("Node.is_input")


def test_a_symbolic_tensor_refers_to_the_layer_that_made_it(functional):
    origin = keras_internals.origin_of(functional.inputs[0])
    assert origin is functional.get_layer("inputs"), complaint("KerasTensor._keras_history")


def test_a_copied_operation_has_no_graph_and_can_be_called(functional):
    relu = next(each for each in functional.operations if type(each).__name__ == "Relu")
    copied = keras_internals.copy_of_operation(relu)
    for name in ("_inbound_nodes", "_outbound_nodes"):
        assert vars(relu)[name], complaint(f"Operation.{name}")
        assert vars(copied)[name] == [], complaint(f"Operation.{name}")
    assert copied(keras.KerasTensor((None, 4))).shape == (None, 4)
    assert len(vars(copied)["_inbound_nodes"]) == 1, complaint("Operation._inbound_nodes")


def test_a_lambda_keeps_the_output_shape_it_was_given():
    layer = layers.Lambda(lambda x: x, output_shape=(5,))
    shape = keras_internals.lambda_output_shape(layer)
    assert tuple(shape) == (5,), complaint("Lambda._output_shape")
    assert keras_internals.lambda_output_shape(layers.Lambda(lambda x: x)) is None


def test_convolutional_lstm_layers_have_cells_of_their_class():
    layer = layers.ConvLSTM2D(2, 1)
    assert type(layer.cell) is keras_internals.CONV_LSTM_CELL, complaint("ConvLSTMCell")


def test_a_layer_lists_its_own_seed_generators():
    layer = layers.Dropout(0.5)
    found = keras_internals.seed_generators(layer)
    assert found == [layer.seed_generator], complaint("Layer._seed_generators")
    assert keras_internals.seed_generators(layers.Dropout(0.0)) == [], complaint(
        "Dropout, which now makes a seed generator for a rate of 0"
    )


def test_the_initial_seed_of_a_generator_can_be_set():
    generator = keras.random.SeedGenerator()
    assert "_initial_seed" in vars(generator), complaint("SeedGenerator._initial_seed")
    keras_internals.set_initial_seed(generator, 7)
    assert vars(generator)["_initial_seed"] == 7


def test_the_global_seed_generator_decides_random_numbers_without_a_seed():
    generator = keras_internals.global_seed_generator()
    before = ops.convert_to_numpy(generator.state)
    numbers = []
    for _ in range(2):
        generator.state.assign([3, 0])
        numbers.append(ops.convert_to_numpy(keras.random.uniform((4,))))
    generator.state.assign(before)
    np.testing.assert_array_equal(*numbers, err_msg=complaint("global_seed_generator"))


def test_spatial_dropout_gives_the_shape_of_its_mask():
    inputs = ops.ones((2, 5, 3))
    shape = keras_internals.noise_shape(layers.SpatialDropout1D(0.5), inputs)
    assert tuple(map(int, shape)) == (2, 1, 3), complaint("SpatialDropout1D._get_noise_shape")


def test_compile_arguments_are_the_objects_that_compile_was_given(functional):
    arguments = keras_internals.compile_arguments(functional)
    assert isinstance(arguments["loss"], keras.losses.Loss), complaint("Model._compile_config")
    assert arguments["metrics"] == ["mse"], complaint("Model._compile_config")
    expected = {"optimizer", "loss", "metrics", "weighted_metrics", "run_eagerly", "jit_compile"}
    assert expected <= set(arguments), complaint("Model._compile_config")


def test_a_metric_keeps_its_function_and_arguments():
    def error(y_true, y_pred, scale):
        return scale * (y_true - y_pred)

    metric = keras.metrics.MeanMetricWrapper(error, scale=2.0)
    found = keras_internals.function_of_metric(metric)
    assert found == (error, {"scale": 2.0}), complaint("MeanMetricWrapper._fn or ._fn_kwargs")


def test_a_loss_keeps_its_arguments():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    arguments = keras_internals.loss_arguments(loss)
    assert arguments["from_logits"] is True, complaint("LossFunctionWrapper._fn_kwargs")
    assert keras_internals.loss_arguments(keras.losses.mean_squared_error) == {}


def test_an_optimizer_keeps_the_schedule_of_its_learning_rate():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    found = keras_internals.learning_rate_of(keras.optimizers.SGD(schedule))
    assert found is schedule, complaint("Optimizer._learning_rate")
    assert keras_internals.learning_rate_of(keras.metrics.Mean()) is None


def test_an_optimizer_reports_which_variables_decay(functional):
    decays = [
        keras_internals.uses_weight_decay(functional.optimizer, variable)
        for variable in functional.get_layer("first").trainable_variables
    ]
    assert decays == [True, False], complaint("Optimizer._use_weight_decay")


def test_an_optimizer_numbers_its_variables():
    variables = [keras.Variable([0.0]), keras.Variable([1.0])]
    optimizer = keras.optimizers.SGD()
    optimizer.build(variables)
    numbers = [keras_internals.variable_index(optimizer, variable) for variable in variables]
    assert numbers == [0, 1], complaint("Optimizer._get_variable_index")


class CountedSGD(keras_internals.UpdatesAllVariables, keras.optimizers.SGD):
    calls = ()

    def update_all(self, grads, variables, learning_rate):
        self.calls = (*self.calls, (len(grads), len(variables), float(learning_rate)))


@pytest.mark.skipif(not ON_TENSORFLOW, reason="a method of Keras's optimizers on TensorFlow")
def test_keras_updates_all_variables_by_one_call_of_the_optimizer():
    optimizer = CountedSGD(0.5)
    variables = [keras.Variable(1.0), keras.Variable([1.0, 2.0])]
    optimizer.build(variables)
    optimizer.apply([ops.convert_to_tensor(1.0), ops.convert_to_tensor([1.0, 1.0])])
    assert optimizer.calls == ((2, 2, 0.5),), complaint("Optimizer._backend_update_step")
    assert float(variables[0].value) == 1.0


@pytest.mark.parametrize(
    ("moments", "name"),
    [(keras_internals.momentums, "_momentums"), (keras_internals.velocities, "_velocities")],
)
@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.Adam, lambda: keras.optimizers.RMSprop(momentum=0.5)]
)
def test_optimizers_have_a_moment_of_each_kind_for_each_variable(optimizer, moments, name):
    variables = [keras.Variable(1.0), keras.Variable([1.0, 2.0])]
    optimizer = optimizer()
    optimizer.build(variables)
    shapes = [tuple(each.shape) for each in moments(optimizer)]
    assert shapes == [(), (2,)], complaint(f"{type(optimizer).__name__}.{name}")


@pytest.mark.skipif(not ON_TENSORFLOW, reason="vocabularies are tables of TensorFlow")
def test_a_lookup_layer_keeps_its_vocabulary_in_a_static_table():
    import tensorflow as tf

    table = keras_internals.lookup_table(layers.StringLookup(vocabulary=["a", "b"]))
    assert isinstance(table, tf.lookup.StaticHashTable), complaint("StringLookup.lookup_table")
    assert keras_internals.lookup_table(layers.Dense(1)) is None


def test_a_symbolic_build_creates_the_variables_of_metrics():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    weights = model.get_weights()
    keras_internals.symbolic_build(model, (np.zeros((1, 3)), np.zeros((1, 2))))
    assert len(model.metrics_variables) == 4, complaint("Model._symbolic_build")
    np.testing.assert_array_equal(weights[0], model.get_weights()[0])


def test_own_trainable_variables_leave_out_those_of_inner_layers():
    block = Block()
    block(np.zeros((1, 2)))
    own = keras_internals.own_trainable_variables(block.first)
    assert len(own) == 2, complaint("Layer._trainable_variables")
    assert keras_internals.own_trainable_variables(block) == [], complaint(
        "Layer._trainable_variables"
    )


@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute exists on TensorFlow only")
def test_a_model_remembers_the_strategy_it_was_created_under():
    import tensorflow as tf

    assert keras_internals.distribute_strategy(keras.Sequential()) is None
    with tf.distribute.OneDeviceStrategy("cpu:0").scope():
        model = keras.Sequential()
    assert keras_internals.distribute_strategy(model) is not None, complaint(
        "Model._distribute_strategy"
    )


def test_layer_names_are_numbered_from_the_start_and_then_continue():
    class Counted(layers.Layer):
        pass

    assert [Counted().name, Counted().name] == ["counted", "counted_1"]
    with keras_internals.fresh_names():
        assert Counted().name == "counted", complaint("naming.reset_uids")
    assert Counted().name == "counted_2", complaint("object_name_uids")


def test_a_built_layer_can_get_more_variables():
    layer = layers.Dense(2)
    layer.build((None, 3))
    with keras_internals.state_may_be_added(layer):
        layer.add_weight(shape=(), trainable=False)
    assert len(layer.weights) == 3, complaint("Layer._tracker")
    with pytest.raises(ValueError, match="already built"):
        layer.add_weight(shape=(), trainable=False)


@pytest.mark.parametrize(
    "attention",
    [layers.MultiHeadAttention(2, 3, dropout=0.4), layers.GroupQueryAttention(3, 2, 1, 0.4)],
)
def test_an_attention_layer_keeps_its_dropout_layer(attention):
    assert keras_internals.dropout_of_attention(layers.Dense(2)) is None
    attention.build((None, 5, 6), (None, 5, 6))
    dropout = keras_internals.dropout_of_attention(attention)
    assert dropout.rate == 0.4, complaint("_dropout_layer")


@pytest.mark.parametrize(
    "attention",
    [layers.MultiHeadAttention(2, 3, dropout=0.0), layers.GroupQueryAttention(3, 2, 1, 0.0)],
)
def test_an_attention_layer_can_be_made_to_call_its_dropout_layer(attention):
    called = []
    x = np.ones((2, 5, 6), "float32")
    attention(x, x)
    dropout = keras_internals.dropout_of_attention(attention)
    dropout.call = lambda scores, training=False: called.append(scores) or scores
    attention(x, x, training=True)
    assert not called, complaint("_compute_attention")
    keras_internals.apply_dropout_at_any_rate(attention)
    attention(x, x, training=True)
    assert len(called) == 1, complaint("_compute_attention")
