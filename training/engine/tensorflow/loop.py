"""One training loop in TensorFlow's graph: traced once, it trains one member after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.training.engine.member_state import MemberHolder
from dropout_zoo.training.engine.tensorflow.fused_update import fused, gains_from_fusion
from dropout_zoo.training.engine.tensorflow.streaming import Resident, Streamed
from dropout_zoo.training.engine.tensorflow.tracing import check_state, on_other_variables, state_of
from dropout_zoo.training.plan import Plan

# A call into the graph cannot be interrupted: calls are cut to about this many seconds.
_SECONDS_A_CALL = 0.4


class StoppedError(Exception):
    """Raised inside a loop that was told to stop."""


class Loop:
    """A lifted model with its traced functions, which train and measure the member in it.

    Args:
        plan: model and settings.
        data: the examples of that plan, in memory or streamed.
        fuse: whether TensorFlow's fused kernels do the update where there are any.
        stop: ends the call that is being made, with `StoppedError`, when it is set.
        like: a loop of the same plan, whose traced functions serve this one too.

    Attributes:
        holder: begins and continues members, and reads what they have become.

    Raises:
        ValueError: the model holds state that Keras does not know of.
    """

    def __init__(
        self,
        plan: Plan,
        data: Resident | Streamed,
        *,
        fuse: bool,
        stop: threading.Event,
        like: Loop | None = None,
    ) -> None:
        self._model = model = with_runtime_rates(plan.model)
        self._batch_size, self._stop = plan.settings.batch_size, stop
        self._fused = fuse and gains_from_fusion(model)
        if self._fused:
            model.optimizer = fused(model.optimizer)
            model.optimizer.build(model.trainable_variables)
        self.holder = MemberHolder(model)
        self._data, self._evaluation_batch_size = data, plan.evaluation_batch_size
        self._steps_a_call: dict[str, int] = {}
        # Metrics make their variables when they first see data, which a graph does not allow.
        model._symbolic_build(data_batch=plan.one_example())
        self._functions = self._traced_functions() if like is None else self._as_in(like)

    def train_epoch(self, order: np.ndarray) -> dict[str, Any]:
        """Train one epoch.

        Args:
            order: positions of the training examples in the order of their visit.

        Returns:
            Running loss and metrics, by name.

        Raises:
            StoppedError: the loop was told to stop.
        """
        return self._in_short_calls("train", order, self._batch_size)

    def evaluate(self, part: str) -> dict[str, Any]:
        """Measure loss and metrics with dropout off.

        Args:
            part: ``"sample"`` or ``"validation"``.

        Returns:
            The values by name.

        Raises:
            StoppedError: the loop was told to stop.
        """
        return self._in_short_calls(part, None, self._evaluation_batch_size)

    def _traced_functions(self) -> dict[str, Any]:
        model, large = self._model, self._evaluation_batch_size
        functions = {
            "train": self._traced(model.train_step, "train", self._batch_size),
            "sample": self._traced(model.test_step, "sample", large),
        }
        sample, validation = self._data.specs("sample"), self._data.specs("validation")
        functions["validation"] = (
            functions["sample"]
            if sample == validation
            else self._traced(model.test_step, "validation", large)
        )
        for function in functions.values():
            check_state(function, state_of(model))
        return functions

    def _traced(
        self, step: Callable[[tuple[tf.Tensor, ...]], Any], part: str, batch_size: int
    ) -> Any:
        """Trace a function that makes the steps from one number up to another."""
        model, gather = self._model, self._data.gathers(part)
        # Batches of a size known beforehand save a small net a tenth of its time: what a graph does
        # about shapes is done while tracing. But then it also divides by rounded reciprocals, which
        # moves the last bit. The fused update differs from Keras's there anyway. Evaluation gains
        # nothing that can be measured.
        known = self._fused and part == "train"
        left = self._data.count(part) % batch_size if known else 0

        def steps(
            arrays: tuple[tf.Tensor, ...],
            positions: tf.Tensor,
            first: tf.Tensor,
            last: tf.Tensor,
            begins: tf.Tensor,
        ) -> Any:
            count = tf.shape(positions if gather else arrays[0])[0]
            whole = count // batch_size if known else last

            def make_step(number: tf.Tensor, size: int = batch_size) -> tf.Tensor:
                begin = number * batch_size
                rows = begin, size if known else tf.minimum(size, count - begin)
                if gather:
                    chosen = _rows(positions, *rows)
                    step(tuple(tf.gather(array, chosen) for array in arrays))
                else:
                    step(tuple(_rows(array, *rows) for array in arrays))
                return number + 1

            tf.cond(begins, lambda: _done(model.reset_metrics()), lambda: True)
            tf.while_loop(
                lambda number: number < tf.minimum(last, whole),
                make_step,
                [first],
                parallel_iterations=1,
            )
            if left:
                tf.cond(last > whole, lambda: _done(make_step(whole, left)), lambda: True)
            return model.get_metrics_result()

        number = tf.TensorSpec([], tf.int32)
        return tf.function(steps, autograph=False).get_concrete_function(
            self._data.specs(part),
            tf.TensorSpec([None], tf.int64),
            number,
            number,
            tf.TensorSpec([], tf.bool),
        )

    def _as_in(self, like: Loop) -> dict[str, Any]:
        """The functions of another loop on the variables of this one."""
        own, others = state_of(like._model), state_of(self._model)
        return {
            name: on_other_variables(function, own, others)
            for name, function in like._functions.items()
        }

    def _in_short_calls(
        self, part: str, order: np.ndarray | None, batch_size: int
    ) -> dict[str, Any]:
        def most() -> int:
            return self._steps_a_call.get(part, 1)

        begins, logs = True, {}
        for arrays, positions, first, last in self._data.pieces(part, order, batch_size, most):
            if self._stop.is_set():
                raise StoppedError
            started = time.perf_counter()
            numbers = tf.constant(first), tf.constant(last), tf.constant(begins)
            logs = self._functions[part](arrays, positions, *numbers)
            pace = (last - first) / (time.perf_counter() - started)
            self._steps_a_call[part] = max(1, int(_SECONDS_A_CALL * pace))
            begins = False
        return {name: _as_python(value) for name, value in sorted(logs.items())}


def _rows(array: tf.Tensor, begin: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Some rows of an array; their number is part of the shape where it is no tensor."""
    others = array.shape[1:]
    return tf.slice(array, [begin, *[0] * len(others)], [size, *others])


def _done(_: Any) -> bool:
    """What both ways of a condition in a graph have to return: something."""
    return True


def _as_python(value: tf.Tensor) -> Any:
    """A number, as `Model.fit` reports it; values that are no single number stay arrays."""
    array = value.numpy()
    return float(array) if array.ndim == 0 else array
