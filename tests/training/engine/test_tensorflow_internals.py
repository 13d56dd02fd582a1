"""Canaries: what the loops use of TensorFlow and of Keras's optimizers beyond the public API."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dropout_zoo.training.engine.tensorflow import internals

MODULE = "training/engine/tensorflow/internals.py"


def changed(name):
    return f"{name} works differently in this version of TensorFlow or Keras: adapt {MODULE}"


@pytest.fixture
def scaled():
    """A traced function that multiplies by a variable, and the variable."""
    factor = tf.Variable(2.0)
    spec = tf.TensorSpec([], tf.float32)
    traced = tf.function(lambda x: x * factor, autograph=False).get_concrete_function(spec)
    return traced, factor


def test_a_concrete_function_lists_the_variables_that_it_reads(scaled):
    function, factor = scaled
    inputs = internals.captured_inputs(function)
    assert [id(each) for each in inputs] == [id(internals.resource_handle(factor))], changed(
        "ConcreteFunction.captured_inputs"
    )


def test_the_table_of_a_lookup_layer_is_a_static_one_that_functions_capture():
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    spec = tf.TensorSpec([], tf.string)
    function = tf.function(lookup, autograph=False).get_concrete_function(spec)
    handles = [id(each) for each in internals.captured_inputs(function)]
    assert id(internals.table_handle(lookup)) in handles, changed("StringLookup.lookup_table")
    assert internals.table_handle(keras.layers.Dense(1)) is None


def test_a_copy_of_a_concrete_function_reads_other_variables(scaled):
    function, _ = scaled
    other = tf.Variable(5.0)
    copied = internals.with_captured_inputs(function, [internals.resource_handle(other)])
    message = changed("ConcreteFunction.set_external_captures")
    assert float(copied(tf.constant(1.0))) == 5.0, message
    other.assign(7.0)
    assert float(copied(tf.constant(1.0))) == 7.0, message
    assert float(function(tf.constant(1.0))) == 2.0, message
    assert copied.graph is function.graph, message


def test_the_types_of_operations_include_those_of_inner_functions():
    @tf.function
    def inner(x):
        return tf.sin(x)

    spec = tf.TensorSpec([], tf.float32)
    function = tf.function(lambda x: tf.cos(inner(x)), autograph=False).get_concrete_function(spec)
    assert {"Sin", "Cos"} <= internals.operation_types(function), changed("ConcreteFunction.graph")


def test_kernels_take_the_handles_of_variables_of_both_libraries():
    for variable in (tf.Variable([1.0]), keras.Variable([1.0])):
        handle = internals.resource_handle(variable)
        assert handle.dtype == tf.resource, changed("tf.Variable.handle")
        tf.raw_ops.ResourceApplyGradientDescent(var=handle, alpha=1.0, delta=[0.25])
        assert np.array(variable)[0] == 0.75, changed("tf.Variable.handle")


class CountedSGD(internals.UpdatesAllVariables, keras.optimizers.SGD):
    calls = ()

    def update_all(self, grads, variables, learning_rate):
        self.calls = (*self.calls, (len(grads), len(variables), float(learning_rate)))


def test_keras_updates_all_variables_by_one_call_of_the_optimizer():
    optimizer = CountedSGD(0.5)
    variables = [keras.Variable(1.0), keras.Variable([1.0, 2.0])]
    optimizer.build(variables)
    optimizer.apply([tf.constant(1.0), tf.constant([1.0, 1.0])])
    assert optimizer.calls == ((2, 2, 0.5),), changed("Optimizer._backend_update_step")
    assert float(variables[0].value) == 1.0


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.Adam(), keras.optimizers.RMSprop(momentum=0.5)]
)
def test_optimizers_have_a_moment_of_each_kind_for_each_variable(optimizer):
    variables = [keras.Variable(1.0), keras.Variable([1.0, 2.0])]
    optimizer.build(variables)
    for name in ("momentums", "velocities"):
        moments = getattr(internals, name)(optimizer)
        assert [each.shape for each in moments] == [(), (2,)], changed(f"Optimizer._{name}")
