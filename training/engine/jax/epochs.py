"""Epochs of many members at once: Keras's own training step, vectorized and looped by JAX."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from dropout_zoo.training.data.structures import Structure, map_arrays, num_examples
from dropout_zoo.training.engine.interrupts import check_interrupt
from dropout_zoo.training.engine.jax.program_memory import peak_bytes
from dropout_zoo.training.plan import Examples, Plan, as_batch, as_input

_SECONDS_PER_CALL = 0.5  # Python handles no signal during a call of JAX

Values = list[jax.Array]
State = tuple[Values, Values, Values]  # trainable, non-trainable and optimizer variables
Logs = dict[str, jax.Array]


class VectorizedEpochs:
    """Trains and measures members for one epoch at a time, all of them together.

    Each value of a state has the members along its first axis.

    Args:
        model: a lifted model whose metrics have been built.
        plan: data and settings.
        generators: the seed generators of the model.
    """

    def __init__(
        self, model: keras.Model, plan: Plan, generators: Sequence[keras.random.SeedGenerator]
    ) -> None:
        self._model, self._plan = model, plan
        self.load(plan.examples)
        model.reset_metrics()
        self._metrics = [variable.value for variable in model.metrics_variables]
        seeds = {id(generator.state) for generator in generators}
        self._seed_places = [
            place
            for place, variable in enumerate(model.non_trainable_variables)
            if id(variable) in seeds
        ]
        self._fresh_metrics = jax.jit(self._metrics_at_first, static_argnums=0)
        self._results = jax.jit(jax.vmap(self._results_of_one))
        self._train = _Steps(model.train_step, plan.settings.batch_size)
        self._test = _Steps(model.test_step, plan.evaluation_batch_size)

    def load(self, examples: Examples) -> None:
        """Train and measure on other examples from now on.

        Args:
            examples: examples of the same shapes as before.
        """
        self._data = [
            map_arrays(jnp.asarray, as_input(as_batch(part)))
            for part in (examples.training_data(), examples.sample, examples.validation)
        ]

    def current(self) -> State:
        """Return the state of the one member in the model itself."""
        model = self._model
        return (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
            [variable.value for variable in model.optimizer.variables],
        )

    def run(self, state: State, orders: np.ndarray) -> tuple[State, list[dict[str, np.ndarray]]]:
        """Train an epoch, then measure with dropout off.

        Args:
            state: state of the members; its arrays are reused and must not be read afterwards.
            orders: positions of the training examples in the order in which they are used, one
                row per member, or one row for all of them.

        Returns:
            The new state; and by name, one value per member: running loss and metrics, and the
            same on the training sample and on the validation set.
        """
        train, sample, validation = self._data
        count = len(jax.tree.leaves(state)[0])
        rows = jnp.asarray(orders, jnp.int32)
        trainable, fixed, optimizer, metrics = self._train.over(
            train, rows, (*state, self._fresh_metrics(count))
        )
        logs = [self._results(metrics)]
        # `Model.fit` evaluates no training sample. The next epoch must draw the masks that it would
        # draw without; recurrent layers draw masks in evaluations, too.
        seeds = [jnp.copy(fixed[place]) for place in self._seed_places]
        trainable, fixed, of_sample = self._evaluated(sample, trainable, fixed)
        for place, seed in zip(self._seed_places, seeds, strict=True):
            fixed[place] = seed
        trainable, fixed, of_validation = self._evaluated(validation, trainable, fixed)
        logs += [of_sample, of_validation]
        return (trainable, fixed, optimizer), jax.device_get(logs)

    def _evaluated(
        self, arrays: Structure, trainable: Values, fixed: Values
    ) -> tuple[Values, Values, Logs]:
        """Measure all members with dropout off."""
        count = len(jax.tree.leaves((trainable, fixed))[0])
        trainable, fixed, metrics = self._test.over(
            arrays,
            jnp.arange(num_examples(arrays)),
            (trainable, fixed, self._fresh_metrics(count)),
        )
        return trainable, fixed, self._results(metrics)

    def check_traceable(self) -> None:
        """Trace the steps of two members without computing anything.

        Raises:
            Exception: the model's own code cannot be traced or vectorized.
        """
        two = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((2, *a.shape), a.dtype),
            (*self.current(), self._metrics),
        )
        train, sample, _ = self._data
        trainable, fixed, _, metrics = two
        self._train.check_traceable(
            train, jax.ShapeDtypeStruct((2, num_examples(train)), jnp.int32), two
        )
        self._test.check_traceable(
            sample, jnp.arange(num_examples(sample)), (trainable, fixed, metrics)
        )

    def bytes_per_member(self) -> int:
        """Return about how much memory a member needs: state, best weights and a step's results."""
        state = self.current()
        trainable, fixed, _ = state
        held = sum(value.nbytes for value in jax.tree.leaves((state, trainable, fixed)))
        steps = (
            (self._model.train_step, (*state, self._metrics), 0, self._plan.settings.batch_size),
            (
                self._model.test_step,
                (trainable, fixed, self._metrics),
                2,
                self._plan.evaluation_batch_size,
            ),
        )
        computed = max(self._bytes_computed(*step) for step in steps)
        return int(held + computed)

    def _bytes_computed(
        self, step: Callable[..., Any], state: Any, part: int, batch_size: int
    ) -> int:
        arrays = self._data[part]
        size = min(batch_size, num_examples(arrays))
        batch = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype), arrays
        )
        return peak_bytes(jax.make_jaxpr(step)(state, batch).jaxpr)

    def _metrics_at_first(self, count: int) -> Values:
        return [jnp.broadcast_to(value, (count, *value.shape)) for value in self._metrics]

    def _results_of_one(self, metrics: Values) -> Logs:
        pairs = list(zip(self._model.metrics_variables, metrics, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            results: Logs = self._model.get_metrics_result()
        return results


class _Steps:
    """Steps of all members on one batch after another, in calls short enough to be interrupted.

    Args:
        step: Keras's own training or test step, for one member.
        batch_size: batch size; the last batch may be smaller.
    """

    def __init__(self, step: Callable[..., Any], batch_size: int) -> None:
        self._step, self._batch_size = step, batch_size
        self._jitted = jax.jit(self._steps, static_argnames="size", donate_argnames="state")
        self._steps_per_call: dict[tuple[int, ...], int] = {}

    def over(self, arrays: Structure, orders: jax.Array, state: Any) -> Any:
        """Make one step on every batch.

        Args:
            arrays: the data.
            orders: as in `VectorizedEpochs.run`.
            state: state of the members; its arrays are reused and must not be read afterwards.

        Returns:
            The new state.

        Raises:
            KeyboardInterrupt: a signal asked for it.
            OutOfTimeError: the time of a `TimeLimit` has passed.
        """
        size = min(self._batch_size, orders.shape[-1])
        full, rest = divmod(orders.shape[-1], size)
        kind = len(jax.tree.leaves(state)[0]), *orders.shape
        begun = 0
        while begun < full:
            check_interrupt()
            until = min(full, begun + self._steps_per_call.get(kind, 1))
            started = time.perf_counter()
            state = self._jitted(state, arrays, orders, begun, until, size=size)
            jax.block_until_ready(state)
            pace = (until - begun) / (time.perf_counter() - started)
            self._steps_per_call[kind] = max(1, int(_SECONDS_PER_CALL * pace))
            begun = until
        if rest:
            state = self._jitted(state, arrays, orders[..., full * size :], 0, 1, size=rest)
        return state

    def check_traceable(self, arrays: Structure, orders: Any, state: Any) -> None:
        """Trace a step without computing anything."""
        size = min(self._batch_size, orders.shape[-1])
        jax.eval_shape(partial(self._jitted, size=size), state, arrays, orders, 0, 1)

    def _steps(
        self,
        state: Any,
        arrays: Structure,
        orders: jax.Array,
        begun: int,
        until: int,
        size: int,
    ) -> Any:
        def of_one(state: Any, rows: jax.Array) -> Any:
            _, after = self._step(state, jax.tree.map(lambda array: array[rows], arrays))
            return jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)

        # A shared order is not copied, so that the first layer is one large matrix product.
        of_all = jax.vmap(of_one, in_axes=(0, 0 if orders.ndim == 2 else None))

        def on_batch(number: int, state: Any) -> Any:
            return of_all(state, jax.lax.dynamic_slice_in_dim(orders, number * size, size, axis=-1))

        return jax.lax.fori_loop(begun, until, on_batch, state)
