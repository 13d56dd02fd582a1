"""Methods against overfitting, each with the small range over which it is tuned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras

from dropout_zoo.studies.data.augmentation import with_augmented_copies, with_synthetic_examples
from dropout_zoo.training.data.dataset import Dataset

NONE = "none"
"""Name of the control: no method at all."""

RATES = (0.2, 0.35, 0.5)
STRENGTHS = (1e-5, 1e-4, 1e-3)
NORMS = (1.0, 2.0, 3.0)
"""Srivastava et al. 2014, Appendix A.3, take 3 to 4; the units of small nets hardly get there."""

_COPIES = 4


@dataclass(frozen=True)
class Option:
    """One value of a method.

    Attributes:
        label: the value, as a person reads it.
        arguments: arguments of the model's builder.
        rate: dropout rate of the hidden layers.
        change: makes the training data from those of all methods, and a seed.
        updates: training examples of `change` for each one before, so that epochs can be cut to
            the same number of updates.
        patience: epochs without gain after which training stops; its best epoch counts then.
    """

    label: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    change: Callable[[Dataset, int], Dataset] | None = None
    updates: float = 1.0
    patience: int | None = None


def remedies(units: Sequence[int] | None, is_image: bool) -> dict[str, list[Option]]:
    """The methods, in the order in which they are shown.

    Args:
        units: widths of the hidden layers, for the smaller models; None to leave these out.
        is_image: whether the inputs are images, which can be augmented.

    Returns:
        Options by name of the method, `NONE` first.
    """
    # Options that share a model share its arguments, and the model is traced once for them.
    l2 = {v: {"kernel_regularizer": keras.regularizers.L2(v)} for v in STRENGTHS}
    max_norm = {v: {"max_norm": v} for v in NORMS}
    before, after = ({"batch_norm": f"{order}_dropout"} for order in ("before", "after"))
    found = {
        NONE: [Option("")],
        "L1": [
            Option(f"{v:g}", {"kernel_regularizer": keras.regularizers.L1(v)}) for v in STRENGTHS
        ],
        "L2": [Option(f"{v:g}", arguments) for v, arguments in l2.items()],
        "L1 + L2": [
            Option(f"{v:g}", {"kernel_regularizer": keras.regularizers.L1L2(v, v)})
            for v in STRENGTHS
        ],
        "max-norm": [Option(f"{v:g}", arguments) for v, arguments in max_norm.items()],
        "dropout": [Option(f"{rate:.2f}", rate=rate) for rate in RATES],
        "dropout + L2": [
            Option(f"{rate:.2f}, {v:g}", l2[v], rate) for rate in RATES[1:] for v in STRENGTHS[:2]
        ],
        "dropout + max-norm": [
            Option(f"{rate:.2f}, {v:g}", max_norm[v], rate) for rate in RATES[1:] for v in NORMS[:2]
        ],
        "batch norm": [Option("", before)],
        "batch norm, then dropout": [Option(f"{rate:.2f}", before, rate) for rate in RATES],
        "dropout, then batch norm": [Option(f"{rate:.2f}", after, rate) for rate in RATES],
        "early stopping": [Option(f"patience {p}", patience=p) for p in (3, 6)],
        "synthetic data": [
            Option(f"{share:g}", change=partial(_synthetic, share), updates=1 + share)
            for share in (0.5, 1.0)
        ],
    }
    if is_image:
        for name, kind in (("augmentation", "shift and rotate"), ("flips", "flip")):
            copies = 1 if kind == "flip" else _COPIES
            change = partial(_augmented, kind, copies)
            found[name] = [Option("", change=change, updates=copies + 1.0)]
    if units:
        found["smaller model"] = [
            Option(
                f"units x {factor:g}",
                {"units": tuple(max(1, round(count * factor)) for count in units)},
            )
            for factor in (0.5, 0.25)
        ]
    return found


def _augmented(kind: str, copies: int, dataset: Dataset, seed: int) -> Dataset:
    return with_augmented_copies(dataset, kind, copies, seed)


def _synthetic(share: float, dataset: Dataset, seed: int) -> Dataset:
    return with_synthetic_examples(dataset, share, seed)
