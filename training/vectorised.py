"""Epochs of many members at once: Keras's own training step, vectorised and scanned by JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from dropout_zoo.training.plan import Plan, as_keras_feeds_it

Values = list[jax.Array]
State = tuple[Values, Values, Values]  # trainable, non-trainable and optimizer variables
Logs = dict[str, jax.Array]


class VectorisedEpochs:
    """What members do at the same time: they train an epoch, and are measured.

    Each value of a state has the members along its first axis.

    Args:
        model: a lifted model whose metrics have been built.
        plan: data and settings.
    """

    def __init__(self, model: keras.Model, plan: Plan) -> None:
        self._model, self._plan = model, plan
        weight = () if plan.sample_weight is None else (plan.sample_weight,)
        self._data = [
            tuple(jnp.asarray(as_keras_feeds_it(array)) for array in arrays)
            for arrays in ((*plan.train, *weight), plan.sample, plan.validation)
        ]
        model.reset_metrics()
        self._metrics = [variable.value for variable in model.metrics_variables]
        self._run = jax.jit(self._epoch, donate_argnums=0)

    def current(self) -> State:
        """The state of the one member that the model itself holds."""
        model = self._model
        return (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
            [variable.value for variable in model.optimizer.variables],
        )

    def run(self, state: State, orders: np.ndarray) -> tuple[State, list[dict[str, np.ndarray]]]:
        """Train an epoch, then measure with dropout off.

        Args:
            state: of the members; it is used up.
            orders: positions of the training examples in the order of their visit, a row a
                member, or one row for all of them.

        Returns:
            The new state; and by name, a value a member: running loss and metrics, and the same
            on the training sample and on the validation part.
        """
        state, logs = self._run(state, jnp.asarray(orders, jnp.int32), self._data)
        return state, jax.device_get(logs)

    def traced(self) -> None:
        """Trace an epoch of two members without computing anything.

        Raises:
            Exception: the model's own code cannot be traced or vectorised.
        """
        two = jax.tree.map(lambda a: jax.ShapeDtypeStruct((2, *a.shape), a.dtype), self.current())
        orders = jax.ShapeDtypeStruct((2, len(self._data[0][0])), jnp.int32)
        jax.eval_shape(self._epoch, two, orders, self._data)

    def bytes_of_data(self) -> int:
        """Size of the resident examples, in bytes."""
        return sum(array.nbytes for array in jax.tree.leaves(self._data))

    def bytes_a_member(self) -> int:
        """Memory that a member takes at most: its state, its best weights, and a step's results.

        What a step computes is counted as if all of it were kept until its end, which is more
        than XLA keeps.
        """
        state = self.current()
        trainable, fixed, _ = state
        held = sum(value.nbytes for value in jax.tree.leaves((state, trainable, fixed)))
        steps = (
            (self._model.train_step, (*state, self._metrics), 0, self._plan.batch_size),
            (
                self._model.test_step,
                (trainable, fixed, self._metrics),
                2,
                self._plan.evaluation_batch_size,
            ),
        )
        return held + max(self._bytes_computed(*step) for step in steps)

    def _bytes_computed(
        self, step: Callable[..., Any], state: Any, part: int, batch_size: int
    ) -> int:
        arrays = self._data[part]
        size = min(batch_size, len(arrays[0]))
        batch = tuple(jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype) for a in arrays)
        return _bytes_in(jax.make_jaxpr(step)(state, batch).jaxpr)

    def _epoch(
        self, state: State, orders: jax.Array, data: Sequence[tuple[jax.Array, ...]]
    ) -> tuple[State, list[Logs]]:
        trainable, fixed, optimizer = state
        count = trainable[0].shape[0]
        model, large = self._model, self._plan.evaluation_batch_size
        train, *parts = data
        trainable, fixed, optimizer, metrics = _over_batches(
            model.train_step,
            (trainable, fixed, optimizer, self._fresh_metrics(count)),
            train,
            orders,
            self._plan.batch_size,
        )
        logs = [self._results(metrics)]
        for arrays in parts:
            trainable, fixed, metrics = _over_batches(
                model.test_step,
                (trainable, fixed, self._fresh_metrics(count)),
                arrays,
                jnp.arange(len(arrays[0])),
                large,
            )
            logs.append(self._results(metrics))
        return (trainable, fixed, optimizer), logs

    def _fresh_metrics(self, count: int) -> Values:
        return [jnp.broadcast_to(value, (count, *value.shape)) for value in self._metrics]

    def _results(self, metrics: Values) -> Logs:
        def of_one(values: Values) -> Logs:
            pairs = list(zip(self._model.metrics_variables, values, strict=True))
            with keras.StatelessScope(state_mapping=pairs):
                return self._model.get_metrics_result()

        return jax.vmap(of_one)(metrics)


def _over_batches(
    step: Callable[..., Any],
    state: Any,
    arrays: tuple[jax.Array, ...],
    orders: jax.Array,
    batch_size: int,
) -> Any:
    """Make a step on every batch, the short last one included; the state afterwards."""

    def step_of_one(state: Any, rows: jax.Array) -> Any:
        _, after = step(state, tuple(array[rows] for array in arrays))
        return jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)

    # An order that all share is not copied for each: their first layer is one large product.
    steps = jax.vmap(step_of_one, in_axes=(0, 0 if orders.ndim == 2 else None))
    full, rest = divmod(orders.shape[-1], batch_size)
    if full:
        batches = orders[..., : full * batch_size]
        batches = jnp.moveaxis(batches.reshape(*orders.shape[:-1], full, batch_size), -2, 0)
        state, _ = jax.lax.scan(lambda state, rows: (steps(state, rows), None), state, batches)
    if rest:
        state = steps(state, orders[..., full * batch_size :])
    return state


def _bytes_in(jaxpr: Any) -> int:
    """Size of all that a program computes, the programs inside it included."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [p for p in jax.tree.leaves(list(equation.params.values())) if hasattr(p, "jaxpr")]
        if inner:
            total += sum(_bytes_in(program.jaxpr) for program in inner)
        else:
            total += sum(
                int(np.prod(out.aval.shape)) * out.aval.dtype.itemsize for out in equation.outvars
            )
    return total
