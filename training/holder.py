"""A lifted model as the holder of one member: which of its variables make the member up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from dropout_zoo.models.graph import flat_layers
from dropout_zoo.models.runtime_rate import RuntimeRate
from dropout_zoo.models.sites import dropout_sites
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.seeding import seed_masks


class MemberHolder:
    """Begins and continues members in a lifted model, and reads what they have become.

    Args:
        model: a compiled clone that `lift` made.

    Attributes:
        model: the clone.
        weights: its variables in the order of the plain model's weights.
        generators: its seed generators, in the order of its layers.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._layers = {
            site.path: site.layer
            for site in dropout_sites(model)
            if isinstance(site.layer, RuntimeRate)
        }
        # Without what the lifted layers add, the order is that of the plain model's weights.
        added = {id(v) for layer in self._layers.values() for v in layer.coefficients}
        self.weights = [v for v in model.weights if id(v) not in added]
        self.generators = [g for layer in flat_layers(model) for g in layer._seed_generators]
        self._optimizer_start = [v.numpy() for v in model.optimizer.variables]

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
        seed_masks(self.model, seed)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from where an earlier training of the started member ended."""
        _assign(self.weights, checkpoint.last)
        _assign(self.model.optimizer.variables, checkpoint.optimizer)
        _assign([generator.state for generator in self.generators], checkpoint.seeds)


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
