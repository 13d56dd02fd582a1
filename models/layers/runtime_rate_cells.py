"""Recurrent cells whose rates are variables, so that one traced program serves every rate."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dropout_zoo.models import keras_internals
from dropout_zoo.models.layers.runtime_rate import (
    RateInVariables,
    dropped,
    on_jax,
    save_all_but_last,
)


class CellRate(RateInVariables):
    """One of the rates of a recurrent cell in variables, and the masks of the current batch.

    Args:
        cell: the cell, whose attribute with this name is not 0: Keras reads from it whether there
            is dropout at all, and it stays as it is.
        name: ``"dropout"`` or ``"recurrent_dropout"``.
    """

    def __init__(self, cell: keras.Layer, name: str) -> None:
        self.rate = float(getattr(cell, name))
        self._generator: keras.random.SeedGenerator = cell.seed_generator
        self._count: int | None = getattr(cell, "dropout_mask_count", None)
        self._masks: Any = None
        self.create_coefficients(cell, name)

    def masks_for(self, step_input: Any) -> Any:
        """Return the masks, the same for each time step of a batch.

        Args:
            step_input: what is dropped at one time step.

        Returns:
            A mask for each gate in a list, or one for all.
        """
        if self._masks is None:
            ones, state = ops.ones_like(step_input), self._generator.state
            before = ops.copy(state)
            masks = [
                dropped(ones, ops.shape(ones), self.coefficients, self._generator)
                for _ in range(self._count or 1)
            ]
            # Both rates of a cell draw from one generator, which Keras does not advance at a rate
            # of 0.
            first = self.coefficients[0]
            drops = first < 1 if on_jax() else first > 0
            state.assign(ops.where(drops, ops.copy(state), before))
            self._masks = masks[0] if self._count is None else masks
        return self._masks

    def reset(self) -> None:
        """Forget the masks, before the next batch."""
        self._masks = None


class GateKernels:
    """A kernel divided among the gates of a cell once, for all time steps of a batch.

    The gradient of a part has the size of the whole kernel. Keras takes the parts anew at each time
    step, and so computes it for each gate and step.

    Args:
        kernel: the kernel, of shape `(features, units * gates)`.
        units: number of units of each gate.
    """

    def __init__(self, kernel: Any, units: int) -> None:
        self._units = units
        self._parts = [kernel[:, at : at + units] for at in range(0, kernel.shape[1], units)]

    def __getitem__(self, index: tuple[slice, slice]) -> Any:
        """Return the part of a gate; `index` selects its columns, as from the whole kernel."""
        return self._parts[(index[1].start or 0) // self._units]


class RuntimeRateCell:
    """Base class of recurrent cells whose nonzero rates are held in variables.

    The masks equal those of the plain cell, as do the outputs on TensorFlow; see `RuntimeRate`. A
    rate that is set to 0 passes every value through unchanged and draws no random numbers, but the
    gradients of a plain cell without that dropout may be rounded differently. At a
    `recurrent_dropout` of 0, Keras computes all gates of an LSTM or a GRU together: outputs differ
    by rounding too, and Keras then drops the inputs with one mask, this cell with one per gate.

    Attributes:
        cell_rates: the rates by name, ``"dropout"`` and ``"recurrent_dropout"``.
    """

    cell_rates: dict[str, CellRate]

    def create_variables(self) -> None:
        """Create the variables that hold the rates."""
        self.cell_rates = {
            name: CellRate(self, name)
            for name in ("dropout", "recurrent_dropout")
            if getattr(self, name) > 0
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Layer:
        """Create a plain cell: layers that hold cells are cloned from their configuration."""
        plain = {lifted: each for each, lifted in LIFTED_CELLS.items()}[cls]
        return plain.from_config(config)

    def save_own_variables(self, store: Any) -> None:
        """Save the weights of a plain cell; called by Keras."""
        added = sum(len(rate.coefficients) for rate in self.cell_rates.values())
        save_all_but_last(added, super().save_own_variables, store)  # type: ignore[misc]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """Return the masks of the inputs; called by Keras."""
        return self._masks_for("dropout", step_input)

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Return the masks of the recurrent state; called by Keras."""
        return self._masks_for("recurrent_dropout", step_input)

    def reset_dropout_mask(self) -> None:
        """Forget the masks of the inputs; called by Keras after each batch."""
        self._reset("dropout")

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the masks of the recurrent state; called by Keras after each batch."""
        self._reset("recurrent_dropout")

    def _masks_for(self, name: str, step_input: Any) -> Any:
        rate = self.cell_rates.get(name)
        return None if rate is None else rate.masks_for(step_input)

    def _reset(self, name: str) -> None:
        if name in self.cell_rates:
            self.cell_rates[name].reset()


class RuntimeRateGateCell(RuntimeRateCell):
    """Base class of cells with gates, whose recurrent kernel is divided among these before a batch.

    Attributes:
        gate_kernels: the divided kernel during a batch, if Keras computes each gate on its own.
    """

    gate_kernels: GateKernels | None = None

    @property
    def recurrent_kernel(self) -> Any:
        """The recurrent kernel, as the code of the plain cell reads it."""
        return vars(self)["recurrent_kernel"] if self.gate_kernels is None else self.gate_kernels

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """Return the masks of the recurrent state; called by Keras, first before the time steps."""
        if self.gate_kernels is None and self._divides():
            self.gate_kernels = GateKernels(self.recurrent_kernel, self.units)  # type: ignore[attr-defined]
        return super().get_recurrent_dropout_mask(step_input)

    def _divides(self) -> bool:
        """Whether Keras computes each gate on its own, and in the precision of the kernel.

        In a lower one, the gradients of all time steps would be added in it, which Keras does not.
        """
        of_gates: bool = self.implementation == 1  # type: ignore[attr-defined]
        return of_gates and self.compute_dtype == self.variable_dtype  # type: ignore[attr-defined]

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget masks and divided kernel; called by Keras after each batch."""
        self.gate_kernels = None
        super().reset_recurrent_dropout_mask()


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateSimpleRNNCell(RuntimeRateCell, keras.layers.SimpleRNNCell):
    """`keras.layers.SimpleRNNCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateGRUCell(RuntimeRateGateCell, keras.layers.GRUCell):
    """`keras.layers.GRUCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateLSTMCell(RuntimeRateGateCell, keras.layers.LSTMCell):
    """`keras.layers.LSTMCell` with its rates in variables."""


@keras.saving.register_keras_serializable("dropout_zoo")
class RuntimeRateConvLSTMCell(RuntimeRateCell, keras_internals.CONV_LSTM_CELL):
    """The cell of `keras.layers.ConvLSTM2D` with its rates in variables."""


LIFTED_CELLS: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.SimpleRNNCell: RuntimeRateSimpleRNNCell,
    keras.layers.GRUCell: RuntimeRateGRUCell,
    keras.layers.LSTMCell: RuntimeRateLSTMCell,
    keras_internals.CONV_LSTM_CELL: RuntimeRateConvLSTMCell,
}
"""The equivalent of each plain recurrent cell with its rates in variables."""
