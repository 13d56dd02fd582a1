"""One training loop in TensorFlow's graph: traced once, it trains one member after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dropout_zoo.models.graph import flat_layers
from dropout_zoo.models.runtime_rate import RuntimeRate
from dropout_zoo.models.sites import dropout_sites
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.lift import lift
from dropout_zoo.training.plan import Plan
from dropout_zoo.training.seeding import seed_masks
from dropout_zoo.training.sharing import check_state, on_other_variables, state_of
from dropout_zoo.training.update import fused, gains_from_fusion

# A call into the graph cannot be interrupted: calls are cut to about this many seconds.
_SECONDS_A_CALL = 0.4


class StoppedError(Exception):
    """Raised inside a loop that was told to stop."""


@dataclass(frozen=True)
class Resident:
    """The examples that loops train and measure on, in memory once for all loops.

    Attributes:
        train: examples, targets and, where there are weights, the weight of each example.
        sample: training examples to measure on, and their targets.
        validation: validation examples and their targets.
    """

    train: tuple[tf.Tensor, ...]
    sample: tuple[tf.Tensor, ...]
    validation: tuple[tf.Tensor, ...]

    @classmethod
    def of(cls, plan: Plan) -> Resident:
        """Bring the data of a plan into TensorFlow's memory."""
        weight = () if plan.sample_weight is None else (plan.sample_weight,)
        return cls(
            *(
                tuple(_as_keras_feeds_it(array) for array in arrays)
                for arrays in ((*plan.train, *weight), plan.sample, plan.validation)
            )
        )


