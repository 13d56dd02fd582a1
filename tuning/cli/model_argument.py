"""The argument of the commands that read a model: a name, a function or a file."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from dropout_zoo.models.auditing.formatters import SourceLocation
    from dropout_zoo.training.data.array_checks import Array
    from dropout_zoo.training.data.dataset import Dataset
    from dropout_zoo.training.defaults import Task

SUFFIX = ".keras"


class ModelArgument:
    """The argument that names a model. A file is loaded once, when it is first needed.

    Args:
        text: a registered name, ``package.module:function``, or the path of a ``.keras`` file.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        path = Path(text)
        self.is_file = path.suffix == SUFFIX or path.is_file()

    @property
    def has_loss(self) -> bool:
        """Whether it is a file or function, whose model has a loss of its own."""
        return self.is_file or ":" in self.text

    def find(self, dataset: Dataset | None = None) -> tuple[keras.Model, SourceLocation]:
        """Build or load the model.

        Args:
            dataset: data that a registered model is built for; None for its defaults.

        Returns:
            The model, compiled or not, and the place of its code or file.

        Raises:
            ValueError: the model, function or file does not exist, or cannot be built or loaded.
        """
        from dropout_zoo.models.auditing.formatters import SourceLocation
        from dropout_zoo.models.factory import call_builder, import_function, resolve_model

        if self.is_file:
            return self._loaded, SourceLocation(Path(self.text).as_posix())
        data = {} if dataset is None else dataset.builder_arguments
        if ":" in self.text:
            function = import_function(self.text)
            return call_builder(function, **data), _place_of(function)
        return resolve_model(self.text, **data), SourceLocation()

    def compiled(self) -> keras.Model | str:
        """Return the model of a file, and anything else as it is.

        Returns:
            The compiled model of a ``.keras`` file; otherwise the text, which `resolve_model`
            takes.

        Raises:
            ValueError: the file does not exist, or holds no compiled model that can be loaded.
        """
        if not self.is_file:
            return self.text
        from dropout_zoo.models.factory import check_compiled

        check_compiled(
            self._loaded,
            name=f"{self.text} (as loaded)",  # a loss in the file may be one that cannot be loaded
            remedy="call model.compile(...) before model.save(...), or give a model with a custom "
            "loss as package.module:function",
        )
        return self._loaded

    def task_of(self, labels: Array) -> Task | None:
        """Return the task that the loss of the model implies; see `implied_task`.

        Args:
            labels: numbers.

        Returns:
            The task; None if the loss implies none, or is known only once there are data or
            hyperparameters.

        Raises:
            ValueError: the model, function or file does not exist, or cannot be built or loaded.
        """
        from dropout_zoo.models.factory import builder_arguments, call_builder, import_function
        from dropout_zoo.tuning.build_functions.build_function import takes_hyperparameters
        from dropout_zoo.tuning.implied_task import implied_task

        if self.is_file:
            return implied_task(self._loaded, None, labels)
        if takes_hyperparameters(self.text) or "adapt_to" in builder_arguments(self.text):
            return None
        return implied_task(call_builder(import_function(self.text)), None, labels)

    @functools.cached_property
    def _loaded(self) -> keras.Model:
        return _load_file(Path(self.text))


def _load_file(path: Path) -> keras.Model:
    from dropout_zoo.models.saving import load_saved_model

    if path.suffix != SUFFIX:
        raise ValueError(
            f"expected a {SUFFIX} file, received {path}; save the model with "
            f"model.save('name{SUFFIX}')"
        )
    if not path.is_file():
        raise ValueError(f"expected a {SUFFIX} file, received {path}, which is not a file")
    for compiled in (True, False):  # without a custom loss, the graph can still be loaded
        try:
            with warnings.catch_warnings():
                # A model that was saved before any training has no state of an optimizer.
                warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
                return load_saved_model(path, compile=compiled)
        except ValueError as error:
            failure = error
    raise failure


def _place_of(function: Any) -> SourceLocation:
    from dropout_zoo.models.auditing.formatters import SourceLocation

    try:
        file, (_, line) = inspect.getsourcefile(function), inspect.getsourcelines(function)
    except (OSError, TypeError):  # a builtin, or a class implemented in another language
        return SourceLocation()
    return SourceLocation(Path(os.path.relpath(str(file))).as_posix(), line)
