"""A Keras callback that sets the dropout rates of each epoch."""

from __future__ import annotations

from typing import Any

import keras

from dropout_zoo.models.graph.runtime_rates import runtime_rates, set_rate_factor
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.layers.runtime_rate import RateInVariables
from dropout_zoo.training.schedules import RateSchedule, check_schedule


class RateScheduler(keras.callbacks.Callback):
    """Keras callback that multiplies every dropout rate by the factor of a schedule.

    Layers of your own that draw their masks or noise themselves keep their rates.

    The model's rates must be variables: train ``with_runtime_rates(model)``. Keras reads the rate
    of a plain dropout layer only once, before the first step. The history gains the columns
    ``rate_factor`` and, for each site, ``rate/<path>``, the fraction that was dropped. The original
    rates are restored at the end of training.

    Args:
        schedule: a schedule, such as `EarlyDropout`.

    Raises:
        TypeError: `schedule` is not a schedule.

    Example:
        >>> from dropout_zoo.models import build_mlp, with_runtime_rates
        >>> from dropout_zoo.training import EarlyDropout, RateScheduler, load_dataset, targets_for
        >>> data = load_dataset("digits")
        >>> model = with_runtime_rates(build_mlp(units=(16,), hidden_rates=(0.5,)))
        >>> x, y = data.train[0], targets_for(model, data.train[1], data.num_classes)
        >>> scheduler = RateScheduler(EarlyDropout(epochs=1))
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[scheduler])
        >>> history.history["rate/hidden_1_dropout"]
        [0.5, 0.0]
    """

    def __init__(self, schedule: RateSchedule) -> None:
        super().__init__()
        check_schedule(schedule)
        self.schedule = schedule
        self._layers: dict[str, RateInVariables] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Find the layers.

        Raises:
            ValueError: the model has no dropout, or dropout with a fixed rate.
        """
        self._layers = runtime_rates(self.model)
        for site in settable_sites(self.model):
            if site.path not in self._layers and not site.own_noise:
                raise ValueError(
                    "expected a model whose dropout rates are variables, received one in which "
                    f"{site.path!r} is a plain {type(site.layer).__name__}, whose rate Keras reads "
                    "only once; train dropout_zoo.models.with_runtime_rates(model)"
                )
        if not self._layers:
            raise ValueError(
                "expected a model with dropout whose rate can be scheduled, received "
                f"{self.model.name!r}, which has none"
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rates."""
        set_rate_factor(self._layers, self.schedule.factor(epoch))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Log the rates."""
        factor = self.schedule.factor(epoch)
        rates = {f"rate/{path}": layer.rate * factor for path, layer in self._layers.items()}
        if logs is not None:
            logs.update({"rate_factor": factor}, **rates)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the original rates."""
        set_rate_factor(self._layers, 1.0)
