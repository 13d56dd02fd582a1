"""Labels in the form that the loss of a compiled model expects."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import losses

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.training_methods import IN_STEPS, overridden_method
from dropout_zoo.models.keras_internals import compile_arguments, function_of_metric
from dropout_zoo.training.data.array_checks import IF_QUANTITIES, Array, Pair, is_integer
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import Structure, arrays_of, is_structure, take
from dropout_zoo.training.defaults import Task

# Keras builds each of its loss classes around one of these functions and keeps it as `fn`.
SPARSE_LOSSES = (losses.sparse_categorical_crossentropy, losses.circle)
ONE_HOT_LOSSES = (
    losses.categorical_crossentropy,
    losses.categorical_focal_crossentropy,
    losses.categorical_hinge,
    losses.kl_divergence,
)
BINARY_LOSSES = (losses.binary_crossentropy, losses.binary_focal_crossentropy)


REGRESSION_LOSSES = (
    losses.mean_squared_error,
    losses.mean_absolute_error,
    losses.mean_absolute_percentage_error,
    losses.mean_squared_logarithmic_error,
    losses.huber,
    losses.log_cosh,
    losses.poisson,
)


def task_of_loss(model: keras.Model) -> Task | None:
    """Return the task that the loss of a model implies for numbers, one for each example.

    Args:
        model: a model.

    Returns:
        ``"classification"`` if the loss takes class numbers; ``"regression"`` if it does not and
        there is one output unit; None if the model has several losses or none, or both are
        possible.
    """
    if not model.compiled or not isinstance(model.loss, str | Callable):
        return None
    loss, shape = loss_function(model), _output_shape(model)
    if loss in SPARSE_LOSSES:
        return "classification"
    if loss in (*ONE_HOT_LOSSES, *BINARY_LOSSES):
        return None
    one_unit = loss in REGRESSION_LOSSES if shape is None else shape == (None, 1)
    return "regression" if one_unit else None


def targets_for(model: keras.Model, y: Array, num_classes: int | None) -> Array:
    """Convert labels or targets to the form that the loss of a model expects.

    A custom loss, which may take class numbers or one-hot rows, or several outputs for one target,
    receives labels and targets as they are, unless the model has one output unit.

    Args:
        model: a compiled model with one output of shape ``(batch, units)``.
        y: integer labels from 0 or float targets, of shape ``(examples,)``; for a reconstruction
            the flattened inputs, of shape ``(examples, features)``.
        num_classes: number of classes; None for a regression or a reconstruction.

    Returns:
        int32 of shape ``(examples,)`` for a sparse or custom loss, float32 of that shape for
        targets of a custom loss; otherwise float32, of shape
        ``(examples, 1)`` for a model with one output unit, one-hot ``(examples, num_classes)``, or
        ``(examples, features)``.

    Raises:
        ValueError: the model is not compiled, has several outputs, or does not fit the data.

    Example:
        >>> import numpy as np
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.training import targets_for
        >>> targets_for(build_mlp(num_classes=3), np.array([0, 2]), num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]], dtype=float32)
    """
    return _targets_for(model, _output_shape(model), y, num_classes)


def _targets_for(model: keras.Model, shape: Any, y: Array, num_classes: int | None) -> Array:
    loss = loss_function(model)
    y = _check_values(y, num_classes)
    if _takes_any_outputs(loss, shape) and num_classes is None and y.ndim == 1:
        return y.astype(np.float32)
    units = _output_units(shape)
    if num_classes is None:
        return _regression_targets(loss, y, units)
    # Of these, the output may have any number of units: circle learns embeddings.
    if loss is losses.circle or (_is_custom(loss) and units != 1):
        return y.astype(np.int32)
    if units is None:
        units = _units_implied(model, loss, num_classes)
    _check_class_units(model, loss, units, num_classes, y)
    if loss in SPARSE_LOSSES:
        return y.astype(np.int32)
    if units == 1:
        return y.astype(np.float32)[:, None]
    return np.eye(num_classes, dtype=np.float32)[y]


def with_loss_targets(model: keras.Model, part: Pair, dataset: Dataset) -> Pair:
    """Return examples with their targets in the form that the loss of a model expects.

    Args:
        model: a compiled model.
        part: pair ``(x, y)`` of examples of the dataset.
        dataset: the dataset, which knows the task. Targets of a custom task stay as they are.
            Models with a loss, metric or training code of their own receive labels as they were
            given, unless the loss takes one-hot rows. So do models without a loss.

    Returns:
        Pair of the inputs, and the targets as the loss takes them; None where there are none.

    Raises:
        ValueError: the model does not fit the data.
    """
    x, y = part
    shape = _output_shape(model, x)
    if dataset.task == "reconstruction" and _rank(shape) == x.ndim:
        y = x  # as it is, where the model does not flatten it
    own_code = overridden_method(model, IN_STEPS) is not None
    if y is None:
        if not own_code:
            _check_no_loss(model)
        return x, None
    if dataset.task == "custom" or y is x:
        if not own_code and model.loss is not None:
            _check_custom_targets(model, shape, y)
        return x, y
    if model.loss is None or (own_code and loss_function(model) not in ONE_HOT_LOSSES):
        return x, _as_given(dataset, y)
    targets = _targets_for(model, shape, y, dataset.num_classes)
    if y.ndim == 1 and (targets.ndim == 1 or targets.shape[1] == 1):
        one_hot = dataset.target_shape not in ((), (1,))
        if _is_custom(loss_function(model)) or (not one_hot and _has_custom_metric(model)):
            targets = _as_given(dataset, y)
    return x, targets


def _check_no_loss(model: keras.Model) -> None:
    if model.loss is not None:
        losses_given = ", ".join(
            str(getattr(each, "name", None) or getattr(each, "__name__", each))
            for each in keras.tree.flatten(model.loss)
        )
        raise ValueError(
            f"expected y, which the loss of {model.name!r} ({losses_given}) needs, received x "
            "alone; pass y (target, for a column of a data frame), or compile the model without a "
            "loss if its own code computes one"
        )


def describe_given_labels(model: keras.Model, dataset: Dataset) -> str:
    """Say in which form the model receives labels, for the message where it fails on them.

    Args:
        model: a compiled model.
        dataset: the dataset.

    Returns:
        The end of a sentence; empty for losses of Keras, and other tasks.
    """
    if dataset.train[1] is None:
        return "; no y was given, which a loss or metric may need"
    if dataset.num_classes is None or model.loss is None or not _is_custom(loss_function(model)):
        return ""
    if dataset.target_shape in ((), (1,)):
        form, other = "integers", "one-hot rows, pass keras.utils.to_categorical(y)"
    else:
        form, other = "one-hot rows", "integers, pass y.argmax(axis=1)"
    return f"; its loss received the labels as {form}; if it takes {other}"


def _as_given(dataset: Dataset, y: Array) -> Array:
    """Labels or targets in the shape in which `Model.fit` would have received them."""
    if dataset.target_shape in ((), (1,)):
        return y.reshape(len(y), *dataset.target_shape)
    return np.eye(*dataset.target_shape, dtype=np.float32)[y]


def _output_shape(model: keras.Model, x: Structure = None) -> Any:
    """The shape of the output, or a structure of shapes; None if it is not known.

    Args:
        model: a model.
        x: inputs, which a subclassed model is called with: it records no shape. Nor is that of a
            model of strings certain: the one that Keras states for `TextVectorization` with words
            as columns has an axis too many.
    """
    stated = getattr(model, "output_shape", None)
    if x is None or not (stated is None or any(each.dtype == object for each in arrays_of(x))):
        return stated
    try:
        outputs = model(take(x, slice(1)))
    except Exception:  # which the first evaluation reports
        if stated is None:
            raise
        return stated
    return keras.tree.map_structure(lambda each: (None, *each.shape[1:]), outputs)


def _rank(shape: Any) -> int | None:
    """Number of axes of the output, with that of the batch; None for several or unknown ones."""
    return len(shape) if isinstance(shape, tuple) and _is_shape(shape) else None


def _check_custom_targets(model: keras.Model, shape: Any, y: Structure) -> None:
    """Refuse targets whose shape the loss would silently broadcast to that of the output."""
    if is_structure(y) or _rank(shape) != y.ndim:
        return
    loss = loss_function(model)
    if loss in SPARSE_LOSSES or _takes_any_outputs(loss, shape):
        return
    if any(side not in (None, given) for side, given in zip(shape[1:], y.shape[1:], strict=True)):
        raise ValueError(
            f"expected outputs of shape {('examples', *y.shape[1:])}, as the targets, "
            f"received {('examples', *shape[1:])}; change the last layer, or the targets"
        )


def _is_shape(shape: Any) -> bool:
    return all(side is None or is_integer(side) for side in shape)


def _is_custom(loss: Callable[..., Any]) -> bool:
    """Whether a loss or metric is not one of Keras's, so that it may take labels in any form."""
    return (getattr(loss, "__module__", None) or "").partition(".")[0] != "keras"


