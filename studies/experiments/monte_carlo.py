"""Monte Carlo dropout: predictions with dropout on, their spread, and their convergence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.graph.cloning import clone_model, cloned_layer, copy_weights
from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.models.graph.sites import dropout_sites
from dropout_zoo.studies.defaults import PREDICTION_BATCH_SIZE
from dropout_zoo.studies.diagnostics.dropout_switch import DropoutSwitch
from dropout_zoo.studies.result import StudyResult
from dropout_zoo.training.provenance import versions
from dropout_zoo.training.seeding import seed_masks

CONVERGENCE_SAMPLES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)
"""Numbers of passes that are averaged; Srivastava et al. 2014, Fig. 11, average up to 120."""

_EXAMPLES_PER_CALL = 16_384


class MonteCarloPrediction(StudyResult):
    """The predictions of repeated passes with dropout on.

    Attributes:
        kind: ``"monte_carlo"``.
        data: one row per example: ``example``, the mean of each output as ``mean/<output>``, its
            standard deviation over the passes as ``std/<output>``, and, for probabilities,
            ``entropy`` and ``mutual_information``.
        settings: number of ``samples``, and everything else that determines the results.
        versions: versions of the packages that affect the results.
        conclusions: what follows from the data.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import monte_carlo
        >>> from dropout_zoo.training import load_dataset
        >>> x, y = load_dataset("digits").test
        >>> prediction = monte_carlo(build_mlp(), x[:5], samples=3)
        >>> prediction.samples, prediction.mean.shape, prediction.entropy.shape
        (3, (5, 10), (5,))
    """

    expected_kind = "monte_carlo"

    @property
    def mean(self) -> np.ndarray:
        """Mean of the outputs, shape ``(examples, outputs)``."""
        return self._columns("mean/")

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of the outputs over the passes, shape ``(examples, outputs)``."""
        return self._columns("std/")

    @property
    def entropy(self) -> np.ndarray | None:
        """Entropy of the mean in nats, shape ``(examples,)``; None for a regression."""
        return self.data["entropy"].to_numpy(copy=True) if "entropy" in self.data else None

    @property
    def mutual_information(self) -> np.ndarray | None:
        """Disagreement of the passes in nats, shape ``(examples,)``; None for a regression.

        The entropy of the mean minus the mean of the entropies (Gal 2016, Uncertainty in Deep
        Learning, Section 3.3.1).
        """
        name = "mutual_information"
        return self.data[name].to_numpy(copy=True) if name in self.data else None

    @property
    def samples(self) -> int:
        """Number of passes."""
        return int(self.settings["samples"])

    def _columns(self, prefix: str) -> np.ndarray:
        names = [name for name in self.data if name.startswith(prefix)]
        columns: np.ndarray = self.data[names].to_numpy(copy=True)
        return columns


def monte_carlo(
    model: keras.Model,
    x: Any,
    samples: int = 50,
    *,
    seed: int = 0,
    batch_size: int = PREDICTION_BATCH_SIZE,
) -> MonteCarloPrediction:
    """Predict many times with dropout on and everything else as at inference.

    Monte Carlo dropout (Gal and Ghahramani 2016, ICML). Dropout is turned on in a clone, where
    batch normalization uses its moving averages and does not update them; the model itself is not
    changed.

    Args:
        model: a Keras model with one output of shape ``(batch, outputs)``:
            probabilities of the classes, one probability, or values of a regression.
        x: inputs, shape ``(examples, ...)``.
        samples: number of passes, at least 1.
        seed: seed of the dropout masks.
        batch_size: batch size; the masks depend on it.

    Returns:
        Mean, standard deviation and, for probabilities, entropy and mutual information.

    Raises:
        ValueError: `samples` is not a positive integer, no site has a rate above 0, or the output
            has another shape.
        TypeError: the model cannot be cloned.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import monte_carlo
        >>> from dropout_zoo.training import load_dataset
        >>> x, y = load_dataset("digits").test
        >>> monte_carlo(build_mlp(), x[:5], samples=3).std.shape
        (5, 10)
    """
    check_count(samples, "samples")
    passes = dropout_passes(model, x, samples, seed, batch_size)
    # Relative to the first pass, so that small spreads survive the subtraction of squares.
    first = next(passes)
    _check_shape(first)
    total, squares, entropies = np.zeros_like(first), np.zeros_like(first), row_entropy(first)
    for outputs in passes:
        total = total + (outputs - first)
        squares = squares + (outputs - first) ** 2
        entropies = entropies + row_entropy(outputs)
    offset = total / samples
    mean = first + offset
    std = np.sqrt(np.maximum(squares / samples - offset**2, 0))
    columns = [f"{what}/{unit}" for what in ("mean", "std") for unit in range(mean.shape[1])]
    data = pd.DataFrame(np.hstack([mean, std]), columns=columns)
    data.insert(0, "example", range(len(data)))
    if _are_probabilities(model, mean):
        data["entropy"] = row_entropy(mean)
        data["mutual_information"] = np.maximum(data["entropy"] - entropies / samples, 0)
    return MonteCarloPrediction(
        kind="monte_carlo",
        data=data,
        settings={"samples": samples} | _settings(model, seed, batch_size, len(data)),
        versions=versions(),
        conclusions=tuple(_conclude_passes(data, std, samples)),
    )


