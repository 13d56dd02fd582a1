"""Weights of the zoo's networks that were trained with dropout, and what they are worth."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import did_you_mean

if TYPE_CHECKING:
    import keras

WEIGHTS = Path(__file__).parent / "weights"
"""The weights: in a directory per model, an `.npz` each with its card, a `.json`."""


@dataclass(frozen=True)
class Estimate:
    """A mean over several seeds, with its confidence interval.

    Attributes:
        mean: mean over the seeds, in percent.
        low: lower end of the 95% confidence interval (Student's t).
        high: upper end of the interval.

    Example:
        >>> from dropout_zoo.models import Estimate
        >>> str(Estimate(1.5, low=1.25, high=1.75))
        '1.50% (95% CI 1.25 to 1.75)'
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f}% (95% CI {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class WeightsCard:
    """How weights were trained, and what they are worth.

    Attributes:
        model: registered name of the model.
        weights: name of the weights, after the data that they were trained on.
        command: command that trains them again.
        arguments: shape of one example and number of classes, as builders take them.
        data: source, fingerprint and number of examples per part.
        training: optimizer, learning rate, batch size, largest number of epochs and patience.
        rates: rate (fraction dropped) by site path with which they were trained.
        seeds: number of seeds on which the test errors were measured.
        seed: seed of these weights, the first of them.
        best_epoch: epoch after which they were taken, the one with the lowest validation error.
        test_error: test error, with these rates and without dropout.
        gain: by how many percentage points dropout lowers it, on the same seeds.
        test_error_of_weights: test error of these weights, in percent.
        versions: versions of the libraries.
        processor: the processor on which they were trained.
        sha256: checksum of the file with the weights.

    Example:
        >>> from dropout_zoo.models import weights_card
        >>> card = weights_card("mlp", "mnist")
        >>> card.rates
        {'hidden_1_dropout': 0.5, 'hidden_2_dropout': 0.3}
    """

    model: str
    weights: str
    command: str
    arguments: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    rates: Mapping[str, float]
    seeds: int
    seed: int
    best_epoch: int
    test_error: Mapping[str, Estimate]
    gain: Estimate
    test_error_of_weights: float
    versions: Mapping[str, str]
    processor: str
    sha256: str

    def __str__(self) -> str:
        examples, training = self.data["examples"], self.training
        rates = ", ".join(f"{path} {rate:.2f}" for path, rate in self.rates.items())
        return "\n".join(
            [
                f"{self.model}, weights {self.weights!r}: test error "
                f"{self.test_error_of_weights:.2f}%",
                f"Data: {self.weights}, {examples['train']:,} examples for training, "
                f"{examples['validation']:,} for validation, {examples['test']:,} for the test",
                f"Rates: {rates}",
                f"Training: {training['optimizer']}, learning rate {training['learning_rate']:g}, "
                f"batch size {training['batch_size']}, epoch {self.best_epoch}, the one with the "
                f"lowest validation error (patience {training['patience']}), seed {self.seed}",
                f"Test error with dropout: {self.test_error['dropout']}",
                f"Test error without dropout: {self.test_error['no dropout']}",
                f"Gain by dropout: {self.gain.mean:.2f} percentage points (95% CI "
                f"{self.gain.low:.2f} to {self.gain.high:.2f}), {self.seeds} paired seeds",
                "The intervals are over the seeds; all runs were tested on the same examples.",
                f"Train them again: {self.command}",
                f"sha256: {self.sha256}",
            ]
        )


def weights_card(model: str, weights: str) -> WeightsCard:
    """Return the card of the weights that come with the package.

    Args:
        model: registered name of the model, such as ``"mlp"``.
        weights: name of the weights, such as ``"mnist"``.

    Returns:
        The card.

    Raises:
        ValueError: there are no such weights.

    Example:
        >>> from dropout_zoo.models import weights_card
        >>> weights_card("mlp", "mnist").test_error_of_weights < 3
        True
    """
    names = weights_of(model)
    if not names:
        raise ValueError(
            f"expected a model that comes with trained weights ({', '.join(_models())}), received "
            f"{model!r} with weights={weights!r}"
        )
    if weights not in names:
        raise ValueError(
            f"expected the weights of {model!r} to be {' or '.join(map(repr, names))}, or None for "
            f"random ones, received {weights!r}{did_you_mean(str(weights), names)}"
        )
    read = json.loads((WEIGHTS / model / f"{weights}.json").read_text(encoding="utf-8"))
    error = {name: _error(each) for name, each in read["test_error"].items()}
    return WeightsCard(**(read | {"test_error": error, "gain": _error(read["gain"])}))


def weights_of(model: str) -> list[str]:
    """Return the names of the weights of a registered model that come with the package.

    Args:
        model: registered name of the model.

    Returns:
        The names; none for most models.
    """
    return sorted(path.stem for path in (WEIGHTS / str(model)).glob("*.json"))


def load_trained_weights(model: keras.Model, name: str, weights: str) -> None:
    """Set the weights of a model to trained ones.

    Args:
        model: the model.
        name: its registered name.
        weights: name of the weights.

    Raises:
        ValueError: there are no such weights, they are damaged, or the model is of other sizes.
    """
    import numpy as np

    card = weights_card(name, weights)
    file = WEIGHTS / name / f"{weights}.npz"
    content = file.read_bytes() if file.exists() else b""
    received = hashlib.sha256(content).hexdigest()
    if received != card.sha256:
        raise ValueError(
            f"{name}/{file.name}: expected the sha256 {card.sha256}, received {received}; install "
            "the package again"
        )
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    own = {path: tuple(weight.shape) for path, weight in weights_by_path(model).items()}
    given = {path: array.shape for path, array in arrays.items()}
    different = [path for path in own | given if own.get(path) != given.get(path)]
    if different:
        path = different[0]
        raise ValueError(
            f"expected the layers of the registered {name} with weights={weights!r}, in which "
            f"{path} has the shape {given.get(path)}, received {own.get(path)}; leave out the "
            "arguments that change them"
        )
    for path, weight in weights_by_path(model).items():
        weight.assign(arrays[path])
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization computes with copies of its weights
            layer.finalize_state()


def weights_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights of a model of the zoo by layer and name, whatever the model is called."""
    return {weight.path.removeprefix(f"{model.name}/"): weight for weight in model.weights}


def _models() -> list[str]:
    return sorted({path.parent.name for path in WEIGHTS.glob("*/*.json")})


def _error(read: Mapping[str, Any]) -> Estimate:
    return Estimate(**{name: read[name] for name in ("mean", "low", "high")})
