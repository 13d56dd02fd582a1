"""Changes of the graph of a model: layers that are added between others, or left out."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.model_graph import flat_layers, is_plain_model


class GraphChanges:
    """What changes in the graph of a model, nested models included."""

    def __init__(self) -> None:
        # By id of the layer or operation; what is added before it also by the index of its input.
        self._before: dict[int, dict[int, keras.Layer]] = defaultdict(dict)
        self._after: dict[int, keras.Layer] = {}
        self._left_out: set[int] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self._before or self._after or self._left_out)

    def add(self, layer: keras.Layer, beside: Any, index: int | None, name: str) -> None:
        """Add a layer.

        Args:
            layer: the layer.
            beside: the layer or operation of the graph beside which it is added.
            index: before which of its inputs; None for after it.
            name: what the place is called, for an error.

        Raises:
            ValueError: a layer has been added there already.
        """
        places = self._after if index is None else self._before[id(beside)]
        key = id(beside) if index is None else index
        if key in places:
            raise ValueError(
                f"expected places that differ, received {name!r}, where {places[key].name!r} was "
                "added already"
            )
        places[key] = layer

    def leave_out(self, layer: keras.Layer) -> None:
        """Leave out a layer whose output has the shape of its input."""
        self._left_out.add(id(layer))

    def applied_to(self, model: keras.Model) -> keras.Model:
        """Build the changed model.

        Args:
            model: a built Sequential or Functional model, whose layers become those of the new
                model, so that it must not be used any more.

        Returns:
            The new model, not compiled.
        """
        rebuilt: dict[int, Any] = {}

        def operation_of(operation: Any) -> Any:
            if id(operation) not in rebuilt:
                rebuilt[id(operation)] = self._rebuilt(operation, operation_of)
            return rebuilt[id(operation)]

        # Keras compiles clones from a serialized configuration, which fails for custom losses.
        layers = [model, *flat_layers(model)]
        trainable = {id(each): each.trainable for each in layers}
        compiled = [each for each in layers if getattr(each, "compiled", 0)]
        for each in compiled:
            each.compiled = False
        try:
            changed: keras.Model = operation_of(model)
        finally:
            for each in compiled:
                each.compiled = True
        # Freezing a layer freezes the layers inside it, which come after it here.
        for each in layers:
            new = rebuilt.get(id(each), each)
            if new.trainable != trainable[id(each)]:
                new.trainable = trainable[id(each)]
        return changed

    def _touches(self, model: Any) -> bool:
        """Whether anything changes in a model."""
        ids = self._before.keys() | self._after.keys() | self._left_out
        inner = model.layers if isinstance(model, keras.Sequential) else model.operations
        return any(
            id(each) in ids or (is_plain_model(each) and self._touches(each)) for each in inner
        )

    def _rebuilt(self, operation: Any, operation_of: Callable[[Any], Any]) -> Any:
        if not isinstance(operation, keras.Layer):
            return keras_internals.copy_of_operation(operation)
        keras_internals.forget_calls(operation)
        if not is_plain_model(operation) or not self._touches(operation):
            return operation
        build = self._sequential if isinstance(operation, keras.Sequential) else self._functional
        return build(operation, operation_of)

    def _sequential(
        self, model: keras.Sequential, operation_of: Callable[[Any], Any]
    ) -> keras.Sequential:
        first = model.inputs[0]
        layers = [keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)]
        for layer in model.layers:
            layers += self._before.get(id(layer), {}).values()
            if id(layer) not in self._left_out:
                layers.append(operation_of(layer))
            if id(layer) in self._after:
                layers.append(self._after[id(layer)])
        return keras.Sequential(layers, name=model.name)

    def _functional(self, model: keras.Model, operation_of: Callable[[Any], Any]) -> keras.Model:
        originals: dict[int, int] = {}

        def new_operation(operation: Any) -> Any:
            new = operation_of(operation)
            originals[id(new)] = id(operation)
            return new

        def call(new: Any, *args: Any, **kwargs: Any) -> Any:
            original = originals[id(new)]
            args, kwargs = self._with_added(original, args, kwargs)
            if original in self._left_out:
                tensors = keras.tree.flatten((args, kwargs))
                return next(each for each in tensors if isinstance(each, keras.KerasTensor))
            outputs = new(*args, **kwargs)
            added = self._after.get(original)
            return outputs if added is None else keras.tree.map_structure(added, outputs)

        return keras.models.clone_model(model, clone_function=new_operation, call_function=call)

    def _with_added(self, original: int, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments of a call, after the layers that are added before it."""
        added = self._before.get(original)
        if added is None:
            return args, kwargs
        count = itertools.count()

        def with_added(value: Any) -> Any:
            if not isinstance(value, keras.KerasTensor):
                return value
            layer = added.get(next(count))
            return value if layer is None else layer(value)

        changed: tuple[Any, Any] = keras.tree.map_structure(with_added, (args, kwargs))
        return changed
