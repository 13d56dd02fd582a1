"""Private attributes and functions of Keras that this project uses, all in one place.

None of them has a public equivalent; the docstring of each function gives the reason. Each is
tested in `tests/models/test_keras_internals.py`, so that a version of Keras that changes one
fails there with a clear message. Code elsewhere calls these functions and touches no private name
of Keras itself.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import Variable
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell
from keras.src.random import seed_generator as keras_seed_generator
from keras.src.utils import naming

CONV_LSTM_CELL = ConvLSTMCell
"""The class of the cells of `ConvLSTM1D`, `2D` and `3D`, which has no public name."""

_NODES = "_nodes_by_depth"
_NAME_COUNTS = "object_name_uids"


class VariableCount:
    """How many values the variables hold that were created during `limited_variables`.

    Attributes:
        limit: the largest number allowed.
        values: the number so far, with those of the variable that was refused.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.values = 0


@contextmanager
def limited_variables(limit: int) -> Iterator[VariableCount]:
    """Refuse new variables of this thread beyond a number of values, before they take memory.

    Nothing public is called between the shape of a variable and its initial value.

    Args:
        limit: the largest number of values in all new variables together.

    Yields:
        The count of the values.
    """
    count, thread = VariableCount(limit), threading.get_ident()
    with _LIMITING:  # two threads would restore each other's method
        validate = Variable._validate_shape

        def counted(self: Any, shape: Any) -> Any:
            checked = validate(self, shape)
            if threading.get_ident() == thread:
                count.values += math.prod(checked)
                if count.values > limit:
                    raise ValueError(
                        f"expected at most {limit:,} values, received {count.values:,}"
                    )
            return checked

        Variable._validate_shape = counted
        try:
            yield count
        finally:
            Variable._validate_shape = validate


_LIMITING = threading.RLock()


def direct_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layers that a layer holds itself, in the order in which they were attached.

    Only models have a public `layers`; composite layers do not.
    """
    return list(layer._layers)


def nested_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layers inside a layer at any depth, each once, in the same order as in its clones.

    The public `Model.layers` stops at the first level.
    """
    return list(layer._flatten_layers(include_self=False))


def layer_attributes(layer: keras.Layer) -> dict[str, Any]:
    """The attributes of a layer that may hold other layers, without the backends' bookkeeping.

    Keras names no attribute publicly as the holder of an inner layer, and inner layers have no
    stable names of their own.
    """
    # On PyTorch a Keras layer is a torch.nn.Module, which keeps inner modules in `_modules`. On
    # TensorFlow the tracking of checkpoints adds attributes that begin with `_self_`.
    attributes = {**vars(layer).get("_modules", {}), **vars(layer)}
    return {
        name: value
        for name, value in attributes.items()
        if name != "_layers" and not name.startswith("_self_")
    }


def is_functional(model: keras.Model) -> bool:
    """Whether a model is Functional; the class of such models has no public name."""
    return hasattr(model, _NODES)


def functional_of(sequential: keras.Sequential) -> keras.Model | None:
    """The Functional model in which a Sequential keeps its graph; None until it is built."""
    return sequential._functional


def nodes_by_depth(model: keras.Model) -> Mapping[int, Sequence[Any]]:
    """The calls in the graph of a Functional model, by distance from its outputs.

    The public configuration has the graph by names, without tensors and shapes.
    """
    nodes: Mapping[int, Sequence[Any]] = getattr(model, _NODES)
    return nodes


def origin_of(tensor: Any) -> Any:
    """The layer or operation that produced a symbolic tensor."""
    return tensor._keras_history.operation


def copy_of_operation(operation: Any) -> Any:
    """Copy a function of `keras.ops` in a graph, without the graphs that it is part of.

    These operations cannot be rebuilt from a configuration. Each remembers every graph it was
    called in, and through these the weights of their layers.
    """
    copied = object.__new__(type(operation))
    vars(copied).update(vars(operation), _inbound_nodes=[], _outbound_nodes=[])
    return copied


def forget_calls(operation: Any) -> None:
    """Have a layer or operation forget the graphs in which it was called.

    It would otherwise have the output that it had in the first of them, in a new graph too.
    """
    operation._inbound_nodes.clear()
    operation._outbound_nodes.clear()


@contextmanager
def state_may_be_added(layer: keras.Layer) -> Iterator[None]:
    """Allow variables to be added to a built layer, which Keras forbids."""
    tracker = layer._tracker
    locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        if locked:
            tracker.lock()


def set_dropout_rate(layer: keras.Layer, argument: str, rate: float) -> None:
    """Change a rate of a layer that has not been called in training.

    Keras creates what draws the masks only for rates other than 0, which no public method does
    later.
    """
    setattr(layer, argument, rate)
    if rate > 0 and not seed_generators(layer):
        with state_may_be_added(layer):
            layer.seed_generator = keras.random.SeedGenerator(getattr(layer, "seed", None))


def set_attention_rate(attention: keras.layers.Layer, rate: float) -> None:
    """Set the number by which an attention layer tells whether it has dropout.

    The rate itself is that of the dropout layer inside it.
    """
    setattr(attention, _rate_of_attention(attention), rate)


def _rate_of_attention(attention: keras.layers.Layer) -> str:
    return "_dropout" if isinstance(attention, keras.layers.MultiHeadAttention) else "dropout"


def names_of_attention_rate(attention: keras.layers.Layer) -> set[str]:
    """The attributes from which the code of an attention layer may read its rate."""
    return {"dropout", _rate_of_attention(attention)}


def dropout_of_attention(layer: keras.Layer) -> keras.layers.Dropout | None:
    """The dropout layer inside a built attention layer; no public attribute returns it."""
    return getattr(layer, "_dropout_layer", None)