def monte_carlo_convergence(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    samples: Sequence[int] = CONVERGENCE_SAMPLES,
    repeats: int = 20,
    seed: int = 0,
    batch_size: int = PREDICTION_BATCH_SIZE,
) -> StudyResult:
    """Compare averages of more and more passes with weight scaling.

    Weight scaling is what Keras does at inference: dropout off, one pass (Srivastava et al. 2014,
    Fig. 11).

    Args:
        model: a classifier with one probability per class.
        x: inputs, shape ``(examples, ...)``.
        y: their classes, integers from 0, shape ``(examples,)``.
        samples: numbers of passes to average, each at least 1.
        repeats: number of draws for each number of passes, without replacement from the largest
            number of passes. Their spread is that of the error; it is 0 at the largest number,
            for which every draw is the same.
        seed: seed of masks and draws.
        batch_size: batch size; the masks depend on it.

    Returns:
        The result, with one row per number of passes and draw: ``samples`` (0 for weight
        scaling), ``repeat``, ``error`` in percent, and ``loss`` (cross-entropy in nats).

    Raises:
        ValueError: an argument is out of range, or the model is not such a classifier.
        TypeError: the model cannot be cloned.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import monte_carlo_convergence
        >>> from dropout_zoo.training import load_dataset
        >>> x, y = load_dataset("digits").test
        >>> study = monte_carlo_convergence(build_mlp(), x[:5], y[:5], samples=[1, 3], repeats=2)
        >>> study.data["samples"].tolist()
        [0, 1, 1, 3, 3]
    """
    check_count(repeats, "repeats")
    for count in samples:
        check_count(count, "each of samples")
    y = np.asarray(y)
    scaled = np.asarray(model.predict(x, batch_size=batch_size, verbose=0))
    if not _are_probabilities(model, scaled) or scaled.shape[1] == 1:
        raise ValueError(
            "expected a classifier with one probability per class (which are not negative and add "
            f"up to 1), received outputs of shape {scaled.shape} that are not"
        )
    passes = np.stack(list(dropout_passes(model, x, max(samples), seed, batch_size)))
    rng = np.random.default_rng(seed)
    rows = [{"samples": 0, "repeat": 0, **proper_scores(scaled, y)}]
    for count in sorted(set(samples)):
        for repeat in range(repeats):
            chosen = rng.choice(len(passes), count, replace=False)
            rows.append(
                {
                    "samples": count,
                    "repeat": repeat,
                    **proper_scores(passes[chosen].mean(axis=0), y),
                }
            )
    data = pd.DataFrame(rows)
    return StudyResult(
        kind="monte_carlo_convergence",
        data=data,
        settings={"samples": sorted(set(samples)), "repeats": repeats}
        | _settings(model, seed, batch_size, len(y)),
        versions=versions(),
        conclusions=tuple(_conclude_convergence(data)),
    )


def _settings(model: keras.Model, seed: int, batch_size: int, examples: int) -> dict[str, Any]:
    """Everything that determines the results, except the passes; masks are drawn per batch."""
    return {
        "seeds": [seed],
        "batch_size": batch_size,
        "examples": examples,
        "model": {"name": model.name, "structure": model_fingerprint(model)},
    }


