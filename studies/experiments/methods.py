"""Methods against overfitting, each with the small range over which it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras

from dropout_zoo.studies.data.augmentation import with_augmented_copies, with_synthetic_examples
from dropout_zoo.training.data.dataset import Dataset

NO_METHOD = "no method"
"""Name of the control: no method at all."""

EARLY_STOPPING = "early stopping"
MORE_DATA = "more data"
SYNTHETIC_DATA = "synthetic data"
TRANSFER = "transfer"

RATES = (0.2, 0.35, 0.5)
STRENGTHS = (1e-5, 1e-4, 1e-3)
NORMS = (1.0, 2.0, 3.0)
"""Srivastava et al. 2014, Appendix A.3, use 3 to 4; units of small networks hardly reach that."""

_COPIES = 4


@dataclass(frozen=True)
class Option:
    """One value of a method.

    Attributes:
        label: the value as it is shown, such as ``"0.50"``.
        arguments: arguments of the model's builder.
        rate: dropout rate of the hidden layers.
        change: makes the training data from those that all methods share, and a seed.
        updates: size of the training data that `change` returns, relative to the shared data;
            the number of epochs is divided by it, so that every method makes as many updates.
        patience: epochs without improvement after which training stops; None for no early
            stopping.
        pretraining: data on which the hidden layers are trained first; None for none.
    """

    label: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    change: Callable[[Dataset, int], Dataset] | None = None
    updates: float = 1.0
    patience: int | None = None
    pretraining: Dataset | None = None

    @property
    def setup_key(self) -> tuple[Any, ...]:
        """Equal for options that share a model and its data and differ in rates only."""
        # Regularizers are compared by identity: `methods_for` shares them.
        arguments = tuple(self.arguments.items())
        return arguments, self.change, self.updates, self.patience, self.pretraining is not None


def methods_for(units: Sequence[int] | None, is_image: bool) -> dict[str, list[Option]]:
    """List the methods that need nothing but the model and its training data.

    Args:
        units: widths of the hidden layers, from which smaller models are derived; None to leave
            these out.
        is_image: whether the inputs are images, which can be augmented.

    Returns:
        Options by name of the method, `NO_METHOD` first, in the order in which they are shown.
    """
    regularizers = keras.regularizers
    l1 = _by_strength("kernel_regularizer", {v: regularizers.L1(v) for v in STRENGTHS})
    l2 = _by_strength("kernel_regularizer", {v: regularizers.L2(v) for v in STRENGTHS})
    l1_l2 = _by_strength("kernel_regularizer", {v: regularizers.L1L2(v, v) for v in STRENGTHS})
    max_norm = _by_strength("max_norm", {v: v for v in NORMS})
    before, after = ({"batch_norm": f"{order}_dropout"} for order in ("before", "after"))
    return {
        NO_METHOD: [Option("")],
        "L1": _each(l1),
        "L2": _each(l2),
        "L1 + L2": _each(l1_l2),
        "max-norm": _each(max_norm),
        "dropout": _each_rate({}),
        "dropout + L2": _each_with_dropout(l2),
        "dropout + max-norm": _each_with_dropout(max_norm),
        "batch norm": [Option("", before)],
        "batch norm then dropout": _each_rate(before),
        "dropout then batch norm": _each_rate(after),
        EARLY_STOPPING: [Option(f"patience {epochs}", patience=epochs) for epochs in (3, 6)],
        SYNTHETIC_DATA: [_synthetic(share) for share in (0.5, 1.0)],
        **(_augmentations() if is_image else {}),
        **(_smaller_models(units) if units else {}),
    }


def _by_strength(argument: str, values: Mapping[float, Any]) -> dict[float, dict[str, Any]]:
    """Builder arguments by strength; options that share them share a model, traced once."""
    return {strength: {argument: value} for strength, value in values.items()}


def _each(by_strength: Mapping[float, Mapping[str, Any]]) -> list[Option]:
    return [Option(f"{strength:g}", arguments) for strength, arguments in by_strength.items()]


def _each_rate(arguments: Mapping[str, Any]) -> list[Option]:
    return [Option(f"{rate:.2f}", arguments, rate) for rate in RATES]


def _each_with_dropout(by_strength: Mapping[float, Mapping[str, Any]]) -> list[Option]:
    """The larger rates with the smaller strengths: four options, not nine."""
    return [
        Option(f"{rate:.2f}, {strength:g}", arguments, rate)
        for rate in RATES[1:]
        for strength, arguments in list(by_strength.items())[:2]
    ]


def _synthetic(share: float) -> Option:
    change = partial(_with_synthetic_examples, share)
    return Option(f"{share:g}", change=change, updates=1 + share)


def _augmentations() -> dict[str, list[Option]]:
    kinds = {"augmentation": ("shift and rotate", _COPIES), "flips": ("flip", 1)}
    return {
        name: [Option("", change=partial(_with_copies, kind, copies), updates=copies + 1.0)]
        for name, (kind, copies) in kinds.items()
    }


def _smaller_models(units: Sequence[int]) -> dict[str, list[Option]]:
    widths = {
        factor: tuple(max(1, round(count * factor)) for count in units) for factor in (0.5, 0.25)
    }
    options = [Option(f"units x {factor:g}", {"units": each}) for factor, each in widths.items()]
    return {"smaller model": options}


def _with_copies(kind: str, copies: int, dataset: Dataset, seed: int) -> Dataset:
    return with_augmented_copies(dataset, kind, copies, seed)


def _with_synthetic_examples(share: float, dataset: Dataset, seed: int) -> Dataset:
    return with_synthetic_examples(dataset, share, seed)
