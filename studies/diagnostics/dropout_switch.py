"""Dropout switched on and off at fixed weights, with all other layers at inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY, DROPPING_DENSE

# A recurrent layer drops inside its cell; nothing else in it depends on `training`.
_DROPPING: tuple[type[keras.Layer], ...] = (
    *DROPOUT_FAMILY,
    *DROPPING_DENSE,
    keras.layers.Attention,
    keras.layers.RNN,
)


class DropoutSwitch:
    """Switches all dropout of a model on and off.

    Other layers that depend on `training`, such as batch normalization, stay at inference, so that
    any difference is due to dropout alone. The model is changed, and runs eagerly: pass a copy.

    Args:
        model: a built model, such as the one returned by `TrainedMember.model`.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._on = False
        model.run_eagerly = True
        for layer in flat_layers(model):
            if isinstance(layer, _DROPPING):
                layer.call = self._switched(layer.call)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Switch dropout on inside a ``with`` block."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def variances(self, x: np.ndarray, layers: Sequence[keras.Layer]) -> dict[int, float]:
        """Measure the variance of the inputs of layers, with dropout as it is switched.

        Args:
            x: examples.
            layers: layers of the model.

        Returns:
            The variance over examples and positions, averaged over the features, by ``id`` of the
            layer. Layers that did not receive a single tensor are left out.
        """
        found: dict[int, list[float]] = {}
        calls = {id(layer): (layer, layer.call) for layer in layers}
        for key, (layer, call) in calls.items():
            layer.call = _recording(call, found.setdefault(key, []))
        try:
            self.model(x, training=False)
        finally:
            for layer, call in calls.values():
                layer.call = call
        return {key: float(np.mean(values)) for key, values in found.items() if values}

    def _switched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def switched(*args: Any, **arguments: Any) -> Any:
            if self._on:
                arguments["training"] = True
            return call(*args, **arguments)

        return switched


def _recording(call: Callable[..., Any], variances: list[float]) -> Callable[..., Any]:
    def recording(*args: Any, **arguments: Any) -> Any:
        if args and not isinstance(args[0], (list, tuple, dict)):
            values = keras.ops.convert_to_numpy(keras.ops.cast(args[0], "float32"))
            by_feature = values.reshape(-1, values.shape[-1]).var(axis=0, dtype="float64")
            variances.append(float(by_feature.mean()))
        return call(*args, **arguments)

    return recording
