"""Keras's callbacks for members: made for each, and called as one call of `Model.fit` would."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any
from weakref import WeakValueDictionary

import keras
from keras import callbacks

from dropout_zoo.training.callbacks import RateScheduler
from dropout_zoo.training.members import Member
from dropout_zoo.training.settings import CallbackFunction

# What they do, they do between epochs; what `TerminateOnNaN` finds lasts until the epoch ends.
_BETWEEN_EPOCHS = (
    callbacks.CSVLogger, callbacks.EarlyStopping, callbacks.History, callbacks.LambdaCallback,
    callbacks.LearningRateScheduler, callbacks.ReduceLROnPlateau, callbacks.TerminateOnNaN,
)  # fmt: skip
_HOOKS_BETWEEN_EPOCHS = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")
# Attributes of Keras's callbacks that name what they write.
_FILES = ("filename", "filepath", "log_dir", "backup_dir")
_REFUSED = {
    RateScheduler: "give each member a schedule, as in Member(..., schedule=EarlyDropout(5))",
    callbacks.BackupAndRestore: "members that were interrupted are trained again from the start",
}


def why_not_between_epochs(given: Sequence[callbacks.Callback]) -> str | None:
    """Return why callbacks cannot be called between epochs alone.

    Args:
        given: the callbacks of a member.

    Returns:
        The reason, as the end of a sentence; None if they can.
    """
    for each in given:
        name = type(each).__name__
        if type(each) not in _BETWEEN_EPOCHS:
            return f"their callback {name} may act within epochs"
        for hook in vars(each):
            if hook.startswith("on_") and hook not in _HOOKS_BETWEEN_EPOCHS:
                return f"their callback {name} has {hook}"
    return None


class CallbackSource:
    """Makes the callbacks of each member, and checks that no two members share one.

    Args:
        function: the user's function; None for no callbacks.
    """

    def __init__(self, function: CallbackFunction | None) -> None:
        self._function = function
        self._made: WeakValueDictionary[int, callbacks.Callback] = WeakValueDictionary()
        self._files: dict[str, str] = {}  # the member by the file that its callbacks write

    def callbacks_of(self, member: Member) -> Sequence[callbacks.Callback]:
        """Make the callbacks of a member.

        Args:
            member: the member.

        Returns:
            The callbacks.

        Raises:
            TypeError: the function returned no list of callbacks.
            ValueError: a callback, or the file that it writes, is that of another member; or it is
                of a class that cannot be used here.
        """
        if self._function is None:
            return ()
        made = self._function(member)
        if not isinstance(made, list | tuple) or not all(
            isinstance(each, callbacks.Callback) for each in made
        ):
            raise TypeError(
                "expected callbacks to return a list of keras.callbacks.Callback for each member, "
                f"received {made!r}; return [] for none"
            )
        for each in made:
            self._check(each, repr(member))
        self._made.update({id(each): each for each in made})
        return made

    def _check(self, each: callbacks.Callback, member: str) -> None:
        name = type(each).__name__
        for kind, advice in _REFUSED.items():
            if isinstance(each, kind):
                raise ValueError(f"expected callbacks without {name}, received one; {advice}")
        if id(each) in self._made:
            raise ValueError(
                f"expected new callbacks for each member, received the same {name} again; create "
                "it inside the function"
            )
        for file in (os.path.abspath(vars(each)[key]) for key in _FILES if vars(each).get(key)):
            if self._files.setdefault(file, member) != member:
                raise ValueError(
                    f"expected a file for each member, received {file} for two of them in {name}; "
                    "put into its name what differs between them, such as member.label, "
                    "member.seed and member.rates"
                )


class MemberCallbacks(callbacks.CallbackList):
    """The callbacks of one member, for which all epochs are those of one call of `Model.fit`.

    They may be passed on to `Model.fit` for single epochs: what begins and ends with each call is
    not reported to them, because an engine does so once, with the validation after each epoch.

    Args:
        given: the callbacks.
        model: the compiled model that is trained.
        epochs: the number of epochs.
        steps: the number of steps per epoch.
    """

    def __init__(
        self, given: Sequence[callbacks.Callback], model: keras.Model, *, epochs: int, steps: int
    ) -> None:
        self.history = callbacks.History()
        self._logs = _Logs()
        super().__init__([*given, self.history, self._logs])
        super().set_model(model)
        super().set_params({"verbose": 0, "epochs": epochs, "steps": steps})
        self._begun, self._last = False, dict[str, Any]()
        model.stop_training = False

    def set_model(self, model: keras.Model) -> None:
        """Keep the model: lists that this one is passed on in have the same."""

    def set_params(self, params: dict[str, Any]) -> None:
        """Keep the parameters: those of a call for a single epoch are others."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Report the beginning of the first epoch."""
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the beginning of an epoch."""
        self.model.history = self.history  # a call of `Model.fit` sets its own
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Do nothing: the validation is still to come."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Do nothing: more epochs may follow."""

    def end_epoch(
        self, epoch: int, running: Mapping[str, Any], validation: Mapping[str, Any]
    ) -> dict[str, float]:
        """Report the end of an epoch.

        Args:
            epoch: its number, from 0.
            running: loss and metrics during training.
            validation: the same on the validation set.

        Returns:
            The learning rates that the callbacks logged, by name.
        """
        self.model.history = self.history
        self._last = {**running, **{f"val_{name}": value for name, value in validation.items()}}
        super().on_epoch_end(epoch, self._last)
        return {
            name: float(value)
            for name, value in self._logs.of_epoch.items()
            if name.startswith("learning_rate") and isinstance(value, Real)
        }

    @property
    def stopped(self) -> bool:
        """Whether a callback has ended the training."""
        return bool(self.model.stop_training)

    def end(self) -> None:
        """Report the end of the training, after what `Model.fit` does to the weights then."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        super().on_train_end(self._last)


class _Logs(callbacks.Callback):
    """Keeps the logs of an epoch as the callbacks before it left them."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.of_epoch = logs or {}
