"""A network with dropout beside averages of several networks, with dropout and without."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.studies.claims.held_out import predictions
from dropout_zoo.studies.experiments.monte_carlo import proper_scores
from dropout_zoo.studies.training_ends import TOLERATED_SHARE, share_not_ended
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.engine.trainer import train_members
from dropout_zoo.training.members import Member, TrainedMember

_NETWORKS = 5


def beside_ensembles(
    model: keras.Model, data: Dataset, training: Mapping[str, Any]
) -> dict[str, float]:
    """Compare a trained network with ensembles, which are trained here on the same data.

    Args:
        model: a classifier with dropout.
        data: the data that it was trained on, with a test set.
        training: how it was trained, as `TrainSettings` takes it.

    Returns:
        ``ensemble_minus_one``, ``ensemble_minus_dropout`` and ``ensemble_gain_change``.

    Raises:
        RuntimeError: networks failed, or too many were not trained to the end.
    """
    assert data.test is not None  # the data of all claims have one
    x, y = data.test
    rates = {site.path: site.rate for site in dropout_sites(model)}
    seeds = network_seeds(data, 2 * _NETWORKS - 1)
    members = [
        *(Member(dict.fromkeys(rates, 0.0), seed) for seed in seeds[:_NETWORKS]),
        *(Member(rates, seed) for seed in seeds[_NETWORKS:]),
    ]
    trained = train_members(model, members, data, **training)
    _check_trained_to_the_end(trained, training["epochs"])
    outputs = [predictions(each, x) for each in [*(each.model() for each in trained), model]]
    without, with_dropout = outputs[:_NETWORKS], outputs[_NETWORKS:]  # the given one is the fifth
    gain = _error(without, y) - _mean_error(without, y)
    gain_with_dropout = _error(with_dropout, y) - _mean_error(with_dropout, y)
    return {
        "ensemble_minus_one": gain,
        "ensemble_minus_dropout": _error(without, y) - _mean_error(with_dropout, y),
        "ensemble_gain_change": gain_with_dropout - gain,
    }


def _check_trained_to_the_end(trained: Sequence[TrainedMember], epochs: int) -> None:
    failed = [each for each in trained if each.status != "completed"]
    lengths = [(each.best_epoch, len(each.curves)) for each in trained]
    if failed or share_not_ended(lengths, epochs) > TOLERATED_SHARE:
        raise RuntimeError(
            f"expected networks that are trained to the end, received {len(failed)} of "
            f"{len(trained)} that failed, and best epochs of {[best for best, _ in lengths]}"
        )


def network_seeds(data: Dataset, count: int) -> list[int]:
    """Return seeds of further networks, others for each draw of the training examples.

    Args:
        data: the data, with the draw.
        count: number of seeds.
    """
    of_the_draw = zlib.crc32(np.ascontiguousarray(data.train[0]).tobytes())
    rng = np.random.default_rng(of_the_draw)
    return [int(seed) for seed in rng.integers(2**31, size=count)]


def _error(outputs: Sequence[np.ndarray], y: np.ndarray) -> float:
    return proper_scores(np.mean(outputs, axis=0), y)["error"]


def _mean_error(outputs: Sequence[np.ndarray], y: np.ndarray) -> float:
    return float(np.mean([proper_scores(each, y)["error"] for each in outputs]))