def _has_custom_metric(model: keras.Model) -> bool:
    """Whether a metric is not one of Keras's, so that it may depend on the shape of labels."""
    arguments = compile_arguments(model)
    given = [arguments.get(name) for name in ("metrics", "weighted_metrics")]
    metrics = [each for each in keras.tree.flatten(given) if callable(each)]
    return any(
        _is_custom(function_of_metric(each)[0])
        if type(each) is keras.metrics.MeanMetricWrapper
        else _is_custom(each)
        for each in metrics
    )


def _takes_any_outputs(loss: Callable[..., Any], shape: Any) -> bool:
    """Whether a custom loss may take outputs of a shape for targets of another, as quantiles."""
    return _is_custom(loss) and _rank(shape) is not None and shape[1:] != (1,)


def _one_unit_fits(loss: Callable[..., Any], num_classes: int) -> bool:
    """Return whether one output unit is enough for two classes."""
    return num_classes == 2 and loss not in (*SPARSE_LOSSES, *ONE_HOT_LOSSES)


def _units_implied(model: keras.Model, loss: Callable[..., Any], num_classes: int) -> int:
    """Number of output units that a loss implies, for a model without a known output shape."""
    if loss not in (*SPARSE_LOSSES, *ONE_HOT_LOSSES, *BINARY_LOSSES):
        raise ValueError(
            "expected a model whose output shape is known before it is called, received "
            f"{type(model).__name__}; build it as a functional or Sequential model"
        )
    return 1 if loss in BINARY_LOSSES and num_classes == 2 else num_classes