def apply_dropout_at_any_rate(attention: keras.layers.Layer) -> None:
    """Make an attention layer call its dropout layer, which Keras skips at a rate of 0.

    Without dropout, Keras computes the attention with a different function.
    """
    name = _rate_of_attention(attention)
    if getattr(attention, name) == 0:
        setattr(attention, name, 0.5)  # any rate: the dropout layer has its own


class DropsAttentionWeights:
    """Mixin of `Attention` and `AdditiveAttention` that drop their weights in a way of their own.

    Keras applies their dropout inside a private method, in which nothing can be exchanged.
    """

    def _apply_scores(
        self, scores: Any, value: Any, scores_mask: Any = None, training: bool = False
    ) -> tuple[Any, Any]:
        outputs, weights = super()._apply_scores(scores, value, scores_mask)  # type: ignore[misc]
        if training:  # graphs leave out the product without dropout, which nothing uses
            weights = self.with_dropout(weights)
            outputs = keras.ops.matmul(weights, value)
        return outputs, weights

    def with_dropout(self, weights: Any) -> Any:
        """Apply dropout to attention weights.

        Args:
            weights: the weights, of shape ``(batch, queries, values)``.
        """
        raise NotImplementedError


def lambda_output_shape(layer: keras.layers.Lambda) -> Any:
    """The `output_shape` argument of a `Lambda`, which no public attribute returns."""
    return layer._output_shape


def seed_generators(layer: keras.Layer) -> list[keras.random.SeedGenerator]:
    """The seed generators of a layer, not those of layers inside it, under whatever attribute."""
    return list(layer._seed_generators)


def set_initial_seed(generator: keras.random.SeedGenerator, seed: int) -> None:
    """Record that a generator was given a seed.

    On PyTorch, Keras's dropout ignores the state of a generator that was created without one.
    """
    generator._initial_seed = seed


def global_seed_generator() -> keras.random.SeedGenerator:
    """The generator behind Keras's random functions that are called without a seed.

    `keras.random` does not export it, and its state has to be saved and restored.
    """
    return keras_seed_generator.global_seed_generator()


def noise_shape(layer: keras.layers.Dropout, inputs: Any) -> Sequence[Any]:
    """The shape of the mask of a spatial dropout layer for some inputs, which only it knows."""
    shape: Sequence[Any] = layer._get_noise_shape(inputs)
    return shape


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """The arguments of `compile` as objects; the public `get_compile_config` serializes them."""
    return dict(model._compile_config.config)


def function_of_metric(metric: keras.metrics.MeanMetricWrapper) -> tuple[Any, dict[str, Any]]:
    """The function of a metric and its keyword arguments, which are public in losses only."""
    return metric._fn, metric._fn_kwargs


def loss_arguments(loss: Any) -> Mapping[str, Any]:
    """The keyword arguments of the function in a loss of Keras, such as ``from_logits``.

    Empty for losses that do not wrap a function. The public configuration names only those that the
    class of the loss declares.
    """
    return getattr(loss, "_fn_kwargs", {})


def learning_rate_of(optimizer: Any) -> Any:
    """The learning rate as it was given; None if the object is not an optimizer.

    The public property returns the current value in place of a schedule.
    """
    return getattr(optimizer, "_learning_rate", None)


def uses_weight_decay(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> bool:
    """Whether weight decay applies to a variable; exclusions can be set, but not read."""
    return bool(optimizer._use_weight_decay(variable))


def variable_index(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> int:
    """The position of a variable in an optimizer's slots, for a custom `update_step`."""
    return int(optimizer._get_variable_index(variable))


class UpdatesAllVariables:
    """Mixin of an optimizer of Keras that updates all of its variables in one method.

    The public `update_step` handles one variable at a time, and repeats work that they all share.
    Keras's TensorFlow optimizers call `_backend_update_step` once.
    """

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        self.update_all(grads, trainable_variables, learning_rate)

    def update_all(
        self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Update variables.

        Args:
            grads: the gradient of each variable.
            variables: the variables.
            learning_rate: the learning rate, a tensor.
        """
        raise NotImplementedError


def momentums(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The first moments of Adam or RMSprop, one per variable; Keras names them for itself only."""
    return list(optimizer._momentums)


def velocities(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The second moments of Adam or RMSprop, one per variable; see `momentums`."""
    return list(optimizer._velocities)


def lookup_table(layer: keras.Layer) -> Any:
    """The table of `StringLookup` or `IntegerLookup`, one of which `TextVectorization` holds.

    Keras does not document it. None for other layers.
    """
    return getattr(layer, "lookup_table", None)


def symbolic_build(model: keras.Model, data_batch: Any) -> None:
    """Create the variables of a compiled model's metrics, as `fit` does with its first batch.

    A traced program must not create them, and no public method does without training.
    """
    model._symbolic_build(data_batch=data_batch)


def own_trainable_variables(layer: keras.Layer) -> list[keras.Variable]:
    """The trainable variables of a layer itself, without those of layers inside it."""
    return list(layer._trainable_variables)


def distribute_strategy(model: keras.Model) -> Any:
    """The `tf.distribute` strategy a model was created under (TensorFlow); None without one."""
    return model._distribute_strategy


@contextmanager
def fresh_names() -> Iterator[None]:
    """Let Keras number the names of layers and metrics from the start, as in a new process.

    `keras.backend.clear_session` does that too, but also forgets the distribution, the dtype policy
    and the seed generator, and does not restore the counters.
    """
    before = global_state.get_global_attribute(_NAME_COUNTS)
    naming.reset_uids()
    try:
        yield
    finally:
        global_state.set_global_attribute(_NAME_COUNTS, before)
