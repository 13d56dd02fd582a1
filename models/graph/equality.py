"""Decide whether models are provably equal, even with user-defined code.

`model_fingerprint` identifies a model in a run's record and skips what it cannot read; here, what
cannot be read never counts as equal.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import (
    flat_layers,
    has_fixed_weights,
    is_plain_model,
    own_weights,
)
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY
from dropout_zoo.models.graph.user_code import (
    bytecode,
    enclosed_values,
    holds_own,
    is_code,
    is_data,
    is_made_from_another,
    is_own,
    is_own_module,
    is_users_ufunc,
    names_in_code,
    wraps,
)
from dropout_zoo.models.layers.drop_connect import DropConnect
from dropout_zoo.models.tensorflow_internals import is_of_tracking

_WITH_STATE = (keras.Layer, keras.metrics.Metric, keras.optimizers.Optimizer)
_OF_KERAS = (
    keras.losses.Loss, keras.initializers.Initializer, keras.regularizers.Regularizer,
    keras.constraints.Constraint, keras.optimizers.schedules.LearningRateSchedule,
    keras.Operation,
)  # fmt: skip
# What Python itself keeps in the namespace of a class.
_OF_PYTHON = (
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__",
    "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl",
    "__orig_bases__", "__parameters__",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ModelReading:
    """What determines how a model is trained, as far as it can be read.

    Attributes:
        digest: equal for models that are equal in everything that could be read.
        unread: the objects that could not be read, in the order in which they were encountered.
        has_own_code: whether the model contains user-defined classes or functions.
        can_change: whether this code refers to something outside the model that other code may
            change, such as a global variable or the hypermodel that built it.
    """

    digest: str
    unread: tuple[Any, ...]
    has_own_code: bool
    can_change: bool

    def equals(self, other: ModelReading) -> bool:
        """Return whether two models are equal, given that unread objects equal only themselves."""
        same = len(self.unread) == len(other.unread) and all(
            one is another for one, another in zip(self.unread, other.unread, strict=True)
        )
        return self.digest == other.digest and same


def read_model(model: keras.Model, *, rates: bool = True, weights: str = "all") -> ModelReading:
    """Read a model: layers, graph, weights and how it is compiled, including user-defined code.

    Functions are read with their closures and the globals they refer to; user-defined objects with
    their attributes.

    Args:
        model: a Sequential or Functional model.
        rates: whether the rates of dropout layers are part of it.
        weights: which weights to include: ``"all"``, or only ``"fixed"`` ones, which are kept when
            fresh weights are drawn.

    Returns:
        The reading.
    """
    reader = _Reader(model, rates)
    parts = [reader.layer(layer, weights) for layer in reader.layers]
    text = json.dumps([parts, reader.graphs(), reader.compiled()])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return ModelReading(digest, tuple(reader.unread), reader.has_own_code, reader.can_change)


class _Reader:
    """Reads objects as plain data that JSON can hold."""

    def __init__(self, model: keras.Model, rates: bool) -> None:
        self.unread: list[Any] = []
        self.has_own_code = False
        self.can_change = False
        self.layers = [model, *flat_layers(model)]
        self._rates = rates
        self._places = {id(layer): place for place, layer in enumerate(self.layers)}
        self._tensors: dict[int, int] = {}
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []  # keeps objects alive, so that ids are not reused

    def layer(self, layer: keras.Layer, weights: str) -> Any:
        """Read a layer of the model, without the layers inside it."""
        values = weights == "all" or has_fixed_weights(layer)
        own = own_weights(layer)
        return [
            self._instance(layer),
            [self._array(weight) if values else _shape(weight) for weight in own],
            [bool(weight.trainable) for weight in own],
            [self.read((weight.regularizer, weight.constraint)) for weight in own],
            self.read(layer.get_vocabulary()) if hasattr(layer, "get_vocabulary") else None,
        ]

    def graphs(self) -> list[Any]:
        """Read the calls in the graph of the model and of each model inside it."""
        models = [each for each in self.layers if is_plain_model(each)]
        functional = [
            keras_internals.functional_of(each) if isinstance(each, keras.Sequential) else each
            for each in models
        ]
        return [None if each is None else self._graph(each) for each in functional]

    def _graph(self, model: Any) -> Any:
        self._tensors = {id(x): place for place, x in enumerate(keras.tree.flatten(model.inputs))}
        calls = []
        nodes = keras_internals.nodes_by_depth(model)
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
                for tensor in node.outputs:
                    self._tensors.setdefault(id(tensor), len(self._tensors))
                if not node.is_input:
                    given = node.arguments
                    calls.append(list(map(self.read, (node.operation, given.args, given.kwargs))))
        return [calls, self.read(model.outputs)]

    def compiled(self) -> Any:
        """Read how the model is compiled; None if it is not."""
        model = self.layers[0]
        if not model.compiled:
            return None
        arguments = keras_internals.compile_arguments(model)
        optimizer = arguments["optimizer"] = model.optimizer
        decayed = None
        if getattr(optimizer, "weight_decay", None):
            decayed = [
                keras_internals.uses_weight_decay(optimizer, variable)
                for variable in model.trainable_variables
            ]
        return [self.read(arguments), decayed]

    def read(self, value: Any) -> Any:
        """Read any object."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return [type(value).__name__, repr(value)]
        if isinstance(value, keras.KerasTensor):
            return ["tensor", self._tensors.get(id(value), repr(value))]
        if isinstance(value, np.ndarray | np.generic | keras.Variable) or keras.ops.is_tensor(
            value
        ):
            return self._array(value)
        if isinstance(value, slice):
            return ["slice", *map(self.read, (value.start, value.stop, value.step))]
        if id(value) in self._places:
            return ["layer", self._places[id(value)]]
        if id(value) in self._met:
            return ["again", self._met[id(value)]]
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        if isinstance(value, Mapping):
            return ["mapping", [[self.read(key), self.read(value[key])] for key in value]]
        if isinstance(value, list | tuple):
            return ["sequence", [self.read(entry) for entry in value]]
        if isinstance(value, set | frozenset):
            return ["set", [self.read(entry) for entry in sorted(value, key=repr)]]
        return self._code(value) or self._object(value)

    def _array(self, value: Any) -> Any:
        try:
            array = np.asarray(keras.ops.convert_to_numpy(value))
        except Exception:  # a symbolic tensor, or one that was deleted
            return self._unreadable(value)
        if array.dtype.hasobject:
            return ["array", array.shape, self.read(array.tolist())]
        return ["array", *_shape(array), hashlib.sha256(array.tobytes()).hexdigest()]

    def _unreadable(self, value: Any) -> Any:
        self.unread.append(value)
        return ["unread"]

    def _code(self, value: Any) -> Any:
        """Read a function, class or module; None if the object is none of these."""
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if isinstance(value, np.dtype) or type(value).__name__ == "DType":
            return ["dtype", repr(value)]
        if isinstance(value, np.ufunc) and not is_users_ufunc(value):
            return ["function", "numpy", value.__name__]
        if isinstance(value, FunctionType | BuiltinFunctionType | type) and not is_own(value):
            enclosed = enclosed_values(value) if is_made_from_another(value) else []
            return ["known", value.__module__, value.__qualname__, self.read(enclosed)]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        return self._wrapped(value)

    def _wrapped(self, value: Any) -> Any:
        """Read what wraps a function; None if the object does not."""
        if isinstance(value, functools.partial):
            return ["partial", *map(self.read, (value.func, value.args, value.keywords))]
        if isinstance(value, MethodType):
            return ["method", self.read(value.__func__), self.read(value.__self__)]
        if isinstance(value, classmethod | staticmethod):
            return [type(value).__name__, self.read(value.__func__)]
        if isinstance(value, property):
            return ["property", *map(self.read, (value.fget, value.fset))]
        return None

    def _function(self, function: FunctionType) -> Any:
        self.has_own_code = True
        enclosed = enclosed_values(function)
        code = function.__code__
        names = sorted(names_in_code(code))
        read_globals = {
            name: function.__globals__[name] for name in names if name in function.__globals__
        }
        for name, module in list(read_globals.items()):
            if isinstance(module, ModuleType) and is_own_module(module):
                held = {
                    f"{name}.{each}": vars(module)[each] for each in names if each in vars(module)
                }
                read_globals |= {each: value for each, value in held.items() if not is_code(value)}
        given = (enclosed, function.__defaults__, function.__kwdefaults__, vars(function))
        # Constants that a function encloses are those of the call that made it.
        self.can_change |= not all(map(is_code, read_globals.values())) or any(
            isinstance(value, Mapping | list | set) for value in enclosed
        )
        return ["function", bytecode(code), self.read(read_globals), *map(self.read, given)]

    def _class(self, kind: type) -> Any:
        self.has_own_code = True
        members = {name: value for name, value in vars(kind).items() if name not in _OF_PYTHON}
        self.can_change |= any(is_data(name, value) for name, value in members.items())
        return ["class", kind.__qualname__, self.read(kind.__bases__), self.read(members)]

    def _object(self, value: Any) -> Any:
        if isinstance(value, keras.Layer):  # a layer that is not part of the model
            return self._unreadable(value)
        if isinstance(value, keras.random.SeedGenerator):  # the seed of the member replaces its own
            return ["seed generator"]
        return self._instance(value)

    def _instance(self, value: Any) -> Any:
        """Read an object by its configuration and those of its attributes that are not Keras's."""
        kind = type(value)
        if not hasattr(value, "__dict__"):
            return self._unreadable(value)
        if not is_own(kind):
            if kind.__module__.partition(".")[0] not in ("keras", "dropout_zoo"):
                return self._unreadable(value)
            kept_by_keras = _bookkeeping()
            held = {
                name: each
                for name, each in vars(value).items()
                if holds_own(each)
                or (name not in kept_by_keras and not is_of_tracking(name) and wraps(each))
            }
            return [kind.__qualname__, self._config(value), self.read(held)]
        self.can_change |= not isinstance(value, (*_WITH_STATE, *_OF_KERAS))
        bookkeeping = _bookkeeping()
        held = {
            name: each
            for name, each in vars(value).items()
            if not is_of_tracking(name)
            and not (isinstance(value, _WITH_STATE) and (name in bookkeeping or _is_state(each)))
        }
        return [self.read(kind), self._config(value), self.read(dict(sorted(held.items())))]

    def _config(self, value: Any) -> Any:
        if not hasattr(value, "get_config"):
            return None
        if is_plain_model(value):  # its layers and its graph are read one by one
            return None
        if isinstance(value, keras.Operation) and not isinstance(value, keras.Layer):
            held = {k: v for k, v in vars(value).items() if not k.startswith("_") and k != "name"}
            return self.read(held)  # Keras numbers their names too
        try:
            config = dict(value.get_config())
        except Exception:  # a user's object that cannot be saved; its attributes are read
            return None if is_own(type(value)) else self._unreadable(value)
        if not self._rates and isinstance(value, (*DROPOUT_FAMILY, DropConnect)):
            config.pop("rate", None)
        if isinstance(value, keras.Layer | keras.optimizers.Optimizer):
            config.pop("name", None)  # Keras numbers them, inside layers in each clone too
        extra: Any = keras_internals.loss_arguments(value)
        if type(value) is keras.metrics.MeanMetricWrapper:
            extra = keras_internals.function_of_metric(value)
        return [self.read(config), self.read(extra)]


def _shape(value: Any) -> list[Any]:
    return [list(value.shape), str(value.dtype)]


def _is_state(value: Any) -> bool:
    """Whether an attribute holds variables, whose values are read as the weights of a layer."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return all(map(_is_state, value))
    return isinstance(value, keras.Variable)


@functools.cache
def _bookkeeping() -> frozenset[str]:
    """The attributes that Keras itself gives to each layer, model, metric and optimizer."""

    class Layer(keras.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    layer, metric, optimizer = Layer(), keras.metrics.Mean(), keras.optimizers.SGD()
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layer(inputs))
    model.compile(optimizer, "mse")
    optimizer.build([])
    # What Keras adds when a model is trained or evaluated, or when a subclass uses its layers.
    later = (
        "history", "stop_training", "stop_evaluating", "stop_predicting", "_functional_layer_ids",
    )  # fmt: skip
    return frozenset(name for each in (layer, model, metric, optimizer) for name in vars(each)) | {
        *later
    }