def dropout_passes(
    model: keras.Model,
    x: Any,
    samples: int,
    seed: int = 0,
    batch_size: int = PREDICTION_BATCH_SIZE,
) -> Iterator[np.ndarray]:
    """Yield the outputs of one pass with dropout on after another.

    Args:
        model: as in `monte_carlo`.
        x: inputs, shape ``(examples, ...)``.
        samples: number of passes.
        seed: seed of the dropout masks.
        batch_size: batch size; the masks depend on it.

    Yields:
        Outputs of a pass, float64.

    Raises:
        ValueError: no site has a rate above 0.
        TypeError: the model cannot be cloned.
    """
    clone = clone_model(model, cloned_layer)
    copy_weights(model, clone)
    if not any(site.rate for site in dropout_sites(clone) if not site.own_noise):
        raise ValueError(
            f"expected a model with dropout at a rate above 0, received {model.name!r}, for which "
            "every pass would give the same output; train one with dropout first"
        )
    switch = DropoutSwitch(clone)
    clone.run_eagerly = False  # traced once, with dropout on
    seed_masks(clone, seed)
    x = np.asarray(x)
    # Each example has its own mask, so that passes can share a call, which costs 0.1 s.
    together = 1 if _shares_masks(clone) else max(1, _EXAMPLES_PER_CALL // len(x))
    for begun in range(0, samples, together):
        count = min(together, samples - begun)
        with switch.on():
            outputs = clone.predict(np.concatenate([x] * count), batch_size=batch_size, verbose=0)
        yield from np.asarray(outputs, dtype=float).reshape(count, len(x), *outputs.shape[1:])


def _shares_masks(model: keras.Model) -> bool:
    """Whether the examples of a batch share a dropout mask at some site."""
    layers = [site.layer for site in dropout_sites(model)]
    shapes = [getattr(layer, "noise_shape", None) for layer in layers]
    return any(shape is not None and shape[0] == 1 for shape in shapes) or any(
        not getattr(layer, "per_example", True) for layer in layers
    )


def row_entropy(outputs: np.ndarray) -> np.ndarray:
    """Compute the entropy of predicted probabilities.

    Args:
        outputs: shape ``(examples, classes)``; a single column is the probability of class 1.

    Returns:
        Entropy of each row in nats.
    """
    if outputs.shape[-1] == 1:
        outputs = np.concatenate([outputs, 1 - outputs], axis=-1)
    clipped = np.clip(outputs, 1e-12, 1)
    entropy: np.ndarray = -(clipped * np.log(clipped)).sum(axis=-1)
    return entropy


def _check_shape(outputs: np.ndarray) -> None:
    if outputs.ndim != 2:
        raise ValueError(
            f"expected a model with one output of shape (batch, outputs), received outputs of "
            f"shape {outputs.shape}"
        )


def _are_probabilities(model: keras.Model, outputs: np.ndarray) -> bool:
    _check_shape(outputs)
    if (outputs < 0).any() or (outputs > 1).any():
        return False
    if outputs.shape[1] > 1:
        return bool(np.allclose(outputs.sum(axis=1), 1, atol=1e-3))
    return getattr(model.layers[-1], "activation", None) is keras.activations.sigmoid


def proper_scores(probabilities: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Score predicted probabilities.

    Args:
        probabilities: shape ``(examples, classes)``.
        y: the classes, integers from 0, shape ``(examples,)``.

    Returns:
        ``error`` in percent, and ``loss``, the cross-entropy in nats.
    """
    likelihood = np.clip(probabilities[np.arange(len(y)), y], 1e-12, 1)
    return {
        "error": 100 * float((probabilities.argmax(axis=1) != y).mean()),
        "loss": -float(np.log(likelihood).mean()),
    }


def _conclude_passes(data: pd.DataFrame, std: np.ndarray, samples: int) -> list[str]:
    sentences = [
        f"{samples} passes with dropout on, {len(data)} examples: the standard deviation of the "
        f"outputs over the passes is {std.mean():.3g} on average."
    ]
    if "entropy" in data:
        entropy, information = data["entropy"].mean(), data["mutual_information"].mean()
        sentences.append(
            f"The averaged predictions have a mean entropy of {entropy:.3g} nats, of which "
            f"{information:.3g} is disagreement between the passes (mutual information)."
        )
    return sentences


def _conclude_convergence(data: pd.DataFrame) -> list[str]:
    scaled = data[data["samples"] == 0].iloc[0]
    averages = data[data["samples"] > 0].groupby("samples")[["error", "loss"]]
    mean, std = averages.mean(), averages.std().fillna(0.0)
    most = int(mean.index.max())
    sentences = [
        f"Weight scaling: error {scaled['error']:.2f}%, loss {scaled['loss']:.4g}; the average of "
        f"{most} passes: error {mean['error'][most]:.2f}%, loss {mean['loss'][most]:.4g}."
    ]
    for metric in ("error", "loss"):
        reached = mean.index[mean[metric] <= scaled[metric]]
        sentences.append(
            f"Averaging {reached[0]} pass{'es' if reached[0] > 1 else ''} is enough to match or "
            f"beat weight scaling in {metric}."
            if len(reached)
            else f"Averaging up to {most} passes does not reach the {metric} of weight scaling."
        )
    # Every draw of all passes is the same, so the largest numbers have hardly any spread.
    half = int(mean.index[mean.index <= most / 2].max()) if (mean.index <= most / 2).any() else most
    sentences.append(
        f"The loss of averages of {half} passes has a standard deviation of "
        f"{std['loss'][half]:.2g} over {int(averages.size().iloc[0])} draws."
    )
    return sentences
