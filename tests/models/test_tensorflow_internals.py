"""What `dropout_zoo.models` expects of the private parts of TensorFlow."""

import keras
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
