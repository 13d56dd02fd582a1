"""A model as the holder of one member: which of its variables make the member up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_fraction
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.runtime_rates import runtime_layers
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.seeding import seed_masks


class MemberHolder:
    """Begins and continues members in a model, and reads what they have become.

    Args:
        model: a compiled clone: one that `with_runtime_rates` made, or a plain one, whose rates
            are those of the only member that it holds.

    Attributes:
        model: the clone.
        weights: its variables in the order of the plain model's weights.
        generators: its seed generators, in the order of its layers.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._layers = runtime_layers(model)
        # Without what the lifted layers add, the order is that of the plain model's weights.
        added = {id(v) for layer in self._layers.values() for v in layer.coefficients}
        self.weights = [v for v in model.weights if id(v) not in added]
        self.generators = [g for layer in flat_layers(model) for g in layer._seed_generators]
        self._optimizer_start = _values(model.optimizer.variables)

    def start(self, rates: Mapping[str, float], weights: Sequence[np.ndarray], seed: int) -> None:
        """Begin a member: as a model that was just built and compiled.

        Args:
            rates: rate (fraction dropped) by site path.
            weights: initial weights, in the order of the plain model's.
            seed: decides the masks.
        """
        for path, layer in self._layers.items():
            layer.set_rate(rates[path])
        _assign(self.weights, weights)
        _assign(self.model.optimizer.variables, self._optimizer_start)
        # What a diverged member leaves there is no number, and stays none multiplied by 0.
        for variable in getattr(self.model.optimizer, "scratch", ()):
            variable.assign(np.zeros(variable.shape, "float32"))
        seed_masks(self.model, seed)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from where an earlier training of the started member ended."""
        _assign(self.weights, checkpoint.last)
        _assign(self.model.optimizer.variables, checkpoint.optimizer)
        _assign([generator.state for generator in self.generators], checkpoint.seeds)

    def set_factor(self, factor: float) -> None:
        """Drop a part of the member's rates from now on, as a schedule does."""
        for layer in self._layers.values():
            layer.set_factor(factor)

    def coefficients(
        self, rates: Mapping[str, float], factor: float
    ) -> list[tuple[keras.Variable, float]]:
        """What the variables of the rates hold for a member, at a factor of its rates."""
        check_fraction(factor, "factor")
        return [
            pair
            for path, layer in self._layers.items()
            for pair in zip(
                layer.coefficients, layer.coefficients_of(rates[path] * factor), strict=True
            )
        ]

    def weights_now(self) -> list[np.ndarray]:
        """The weights as they are now, in the order of the plain model's."""
        return _values(self.weights)

    def checkpoint(self, best: Sequence[np.ndarray], keep_state: bool) -> Checkpoint:
        """The weights at the best epoch and, if asked for, the state as it is now."""
        if not keep_state:
            return Checkpoint(best)
        optimizer = _values(self.model.optimizer.variables)
        seeds = _values([generator.state for generator in self.generators])
        return Checkpoint(best, self.weights_now(), optimizer, seeds)


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
