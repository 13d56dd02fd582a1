"""What this project expects of the private parts of TensorFlow, one test for each."""

import re

import keras
import numpy as np
import pytest

from dropout_zoo.models import tensorflow_internals

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a test of TensorFlow"
)


def complaint(name, library="TensorFlow"):
    return (
        f"this version of {library} has changed {name}; see "
        "dropout_zoo/models/tensorflow_internals.py"
    )


LISTS_NO_GRAPHS = complaint("tf.function._list_all_concrete_functions")


@pytest.fixture
def multiplication():
    """A concrete function that multiplies by a variable, and the variable."""
    import tensorflow as tf

    factor = tf.Variable(2.0)
    spec = tf.TensorSpec([], tf.float32)
    traced = tf.function(lambda x: x * factor, autograph=False).get_concrete_function(spec)
    return traced, factor


def test_layers_keep_the_bookkeeping_of_checkpoints_in_attributes_of_one_prefix():
    layer = keras.layers.Dense(2)
    layer.held = [1]
    of_tracking = [name for name in vars(layer) if tensorflow_internals.is_of_tracking(name)]
    assert "_self_setattr_tracking" in of_tracking and "held" not in of_tracking


def test_a_traced_function_lists_its_graphs():
    import tensorflow as tf

    double = tf.function(lambda x: 2 * x)
    assert tensorflow_internals.is_traceable(double), LISTS_NO_GRAPHS
    assert tensorflow_internals.concrete_functions(double) == [], LISTS_NO_GRAPHS
    double(tf.constant(1.0))
    (traced,) = tensorflow_internals.concrete_functions(double)
    assert traced.graph.as_graph_def().node, LISTS_NO_GRAPHS


def test_a_plain_function_cannot_be_traced():
    assert not tensorflow_internals.is_traceable(len)


def test_the_train_function_of_keras_encloses_its_traced_step():
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1)(keras.layers.Dropout(0.375, name="drop")(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    assert list(tensorflow_internals.traced_functions(None, apart_from=keras.Layer)) == []
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    functions = list(
        tensorflow_internals.traced_functions(model.train_function, apart_from=keras.Layer)
    )
    assert functions, complaint("what Model.train_function encloses", "Keras")
    rates = [
        constant
        for function in functions
        for constant in tensorflow_internals.constants_of(
            function, re.compile("drop(_\\d+)?/.*Equal/y$")
        )
    ]
    assert {value for _, value in rates} == {0.375}


def test_constants_are_found_in_inner_functions_as_well():
    import tensorflow as tf

    @tf.function
    def scaled(x):
        with tf.name_scope("outer"):
            x = x * tf.constant(0.5, name="half")
        return tf.while_loop(
            lambda x: x < 10.0, lambda x: (x * tf.constant(3.0, name="three"),), (x,)
        )

    scaled(tf.constant(1.0))
    found = dict(tensorflow_internals.constants_of(scaled, re.compile("half$|three$")))
    assert found == {"outer/half": 0.5, "while/three": 3.0}, complaint(
        "the serialized form of graphs"
    )


def test_a_concrete_function_lists_the_variables_that_it_reads(multiplication):
    function, factor = multiplication
    inputs = tensorflow_internals.captured_inputs(function)
    handle = tensorflow_internals.resource_handle(factor)
    assert [id(each) for each in inputs] == [id(handle)], complaint(
        "ConcreteFunction.captured_inputs"
    )


def test_a_copy_of_a_concrete_function_reads_other_variables(multiplication):
    import tensorflow as tf

    function, _ = multiplication
    other = tf.Variable(5.0)
    handle = tensorflow_internals.resource_handle(other)
    copied = tensorflow_internals.with_captured_inputs(function, [handle])
    changed = complaint("ConcreteFunction.set_external_captures")
    assert float(copied(tf.constant(1.0))) == 5.0, changed
    other.assign(7.0)
    assert float(copied(tf.constant(1.0))) == 7.0, changed
    assert float(function(tf.constant(1.0))) == 2.0, changed
    assert copied.graph is function.graph, changed


def test_the_types_of_operations_include_those_of_inner_functions():
    import tensorflow as tf

    @tf.function
    def inner(x):
        return tf.sin(x)

    spec = tf.TensorSpec([], tf.float32)
    function = tf.function(lambda x: tf.cos(inner(x)), autograph=False).get_concrete_function(spec)
    assert {"Sin", "Cos"} <= tensorflow_internals.operation_types(function), complaint(
        "ConcreteFunction.graph"
    )


def test_kernels_take_the_handle_of_a_variable():
    import tensorflow as tf

    variable = tf.Variable([1.0])
    handle = tensorflow_internals.resource_handle(variable)
    assert handle.dtype == tf.resource, complaint("tf.Variable.handle")
    tf.raw_ops.ResourceApplyGradientDescent(var=handle, alpha=1.0, delta=[0.25])
    assert variable.numpy() == [0.75], complaint("tf.Variable.handle")


def test_functions_capture_the_handle_of_a_table_that_cannot_change():
    import tensorflow as tf

    words = tf.lookup.KeyValueTensorInitializer(["a", "b"], [0, 1])
    table = tf.lookup.StaticHashTable(words, -1)
    spec = tf.TensorSpec([], tf.string)
    function = tf.function(table.lookup, autograph=False).get_concrete_function(spec)
    handles = [id(each) for each in tensorflow_internals.captured_inputs(function)]
    assert id(tensorflow_internals.static_table_handle(table)) in handles, complaint(
        "StaticHashTable.resource_handle"
    )


def test_a_table_that_can_change_has_no_static_handle():
    import tensorflow as tf

    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    assert tensorflow_internals.static_table_handle(table) is None
    assert tensorflow_internals.static_table_handle(None) is None
