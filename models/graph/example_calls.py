"""Calls of models on random examples: some weights exist, and some faults show, only after one."""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from dropout_zoo.models import keras_internals
from dropout_zoo.models.graph.building_copies import dtypes_of_inputs, shapes_by_argument
from dropout_zoo.models.graph.model_graph import flat_layers, has_own_code, is_plain_model
from dropout_zoo.models.random_state import random_states_restored, variables_restored

_OPEN_LENGTHS = (4, 32, 128)  # of axes whose length is open: the code of a layer may need a few


def example_inputs(model: keras.Model) -> Iterator[dict[str, Any]]:
    """Yield random inputs that a built model may take.

    Args:
        model: the model.

    Yields:
        Inputs of two examples, as the arguments of its call. Another sort of inputs follows in case
        the model does not take the ones before.
    """
    if not is_plain_model(model):
        shapes = shapes_by_argument(model)
        for dtypes in dtypes_of_inputs(shapes):
            draw, of = np.random.default_rng(0), iter(dtypes)
            yield keras.tree.map_shape_structure(
                lambda shape, of=of, draw=draw: _example(shape, next(of), draw, _OPEN_LENGTHS[0]),
                shapes,
            )
        return
    graph: Any = model
    if isinstance(model, keras.Sequential):
        graph = keras_internals.functional_of(model)
        if graph is None:  # Keras knows no shapes of its inputs
            return
    first = next(iter(inspect.signature(model.call).parameters))
    is_open = any(None in tensor.shape[1:] for tensor in keras.tree.flatten(graph.input))
    for length in _OPEN_LENGTHS[: None if is_open else 1]:
        draw = np.random.default_rng(0)
        yield {
            first: keras.tree.map_structure(
                lambda x, draw=draw, length=length: _example(x.shape, x.dtype, draw, length),
                graph.input,
            )
        }


def outputs_at_inference(model: keras.Model, inputs: dict[str, Any], seed: int = 0) -> list[Any]:
    """Return the outputs of a model, in which random numbers are the same as in its clone.

    The sampling layer of a variational autoencoder, for example, draws some at inference too.

    Args:
        model: the model, whose variables are set back afterwards.
        inputs: the arguments of its call.
        seed: a whole number of at least 0.

    Returns:
        One array per output.
    """
    with (
        random_states_restored(),
        variables_restored(model.non_trainable_variables),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of the user's own code, which warns by itself
        random.seed(seed)
        np.random.seed(seed)
        keras_internals.global_seed_generator().state.assign([seed, 0])
        for number, layer in enumerate([model, *flat_layers(model)]):
            for generator in keras_internals.seed_generators(layer):
                generator.state.assign([number, seed])
        return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(model(**inputs))]


def create_all_weights(model: keras.Model) -> None:
    """Call a model with custom code on an example, if layers inside it are not built.

    A layer that has no `build`, or one that leaves out inner layers, creates their weights when it
    is called. Where no example suits the model, nothing changes.

    Args:
        model: a model; one that is not built stays so.
    """
    if not model.built or all(layer.built for layer in flat_layers(model)):
        return
    if not has_own_code(model):
        return
    with random_states_restored():
        for inputs in example_inputs(model):
            try:
                outputs_at_inference(model, inputs)
            except Exception:  # the user's own code may raise anything
                continue
            return


def _example(shape: Any, dtype: str, draw: np.random.Generator, open_length: int) -> Any:
    sizes = [2, *(open_length if side is None else side for side in shape[1:])]
    if "int" in dtype or dtype == "bool":
        return keras.ops.convert_to_tensor(draw.integers(0, 2, sizes), dtype)
    numbers = draw.uniform(size=sizes).astype("float32")
    if dtype == "string":
        return keras.ops.convert_to_tensor(numbers.astype(str).astype(object), "string")
    return keras.ops.convert_to_tensor(numbers)
