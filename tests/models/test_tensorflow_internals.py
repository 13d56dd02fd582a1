"""What `dropout_zoo.models` expects of the private parts of TensorFlow."""

import re

import keras
import numpy as np
import pytest

from dropout_zoo.models import tensorflow_internals

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a test of TensorFlow"
)
COMPLAINT = (
    "this version of TensorFlow has changed _list_all_concrete_functions of tf.function; see "
    "dropout_zoo/models/tensorflow_internals.py"
)


def test_a_traced_function_lists_its_graphs():
    import tensorflow as tf

    double = tf.function(lambda x: 2 * x)
    assert tensorflow_internals.is_traceable(double), COMPLAINT
    assert tensorflow_internals.concrete_functions(double) == [], COMPLAINT
    double(tf.constant(1.0))
    (traced,) = tensorflow_internals.concrete_functions(double)
    assert traced.graph.as_graph_def().node, COMPLAINT


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
    assert functions, (
        "this version of Keras no longer encloses its traced step in Model.train_function; see "
        "dropout_zoo/models/tensorflow_internals.py"
    )
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
    assert found == {"outer/half": 0.5, "while/three": 3.0}, (
        "this version of TensorFlow has changed the serialized form of graphs; see "
        "dropout_zoo/models/tensorflow_internals.py"
    )