class Loop:
    """A lifted model with its traced functions; holds one member at a time.

    Args:
        plan: model and settings.
        data: the examples of that plan.
        fuse: whether TensorFlow's fused kernels do the update where there are any.
        stop: ends the call that is being made, with `StoppedError`, when it is set.
        like: a loop of the same plan, whose traced functions serve this one too.

    Raises:
        ValueError: the model holds state that Keras does not know of.
    """

    def __init__(
        self,
        plan: Plan,
        data: Resident,
        *,
        fuse: bool,
        stop: threading.Event,
        like: Loop | None = None,
    ) -> None:
        self._model = model = lift(plan.model)
        self._batch_size, self._stop = plan.batch_size, stop
        if fuse and gains_from_fusion(model):
            model.optimizer = fused(model.optimizer)
            model.optimizer.build(model.trainable_variables)
        self._layers = {
            site.path: site.layer
            for site in dropout_sites(model)
            if isinstance(site.layer, RuntimeRate)
        }
        # Without what the lifted layers add, the order is that of the plain model's weights.
        added = {id(v) for layer in self._layers.values() for v in layer.coefficients}
        self._weights = [v for v in model.weights if id(v) not in added]
        self._generators = [g for layer in flat_layers(model) for g in layer._seed_generators]
        self._optimizer_start = [v.numpy() for v in model.optimizer.variables]
        self._steps_a_call: dict[str, int] = {}
        # Metrics make their variables when they first see data, which a graph does not allow.
        model._symbolic_build(data_batch=tuple(array[:1].numpy() for array in data.train))
        self._functions = self._traced_functions(plan, data) if like is None else self._as_in(like)
        self._counts = {"sample": len(data.sample[0]), "validation": len(data.validation[0])}
        self._no_positions = tf.zeros([0], tf.int64)  # measurements take the examples in order
        self._evaluation_batch_size = plan.evaluation_batch_size

    def start(self, rates: Mapping[str, float], weights: Sequence[np.ndarray], seed: int) -> None:
        """Begin a member: as a model that was just built and compiled.

        Args:
            rates: rate (fraction dropped) by site path.
            weights: initial weights, in the order of the plain model's.
            seed: decides the masks.
        """
        for path, layer in self._layers.items():
            layer.set_rate(rates[path])
        _assign(self._weights, weights)
        _assign(self._model.optimizer.variables, self._optimizer_start)
        seed_masks(self._model, seed)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on from where an earlier training of the started member ended."""
        _assign(self._weights, checkpoint.last)
        _assign(self._model.optimizer.variables, checkpoint.optimizer)
        _assign([generator.state for generator in self._generators], checkpoint.seeds)

    def train_epoch(self, order: np.ndarray) -> dict[str, Any]:
        """Train one epoch.

        Args:
            order: positions of the training examples in the order of their visit.

        Returns:
            Running loss and metrics, by name.

        Raises:
            StoppedError: the loop was told to stop.
        """
        steps = -(-len(order) // self._batch_size)
        logs = self._in_short_calls("train", steps, tf.constant(order, tf.int64))
        self._model.optimizer.finalize_variable_values(self._model.trainable_weights)
        return logs

    def evaluate(self, part: str) -> dict[str, Any]:
        """Measure loss and metrics with dropout off.

        Args:
            part: ``"sample"`` or ``"validation"``.

        Returns:
            The values by name.

        Raises:
            StoppedError: the loop was told to stop.
        """
        steps = -(-self._counts[part] // self._evaluation_batch_size)
        return self._in_short_calls(part, steps, self._no_positions)

    def weights(self) -> list[np.ndarray]:
        """The weights as they are now, in the order of the plain model's."""
        return [variable.numpy() for variable in self._weights]

    def state(self) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Weights, optimizer and seed generators as they are now."""
        return (
            self.weights(),
            [variable.numpy() for variable in self._model.optimizer.variables],
            [generator.state.numpy() for generator in self._generators],
        )

    def _traced_functions(self, plan: Plan, data: Resident) -> dict[str, Any]:
        train, test, large = (
            self._model.train_step,
            self._model.test_step,
            plan.evaluation_batch_size,
        )
        functions = {
            "train": self._traced(train, data.train, plan.batch_size, gather=True),
            "sample": self._traced(test, data.sample, large, gather=False),
            "validation": self._traced(test, data.validation, large, gather=False),
        }
        for function in functions.values():
            check_state(function, state_of(self._model))
        return functions

    def _traced(
        self,
        step: Callable[[tuple[tf.Tensor, ...]], Any],
        arrays: tuple[tf.Tensor, ...],
        batch_size: int,
        *,
        gather: bool,
    ) -> Any:
        """Trace a function that makes the steps from one number up to another."""
        model = self._model

        def steps(positions: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> Any:
            def make_step(number: tf.Tensor) -> tf.Tensor:
                rows = slice(number * batch_size, (number + 1) * batch_size)
                step(
                    tuple(
                        tf.gather(array, positions[rows]) if gather else array[rows]
                        for array in arrays
                    )
                )
                return number + 1

            tf.cond(first == 0, lambda: _done(model.reset_metrics()), lambda: True)
            tf.while_loop(lambda number: number < last, make_step, [first], parallel_iterations=1)
            return model.get_metrics_result()

        number = tf.TensorSpec([], tf.int32)
        return tf.function(steps, autograph=False).get_concrete_function(
            tf.TensorSpec([None], tf.int64), number, number
        )

    def _as_in(self, like: Loop) -> dict[str, Any]:
        """The functions of another loop on the variables of this one."""
        own, others = state_of(like._model), state_of(self._model)
        return {
            name: on_other_variables(function, own, others)
            for name, function in like._functions.items()
        }

    def _in_short_calls(self, kind: str, steps: int, positions: tf.Tensor) -> dict[str, Any]:
        first, logs = 0, {}
        while first < steps:
            if self._stop.is_set():
                raise StoppedError
            last = min(steps, first + self._steps_a_call.get(kind, 1))
            started = time.perf_counter()
            logs = self._functions[kind](positions, tf.constant(first), tf.constant(last))
            pace = (last - first) / (time.perf_counter() - started)
            self._steps_a_call[kind] = max(1, int(_SECONDS_A_CALL * pace))
            first = last
        return {name: _as_python(value) for name, value in sorted(logs.items())}


def _done(_: None) -> bool:
    """What both ways of a condition in a graph have to return: something."""
    return True


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _as_keras_feeds_it(array: np.ndarray) -> tf.Tensor:
    """A tensor with the dtype in which `Model.fit` hands the array on."""
    if np.issubdtype(array.dtype, np.floating):
        array = array.astype(keras.config.floatx(), copy=False)
    with tf.device("CPU"):
        return tf.constant(array)


def _as_python(value: tf.Tensor) -> Any:
    """A number, as `Model.fit` reports it; values that are no single number stay arrays."""
    array = value.numpy()
    return float(array) if array.ndim == 0 else array
