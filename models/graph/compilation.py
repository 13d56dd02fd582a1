"""Compiles a clone as its original is compiled."""

from __future__ import annotations

from typing import Any

import keras

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.building_copies import not_cloneable


def compile_like(source: keras.Model, target: keras.Model) -> None:
    """Compile a clone in the same way as its original, with a new optimizer and new metrics.

    Args:
        source: the original; if it is not compiled, nothing happens.
        target: the clone.
    """
    if not source.compiled:
        return
    if not target.compiled:  # as one is that was built again
        _compile_clone(source, target)
    if target.built and target.optimizer is not None:
        # Saving a compiled model needs the optimizer's variables.
        target.optimizer.build(target.trainable_variables)


def _compile_clone(source: keras.Model, target: keras.Model) -> None:
    arguments = keras_internals.compile_arguments(source)
    arguments["optimizer"] = _fresh_copy(source.optimizer)
    for kind in ("metrics", "weighted_metrics"):
        arguments[kind] = keras.tree.map_structure(_fresh_copy, arguments[kind])
    try:
        target.compile(**arguments)
    except Exception as error:  # a compile of the model's own may take other arguments
        raise not_cloneable(source, "compile() with the arguments of Keras", error) from error
    if getattr(source.optimizer, "weight_decay", None):
        before, after = source.trainable_variables, target.trainable_variables
        if {id(each) for each in before} == {id(each) for each in after}:
            before = after  # they share their variables, whose order may differ
        without = [
            new
            for old, new in zip(before, after, strict=True)
            if not keras_internals.uses_weight_decay(source.optimizer, old)
        ]
        target.optimizer.exclude_from_weight_decay(var_list=without)


def _fresh_copy(thing: Any) -> Any:
    """A copy of an optimizer or metric without its state; anything else is returned unchanged."""
    if not isinstance(thing, keras.optimizers.Optimizer | keras.metrics.Metric):
        return thing
    # Schedules and functions have no state, and recreating them from a configuration would
    # require that they are registered with Keras.
    if type(thing) is keras.metrics.MeanMetricWrapper:
        function, arguments = keras_internals.function_of_metric(thing)
        return type(thing)(function, name=thing.name, dtype=thing.dtype, **arguments)
    try:
        config = thing.get_config()
        schedule = keras_internals.learning_rate_of(thing)
        if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            config["learning_rate"] = schedule
        return type(thing).from_config(config)
    except Exception as error:  # the code of a custom class may raise anything
        raise not_cloneable(thing, "from_config(get_config())", error) from error