def _check_class_units(
    model: keras.Model, loss: Callable[..., Any], units: int, num_classes: int, y: Array
) -> None:
    one_fits = _one_unit_fits(loss, num_classes)
    if units == num_classes or (units == 1 and one_fits):
        return
    remedies = ["change the last layer, or use other data"]
    if len(y) > 1 and y.min() > 0:
        remedies.append("or number the classes from 0, as no label is 0")
    if units == 1 and num_classes != 2:
        remedies.append(f"or, {IF_QUANTITIES}")
    if _is_as_wide(model, units):
        remedies.append("or set the task to reconstruction")
    raise ValueError(
        f"expected {num_classes} output units, one for each class"
        f"{' (or 1 for both)' if one_fits else ''}, received {units}; {', '.join(remedies)}"
    )


def loss_function(model: keras.Model) -> Callable[..., Any]:
    """Return the function of a model's only loss, which returns a value for each example or step.

    Raises:
        ValueError: the model has no loss, or several.
    """
    if not model.compiled or model.loss is None:
        raise ValueError(
            "expected a compiled model with a loss, received one without; "
            "call model.compile(optimizer, loss)"
        )
    loss = model.loss
    if isinstance(loss, (list, tuple, dict)):
        entries = list(loss.values()) if isinstance(loss, dict) else list(loss)
        if len(entries) != 1:
            raise ValueError(
                f"expected one output and one loss for one label or target per example, "
                f"received {len(entries)} losses; give the targets as a dict or list with one "
                "array for each output"
            )
        loss = entries[0]
    loss = losses.get(loss)
    function: Callable[..., Any] = getattr(loss, "fn", loss)
    return function


def _check_values(y: Array, num_classes: int | None) -> Array:
    y = np.asarray(y)
    if y.ndim != 1 and (num_classes is not None or y.ndim != 2):
        raise ValueError(f"expected y of shape (examples,), received {y.shape}")
    if num_classes is None:
        return y
    check_count(num_classes, "num_classes", minimum=2)
    if y.dtype.kind not in "iu" or (y.size and not 0 <= y.min() <= y.max() < num_classes):
        raise ValueError(
            f"expected integer labels from 0 to {num_classes - 1}, received {y.dtype} "
            f"from {y.min()} to {y.max()}"
        )
    return y


def _output_units(shape: Any) -> int | None:
    """Number of output units; None for a subclassed model, whose shape is unknown."""
    if shape is None:
        return None
    if isinstance(shape, dict) or not _is_shape(shape):
        raise ValueError(
            f"expected one output of shape (batch, units) for one label or target per "
            f"example, received {shape}; give the targets as a dict or list with one array for "
            "each output"
        )
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"expected one output of shape (batch, units) for one label or target per "
            f"example, received {shape}; end the model with Flatten and Dense, or give targets of "
            "the shape of the output"
        )
    return int(shape[1])


def _is_as_wide(model: keras.Model, units: int) -> bool:
    """Whether a model has as many outputs as inputs, as an autoencoder has."""
    shape = getattr(model, "input_shape", None)
    return isinstance(shape, tuple) and None not in shape[1:] and units == math.prod(shape[1:])


def _regression_targets(loss: Callable[..., Any], y: Array, units: int | None) -> Array:
    if loss in (*SPARSE_LOSSES, *ONE_HOT_LOSSES):
        raise ValueError(
            f"expected a loss for a regression, such as mse, received "
            f"{getattr(loss, '__name__', loss)}, which is for classes; floats are targets of a "
            "regression: for classes, pass integers, as in y.astype(int)"
        )
    if y.ndim == 2:
        if units not in (None, y.shape[1]):
            raise ValueError(
                f"expected {y.shape[1]} output units, one for each feature to reconstruct, "
                f"received {units}; take a model that reproduces its input, such as "
                "'autoencoder', or set another task"
            )
    elif units not in (None, 1):
        raise ValueError(
            f"expected 1 output unit for one target per example, received {units}; change "
            f"the last layer to one unit, or give targets of shape (examples, {units})"
        )
    if loss in BINARY_LOSSES and y.size and not 0 <= y.min() <= y.max() <= 1:
        raise ValueError(
            f"expected targets from 0 to 1 for {loss.__name__}, received {y.min()} to "
            f"{y.max()}; use a loss such as mse"
        )
    return y.astype(np.float32).reshape(len(y), -1)
