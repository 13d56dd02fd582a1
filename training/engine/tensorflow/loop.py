"""One training loop in TensorFlow's graph: traced once, it trains one member after another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dropout_zoo.models.graph.runtime_rates import with_runtime_rates
from dropout_zoo.models.keras_internals import symbolic_build
from dropout_zoo.models.random_state import variables_restored
from dropout_zoo.models.tensorflow_internals import captured_inputs, resource_handle
from dropout_zoo.training.data.structures import Structure, map_arrays
from dropout_zoo.training.engine.eligibility import own_training_code
from dropout_zoo.training.engine.member_state import MemberState, optimizers_of
from dropout_zoo.training.engine.tensorflow.fused_update import fused, gains_from_fusion
from dropout_zoo.training.engine.tensorflow.streaming import InMemoryData, StreamedData
from dropout_zoo.training.engine.tensorflow.tracing import (
    bind_to_variables,
    check_state,
    state_of,
    vocabularies_of,
)
from dropout_zoo.training.plan import Plan

# A call of a graph cannot be interrupted, so each makes only as many steps as take about this long.
_SECONDS_PER_CALL = 0.4


class StoppedError(BaseException):
    """Raised inside a loop that has been told to stop.

    It does not derive from `Exception`, so that handlers of the user's own errors do not catch it.
    """


class Loop:
    """A lifted model and the traced functions that train and measure the member in it.

    Args:
        plan: model and settings.
        data: the examples of that plan, in memory or streamed; members may have others of the
            same shapes.
        fuse: whether TensorFlow's fused kernels update the weights where that saves time.
        stop: ends the current epoch with `StoppedError` when it is set.
        template: a loop of the same plan, whose traced functions this one uses too.

    Attributes:
        state: sets and reads the state of the member.
        data: the examples of the member.

    Raises:
        ValueError: the model has state that Keras does not track.
    """

    def __init__(
        self,
        plan: Plan,
        data: InMemoryData | StreamedData,
        *,
        fuse: bool,
        stop: threading.Event,
        template: Loop | None = None,
    ) -> None:
        self._model = model = with_runtime_rates(plan.model)
        self._batch_size, self._stop = plan.settings.batch_size, stop
        self._own_steps = own_training_code(model) is not None
        self._fused = fuse and not self._own_steps and gains_from_fusion(model)
        if self._fused:
            model.optimizer = fused(model.optimizer)
            model.optimizer.build(model.trainable_variables)
        self.data, self._evaluation_batch_size = data, plan.evaluation_batch_size
        self._steps_per_call: dict[str, int] = {}
        # Metrics create their variables when they first see data, which a graph does not allow.
        # As tensors, because Keras knows no other form of strings here.
        symbolic_build(model, map_arrays(tf.constant, plan.one_example()))
        if not all(each.built for each in optimizers_of(model)):
            # Those that the code of the model holds create theirs in its first step.
            _with_logs(model.train_step, self.data.specs("train"))
        self.state = MemberState(model)
        self._functions = self._traced_functions() if template is None else self._bound(template)
        self._advanced = self._advanced_by_evaluation()

    def train_epoch(self, order: np.ndarray) -> dict[str, Any]:
        """Train one epoch.

        Args:
            order: positions of the training examples in the order in which they are used.

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
        # `Model.fit` evaluates no training sample. The next epoch must draw the masks that it would
        # draw without; recurrent layers draw masks in evaluations, too.
        with variables_restored(self._advanced if part == "sample" else ()):
            return self._in_short_calls(part, None, self._evaluation_batch_size)

    def _advanced_by_evaluation(self) -> list[keras.Variable]:
        """The states of seed generators that an evaluation draws from: in most models, none."""
        captures = {id(capture) for capture in captured_inputs(self._functions["sample"])}
        states = [generator.state for generator in self.state.generators]
        return [state for state in states if id(resource_handle(state.value)) in captures]

    def _traced_functions(self) -> dict[str, Any]:
        model, large = self._model, self._evaluation_batch_size
        known = state_of(model)
        functions = {
            "train": self._traced(model.train_step, "train", self._batch_size),
            "sample": self._traced(model.test_step, "sample", large),
        }
        sample, validation = self.data.specs("sample"), self.data.specs("validation")
        functions["validation"] = (
            functions["sample"]
            if sample == validation
            else self._traced(model.test_step, "validation", large)
        )
        if len(state_of(model)) != len(known):
            raise ValueError(
                "expected a model whose variables exist before the first step of training, "
                f"received one with {len(state_of(model)) - len(known)} that the step creates"
            )
        for function in functions.values():
            check_state(function, known, vocabularies_of(model))
        return functions

    def _traced(self, step: Callable[[Structure], Any], part: str, batch_size: int) -> Any:
        """Trace a function that makes the steps of one chunk."""
        model, gather = self._model, self.data.gathers(part)
        # A batch size that is known while tracing saves a small network a tenth of its time,
        # because the graph need not compute shapes. But the graph then also multiplies by rounded
        # reciprocals instead of dividing, which changes the last bit. The fused update does that
        # anyway. Evaluation gains nothing that can be measured.
        known = self._fused and part == "train"
        left = self.data.count(part) % batch_size if known else 0
        no_logs: Any = {}
        if self._own_steps:
            step, no_logs = _with_logs(step, self.data.specs(part))

        def steps(
            arrays: Structure,
            positions: tf.Tensor,
            first: tf.Tensor,
            last: tf.Tensor,
            begins: tf.Tensor,
        ) -> Any:
            count = tf.shape(positions if gather else tf.nest.flatten(arrays)[0])[0]
            whole = count // batch_size if known else last

            def make_step(number: tf.Tensor, _: Any, size: int = batch_size) -> Any:
                begin = number * batch_size
                rows = begin, size if known else tf.minimum(size, count - begin)
                if gather:
                    chosen = _rows(positions, *rows)
                    batch = tf.nest.map_structure(lambda array: tf.gather(array, chosen), arrays)
                else:
                    batch = tf.nest.map_structure(lambda array: _rows(array, *rows), arrays)
                logs = step(batch)
                return number + 1, logs if self._own_steps else no_logs

            tf.cond(begins, lambda: _done(model.reset_metrics()), lambda: True)
            _, logs = tf.while_loop(
                lambda number, _: number < tf.minimum(last, whole),
                make_step,
                [first, no_logs],
                parallel_iterations=1,
            )
            if left:
                tf.cond(last > whole, lambda: _done(make_step(whole, {}, left)), lambda: True)
            measured = model.get_metrics_result()
            # As `Model.fit` does: where a step returns anything else, its last result counts.
            return logs if self._own_steps and set(logs) != set(measured) else measured

        number = tf.TensorSpec([], tf.int32)
        return tf.function(steps, autograph=False).get_concrete_function(
            self.data.specs(part),
            tf.TensorSpec([None], tf.int64),
            number,
            number,
            tf.TensorSpec([], tf.bool),
        )

    def _bound(self, template: Loop) -> dict[str, Any]:
        """The functions of another loop, on the variables of this one."""
        traced_with, own = state_of(template._model), state_of(self._model)
        return {
            name: bind_to_variables(function, traced_with, own)
            for name, function in template._functions.items()
        }

    def _in_short_calls(
        self, part: str, order: np.ndarray | None, batch_size: int
    ) -> dict[str, Any]:
        def max_steps() -> int:
            return self._steps_per_call.get(part, 1)

        begins, logs = True, {}
        for arrays, positions, first, last in self.data.chunks(part, order, batch_size, max_steps):
            if self._stop.is_set():
                raise StoppedError
            started = time.perf_counter()
            numbers = tf.constant(first), tf.constant(last), tf.constant(begins)
            logs = self._functions[part](arrays, positions, *numbers)
            pace = (last - first) / (time.perf_counter() - started)
            self._steps_per_call[part] = max(1, int(_SECONDS_PER_CALL * pace))
            begins = False
        return _as_python(logs)


def _with_logs(step: Callable[[Structure], Any], specs: Structure) -> tuple[Any, Any]:
    """A step that is traced once, as in `Model.fit`, and zeros of the form of its results."""
    function = tf.function(step, autograph=False)
    logs = function.get_concrete_function(specs).structured_outputs
    return function, tf.nest.map_structure(lambda log: np.zeros(log.shape, log.dtype.name), logs)


def _rows(array: tf.Tensor, begin: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Some rows of an array; the static shape has their number unless it is a tensor."""
    others = array.shape[1:]
    return tf.slice(array, [begin, *[0] * len(others)], [size, *others])


def _done(_: Any) -> bool:
    """Both branches of `tf.cond` have to return the same structure."""
    return True


def _as_python(logs: Mapping[str, Any]) -> dict[str, Any]:
    """The values as `Model.fit` reports them: floats, or arrays where there are several numbers.

    A step may return results by the name of a metric that has several, as that of the compiled
    metrics.
    """
    found: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        if isinstance(value, Mapping):
            found |= _as_python(value)
        else:
            array = value.numpy()
            found[name] = float(array) if array.ndim == 0 else array
    return found
