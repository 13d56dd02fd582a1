"""Transfer learning: a model whose hidden layers were trained on other data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from dropout_zoo.models.factory import ModelLike
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.studies.site_groups import build_with
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.defaults import BATCH_SIZE
from dropout_zoo.training.engine.trainer import train_members
from dropout_zoo.training.members import Member
from dropout_zoo.training.seeding import fresh_weights

_SEED = 0


def transferred_model(
    model: ModelLike,
    arguments: Mapping[str, Any],
    dataset: Dataset,
    source: Dataset,
    epochs: int,
    batch_size: int = BATCH_SIZE,
) -> keras.Model:
    """Build a model for a dataset, with hidden layers that were trained on another.

    Args:
        model: a registered name or a builder function.
        arguments: arguments of the builder that differ from its defaults.
        dataset: the data the model is for.
        source: the data its hidden layers are trained on; the inputs have the same shape.
        epochs: number of epochs on `source`.
        batch_size: batch size on `source`.

    Returns:
        A new compiled model. Layers of the same shape in both models, except the last one, have the
        trained weights; the others have fresh weights.

    Raises:
        ValueError: the inputs of the two datasets have different shapes.
        RuntimeError: the training on `source` failed.
    """
    if source.input_shape != dataset.input_shape:
        raise ValueError(
            f"expected transfer data with inputs of shape {dataset.input_shape}, received "
            f"{source.input_shape}"
        )
    teacher = build_with(model, source, arguments)
    [trained] = train_members(
        teacher, [Member({}, _SEED)], source, epochs=epochs, batch_size=batch_size
    )
    built = with_rates(build_with(model, dataset, arguments), {})  # never the caller's own
    built.set_weights(fresh_weights(built, _SEED))
    layers = zip(flat_layers(trained.model()), flat_layers(built), strict=True)
    weighted = [(old, new) for old, new in layers if new.weights]
    for old, new in weighted[:-1]:
        if [w.shape for w in old.weights] == [w.shape for w in new.weights]:
            new.set_weights(old.get_weights())
            if hasattr(new, "finalize_state"):
                new.finalize_state()  # else it computes with the statistics that it had before
    return built
