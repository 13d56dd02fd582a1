"""Checks that model, data and settings fit together, and prepares what the engines need."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from dropout_zoo.models.factory import check_compiled, copy_to_build
from dropout_zoo.models.graph.builders import builder_of, remember_builder
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.cloning import is_built_again, why_not_cloneable
from dropout_zoo.models.graph.model_graph import flat_layers, has_own_code
from dropout_zoo.models.graph.runtime_rates import runtime_rates
from dropout_zoo.models.graph.training_methods import (
    IN_STEPS,
    TEST_STEP,
    check_has_call,
    computes_loss_in_training_only,
    overridden_method,
)
from dropout_zoo.models.keras_internals import learning_rate_of
from dropout_zoo.training.data.keras_inputs import as_keras_inputs
from dropout_zoo.training.data.structures import (
    Structure,
    arrays_of,
    is_structure,
    map_arrays,
    num_examples,
    shapes_of,
    take,
)
from dropout_zoo.training.data.targets import (
    describe_given_labels,
    loss_function,
    with_loss_targets,
)
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.objective import (
    Objective,
    as_columns,
    did_you_mean_objective,
    parse_objective,
)
from dropout_zoo.training.plan import Examples, Plan, evaluate
from dropout_zoo.training.repeated_warnings import warn_once
from dropout_zoo.training.settings import ORDERS, TrainSettings

if TYPE_CHECKING:
    from dropout_zoo.training.data.dataset import Dataset


_LOOKUPS = (
    keras.layers.TextVectorization,
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
)


def make_plan(
    model: keras.Model,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    keep_state: bool,
    directory: Path,
    folder: tempfile.TemporaryDirectory[str] | None,
) -> Plan:
    """Check that model, data and settings fit together, and prepare the data.

    Raises:
        ValueError: model, data and settings do not fit.
        TypeError: the model cannot be cloned, and the function that built it is not known.
    """
    check_compiled(model)
    if dataset.stream is not None:
        _check_streamed(dataset, settings)
    model = built(model, dataset)
    _check_adapted(model)
    _check_without_state(model)
    _check_cloneable(model)
    if runtime_rates(model) or settings.learning_rate is not None:
        model = with_rates(model, {})  # a copy, compiled in the same way
    if settings.learning_rate is not None:
        _set_learning_rate(model, settings.learning_rate)

    def examples_of(data: Dataset) -> Examples:
        index = data.training_sample_index(settings.training_sample)
        train = with_loss_targets(model, data.train, dataset)
        validation: tuple[Structure, ...] = with_loss_targets(model, data.validation, dataset)
        sample = take(train, index)
        if data.validation_weight is not None:  # both are measured alike
            weight = data.sample_weight
            if weight is None:
                count = num_examples(data.train[0])
                weight = map_arrays(
                    lambda one: np.ones((count, *one.shape[1:]), "float32"), data.validation_weight
                )
            sample = (*sample, take(weight, index))
            validation = (*validation, data.validation_weight)
        return Examples(
            train=train,
            sample_weight=_sample_weight(data, settings.class_weight),
            validation=validation,
            sample=sample,
        )

    _check_weights_of_steps(model, dataset)
    examples = examples_of(dataset)
    hint = _hint_of_failure(model, dataset)
    columns = _try_out(model, examples, parse_objective(settings.objective), hint)
    plan = Plan(
        model=model,
        examples=examples,
        resplit=lambda split: examples_of(dataset.resplit(split)),
        settings=settings,
        keep_state=keep_state,
        directory=directory,
        folder=folder,
        columns=columns,
        stream=dataset.stream,
    )
    if settings.initial_weights == "fresh":
        _warn_of_fixed_weights(plan)
    return plan


def _hint_of_failure(model: keras.Model, dataset: Dataset) -> str:
    """What to do if a model fails on the first examples, as the end of a sentence."""
    if dataset.stream is not None:
        return "; it receives streamed batches as they are, and its loss has to take their targets"
    hint = describe_given_labels(model, dataset)
    if dataset.encoder is None:
        return hint
    hint += "; the columns are encoded as numbers for it, so that a model that "
    if any(isinstance(layer, _LOOKUPS) for layer in flat_layers(model)):
        return (
            f"{hint}looks up strings itself needs them in arrays: pass dict(frame), or the only "
            "column as frame['name']"
        )
    return (
        f"{hint}takes raw columns, such as a best.keras, has to be given without its encoder: "
        "model.get_layer(model.name)"
    )


def _check_weights_of_steps(model: keras.Model, dataset: Dataset) -> None:
    """Check that the loss has a value for each weight; Keras would broadcast one to the other."""
    weights = [w for w in (dataset.sample_weight, dataset.validation_weight) if w is not None]
    own_code = overridden_method(model, IN_STEPS) is not None
    if not weights or is_structure(weights[0]) or model.loss is None or own_code:
        return
    if weights[0].ndim == 1:
        return
    one = slice(1)
    x, y = with_loss_targets(model, take(dataset.train, one), dataset)
    loss = loss_function(model)
    try:
        unreduced = loss.call if isinstance(loss, keras.losses.Loss) else loss
        values = unreduced(keras.ops.convert_to_tensor(y), model(as_keras_inputs(x)))
    except Exception:  # the user's own code may raise anything, which the first evaluation reports
        return
    if tuple(values.shape) != weights[0][one].shape:
        expected = ", ".join(map(str, ("examples", *values.shape[1:])))
        raise ValueError(
            f"expected weights of shape ({expected}), one for each value of the loss of "
            f"{model.name!r}, received {weights[0].shape}"
        )


def _check_streamed(dataset: Dataset, settings: TrainSettings) -> None:
    """Check that no setting asks for what needs all examples, or changes the batches."""
    expected = {"batch_size": dataset.batch_size, "order": ORDERS[0], "class_weight": None}
    for name, value in expected.items():
        if getattr(settings, name) != value:
            raise ValueError(
                f"expected {name}={value!r} with streamed training examples, whose batches are "
                f"used as they are, received {getattr(settings, name)!r}"
            )


def _check_cloneable(model: keras.Model) -> None:
    """Check that a model with custom code is computed in the same way by its clones."""
    if has_own_code(model) and not is_built_again(model):
        reason = why_not_cloneable(model)
        if reason is not None:
            raise TypeError(reason)


def _set_learning_rate(model: keras.Model, learning_rate: float) -> None:
    """Change the learning rate of a model and of the copies that its builder makes."""
    try:
        model.optimizer.learning_rate = learning_rate
    except TypeError:
        schedule = type(learning_rate_of(model.optimizer)).__name__
        raise ValueError(
            "expected a model whose optimizer has a constant learning rate, received one with "
            f"{schedule}; leave learning_rate (--learning-rate) out, or compile the model with a "
            "number"
        ) from None
    build = builder_of(model)
    if build is not None:
        remember_builder(model, functools.partial(_built_with, build, learning_rate))


def _built_with(build: Callable[[], keras.Model], learning_rate: float) -> keras.Model:
    model = build()
    model.optimizer.learning_rate = learning_rate
    return model


def _warn_of_fixed_weights(plan: Plan) -> None:
    """Say which initial weights the code of a model fixes, so that members share them."""
    model = plan.model
    if not has_own_code(model):
        return  # seeds in configurations do not count
    fixed = [
        weight.path
        for weight, one, other in zip(
            model.weights, plan.start_weights(0), plan.start_weights(1), strict=True
        )
        if weight.trainable and _seems_drawn(one) and np.array_equal(one, other)
    ]
    if fixed:
        names = ", ".join(map(repr, fixed[:3])) + (", ..." if len(fixed) > 3 else "")
        warn_once(
            f"expected initial weights that are drawn from the seed of a member, received {names}, "
            f"which {model.name!r} gives the same values every time; remove the seeds from the "
            "initializers in its code, if that is not intended",
        )


def _seems_drawn(values: np.ndarray) -> bool:
    """Whether initial weights look random: not the zeros and ones of the bias of an LSTM."""
    constants = 1 if values.size <= 2 else 2
    return np.unique(values).size > constants


def built(model: keras.Model, dataset: Dataset) -> keras.Model:
    """Return a model that has been called on an example of the data, unless it is built already.

    A caller's model is not changed if it can be copied before it is built; see `copy_to_build`.

    Raises:
        ValueError: the model has no `call`, or it fails.
    """
    _check_vocabularies(model)
    check_has_call(model)
    if model.built:
        return model
    model = copy_to_build(model)
    x = take(dataset.train[0], slice(1))
    try:
        model(as_keras_inputs(x))
    except Exception as error:  # the user's own code may raise anything
        raise error_of_inputs(model, x, error) from error
    return model


def _check_vocabularies(model: keras.Model) -> None:
    """Check that every lookup layer has a vocabulary."""
    for layer in flat_layers(model):
        if not isinstance(layer, _LOOKUPS):
            continue
        if not layer.get_vocabulary(include_special_tokens=False):
            raise ValueError(
                f"expected layers that know their vocabulary, received {layer.name!r} "
                f"({type(layer).__name__}) without one; call its adapt(x) with the training "
                "inputs, or give it a vocabulary"
            )


def _check_adapted(model: keras.Model) -> None:
    """Check that no `Normalization` still has the statistics that Keras creates it with."""
    for layer in flat_layers(model):
        if not isinstance(layer, keras.layers.Normalization) or not layer.built:
            continue
        if layer.input_mean is not None:  # it was created with its statistics
            continue
        mean, variance, count = map(
            keras.ops.convert_to_numpy, (layer.adapt_mean, layer.adapt_variance, layer.count)
        )
        if not (count or mean.any()) and (variance == 1).all():
            raise ValueError(
                f"expected Normalization layers that have been adapted, received {layer.name!r} "
                "with a mean of 0 and a variance of 1, which leaves its inputs as they are; call "
                "its adapt(x) with the training inputs, or remove it"
            )


def _check_without_state(model: keras.Model) -> None:
    """Check that no layer keeps a state from one batch to the next."""
    for layer in flat_layers(model):
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            raise ValueError(
                "expected layers whose outputs do not depend on earlier batches, received "
                f"{layer.name!r} ({type(layer).__name__}) with stateful=True, which takes batches "
                "of one size in a fixed order; leave stateful out, and give longer sequences if it "
                "has to remember more"
            )


def error_of_inputs(
    model: keras.Model, x: Structure, error: Exception, hint: str = ""
) -> ValueError:
    """Return the error to raise where a model fails on its inputs.

    Args:
        model: the model.
        x: the inputs.
        error: what the model raised.
        hint: what to do, as the end of the sentence.

    Returns:
        An error that names the model and the shape of the inputs.
    """
    if any(array.dtype == object for array in arrays_of(x)):
        hint = (
            "; strings are taken by a model with keras.layers.TextVectorization or StringLookup on "
            f"an Input of dtype 'string', and numbers have to be given as numbers{hint}"
        )
    return ValueError(
        f"expected a model that takes inputs of shape {shapes_of(x)}, received {model.name!r}, "
        f"which fails on the first examples: {reason_of(error)}{hint}"
    )


def _try_out(
    model: keras.Model, examples: Examples, objective: Objective, hint: str = ""
) -> list[str]:
    """Evaluate a few examples, so that mistakes are found before any training.

    Returns:
        The names of what is measured after each epoch.
    """
    # More than one, because weights of one example fit targets of any shape.
    x, *others = take(examples.training_data(), slice(3))
    try:
        measured = as_columns(evaluate(model, (x, *others)))
    except Exception as error:  # the user's own code may raise anything
        if model.loss is None and computes_loss_in_training_only(model):
            raise ValueError(
                "expected a model that computes its loss when it is evaluated, received "
                f"{model.name!r}, whose class {type(model).__name__} does so in train_step only: "
                f"{reason_of(error)}; add {TEST_STEP}"
            ) from error
        raise error_of_inputs(model, x, error, hint) from error
    columns = [*measured, *(f"{part}_{name}" for part in ("train", "val") for name in measured)]
    if objective.name not in columns:
        # Those of the training examples say little about dropout; a search refuses them.
        of_validation = ", ".join(f"val_{name}" for name in measured)
        raise ValueError(
            f"expected the objective to be one of {of_validation}, received "
            f"{objective.name!r}{did_you_mean_objective(objective.name, measured)}"
        )
    return columns


def _sample_weight(dataset: Dataset, class_weight: Mapping[int, float] | None) -> Structure | None:
    weights = dataset.sample_weight
    if class_weight is None:
        return weights
    if dataset.num_classes is None:
        raise ValueError("expected class_weight only for a classification, received other data")
    unknown = [label for label in class_weight if label not in range(dataset.num_classes)]
    if unknown:
        raise ValueError(
            f"expected class_weight by class number from 0 to {dataset.num_classes - 1}, "
            f"received {unknown}"
        )
    by_class = np.array([class_weight.get(c, 1.0) for c in range(dataset.num_classes)], "float32")
    per_example = by_class[dataset.train[1]]
    return per_example if weights is None else weights * per_example
