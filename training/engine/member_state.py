"""The state of one member in a model: the variables that make up the member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dropout_zoo.models.argument_validation import check_fraction
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.runtime_rates import runtime_rates, set_rate_factor
from dropout_zoo.models.keras_internals import seed_generators
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.seeding import generator_seeds, seed_masks


class MemberState:
    """Sets and reads the variables of a model that belong to one member.

    Args:
        model: a compiled clone, either from `with_runtime_rates`, or a plain one whose rates are
            those of its only member.

    Attributes:
        model: the clone.
        weights: its variables in the order of the plain model's weights.
        generators: its seed generators, in the order of its layers.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._layers = runtime_rates(model)
        # Without the variables that lifted layers add, the order is that of the plain model.
        added = {id(v) for layer in self._layers.values() for v in layer.coefficients}
        self.weights = [v for v in model.weights if id(v) not in added]
        self.generators = [
            g for layer in [*flat_layers(model), model] for g in seed_generators(layer)
        ]
        self._optimizer_start = _values(optimizer_variables(model))

    def start(self, rates: Mapping[str, float], weights: Sequence[np.ndarray], seed: int) -> None:
        """Start a member, as in a model that was just built and compiled.

        Args:
            rates: rate (fraction dropped) by site path.
            weights: initial weights, in the order of the plain model's.
            seed: seed of the dropout masks.
        """
        for path, layer in self._layers.items():
            layer.set_rate(rates[path])
        _assign(self.weights, weights)
        _assign(optimizer_variables(self.model), self._optimizer_start)
        # A diverged member leaves NaN there, which stays NaN when multiplied by 0.
        for variable in getattr(self.model.optimizer, "scratch", ()):
            variable.assign(np.zeros(variable.shape, "float32"))
        for metric in self.model.metrics:  # which a reset_metrics of the model's own may leave out
            metric.reset_state()
        seed_masks(self.model, seed)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from the end of an earlier run of the started member."""
        for variable, value in self._resumed(checkpoint):
            variable.assign(value)

    def start_values(
        self,
        rates: Mapping[str, float],
        weights: Sequence[np.ndarray],
        seed: int,
        resumed: Checkpoint | None = None,
    ) -> list[tuple[keras.Variable, Any]]:
        """Return what `start` and `resume` assign to the state of a member, without assigning it.

        Args:
            rates: rate (fraction dropped) by site path.
            weights: initial weights, in the order of the plain model's.
            seed: seed of the dropout masks.
            resumed: the state to continue from; None to begin.

        Returns:
            Pairs of a variable and its value; the last one counts where a variable has several.
        """
        pairs: list[tuple[keras.Variable, Any]] = self.coefficients(rates, 1.0)
        pairs += zip(self.weights, weights, strict=True)
        pairs += zip(optimizer_variables(self.model), self._optimizer_start, strict=True)
        pairs += ((g.state, [start, 0]) for g, start in generator_seeds(self.model, seed))
        return pairs if resumed is None else pairs + self._resumed(resumed)

    def _resumed(self, checkpoint: Checkpoint) -> list[tuple[keras.Variable, np.ndarray]]:
        variables = [
            *self.weights,
            *optimizer_variables(self.model),
            *(generator.state for generator in self.generators),
        ]
        values = [*checkpoint.last, *checkpoint.optimizer, *checkpoint.seeds]
        return list(zip(variables, values, strict=True))

    def set_factor(self, factor: float) -> None:
        """Multiply the member's rates by a factor from now on, as a schedule does."""
        set_rate_factor(self._layers, factor)

    def coefficients(
        self, rates: Mapping[str, float], factor: float
    ) -> list[tuple[keras.Variable, float]]:
        """Return the variables that hold a member's rates, with their values at a factor."""
        check_fraction(factor, "factor")
        return [
            pair
            for path, layer in self._layers.items()
            for pair in zip(
                layer.coefficients, layer.coefficients_of(rates[path] * factor), strict=True
            )
        ]

    def weights_now(self) -> list[np.ndarray]:
        """Return the current weights, in the order of the plain model's."""
        return _values(self.weights)

    def checkpoint(self, best: Sequence[np.ndarray], keep_state: bool) -> Checkpoint:
        """Return the weights of the best epoch and, if `keep_state`, the current state."""
        if not keep_state:
            return Checkpoint(best)
        optimizer = _values(optimizer_variables(self.model))
        seeds = _values([generator.state for generator in self.generators])
        return Checkpoint(best, self.weights_now(), optimizer, seeds)


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the optimizer of a compiled model, and the others that its code holds after it."""
    found = [model.optimizer]
    for layer in [model, *flat_layers(model)]:
        for value in vars(layer).values():
            entries = value.values() if isinstance(value, dict) else value
            found += entries if isinstance(value, dict | list | tuple) else [value]
    optimizers = [each for each in found if isinstance(each, keras.optimizers.Optimizer)]
    return list({id(each): each for each in optimizers}.values())


def optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of all optimizers of a compiled model, its own first."""
    return [variable for each in optimizers_of(model) for variable in each.variables]


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
