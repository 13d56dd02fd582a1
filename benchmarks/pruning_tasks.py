"""The searches that `replay_pruning.py` records: models, data, and the settings that are compared.

The networks are small, so that twenty searches can be trained to their end on two cores within an
hour: each in a regime of its own, from a network that underfits to one that memorizes its data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, make_moons
from sklearn.preprocessing import StandardScaler

from dropout_zoo.models import create_model
from dropout_zoo.studies import with_fewer_examples
from dropout_zoo.studies.data.corruption import with_wrong_labels
from dropout_zoo.training import Dataset, as_dataset, load_dataset

INPUT_RATES = (0.0, 0.1, 0.2, 0.35, 0.5)
HIDDEN_RATES = (0.0, 0.15, 0.3, 0.45, 0.6)


@dataclass(frozen=True)
class Task:
    """A search that is trained in full.

    Attributes:
        name: its name.
        data: returns the data, given the path of MNIST.
        model: name of a registered model.
        arguments: its arguments, besides those that fit it to the data.
        training: settings of the training that differ from the defaults of `tune`.
    """

    name: str
    data: Callable[[str], Dataset]
    model: str = "mlp"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def build(self, data: Dataset) -> keras.Model:
        """Return the model for the data of the task."""
        fitted = {"input_shape": data.input_shape, "num_classes": data.num_classes}
        if self.model == "cnn":
            fitted["input_shape"] = (*data.input_shape, 1)[:3]
        return create_model(self.model, **{**fitted, **self.arguments})


def settings_of(paths: list[str]) -> list[dict[str, float]]:
    """Return the settings of a search: no dropout first, then 24 others.

    Args:
        paths: the model's sites. One on the input is searched apart from the others.
    """
    inputs = [path for path in paths if path.startswith("input")]
    others = [path for path in paths if path not in inputs]
    if not inputs:
        half = len(others) // 2 or 1
        inputs, others = others[:half], others[half:]
    return [
        dict.fromkeys(inputs, first) | dict.fromkeys(others, second)
        for first, second in itertools.product(INPUT_RATES, HIDDEN_RATES)
    ]


def _digits(mnist: str, name: str = "digits", examples: int | None = None) -> Dataset:
    data = load_dataset(name)
    return data if examples is None else with_fewer_examples(data, examples, seed=0)


def _noisy_labels(mnist: str, share: float) -> Dataset:
    return with_wrong_labels(load_dataset("noisy_digits"), share, seed=0)[0]


def _mnist(mnist: str, examples: int) -> Dataset:
    data = load_dataset(mnist, split=(0.97, 0.03))
    return with_fewer_examples(data, examples, seed=0)


def _table(mnist: str, load: Callable[..., Any]) -> Dataset:
    x, y = load(return_X_y=True)
    y = y if y.dtype.kind in "iu" else (y - y.mean()) / y.std()
    return as_dataset((StandardScaler().fit_transform(x), y))


def _moons(mnist: str) -> Dataset:
    x, y = make_moons(600, noise=0.35, random_state=0)
    noise = np.random.default_rng(0).normal(size=(len(x), 18))
    return as_dataset((np.hstack([x, noise]), y))


def _mlp(*units: int, **arguments: Any) -> dict[str, Any]:
    return {"units": units, "hidden_rates": 0.5, "input_rate": 0.2, **arguments}


_CNN = {"filters": (8, 16), "padding": "same", "units": (32,), "conv_rates": 0.1}

TASKS = (
    Task("digits, 64", _digits, arguments=_mlp(64)),
    Task("digits, 128", _digits, arguments=_mlp(128)),
    Task("200 digits, 256", partial(_digits, examples=200), arguments=_mlp(256)),
    Task("noisy digits, 4", partial(_digits, name="noisy_digits"), arguments=_mlp(4)),
    Task("noisy digits, 32", partial(_digits, name="noisy_digits"), arguments=_mlp(32)),
    Task("noisy digits, 256-128", partial(_digits, name="noisy_digits"), arguments=_mlp(256, 128)),
    Task("noisy digits, 512", partial(_digits, name="noisy_digits"), arguments=_mlp(512)),
    Task(
        "noisy digits, batch norm",
        partial(_digits, name="noisy_digits"),
        arguments=_mlp(128, 128, batch_norm="before_dropout"),
    ),
    Task(
        "noisy digits, L2",
        partial(_digits, name="noisy_digits"),
        arguments=_mlp(256, kernel_regularizer=keras.regularizers.L2(1e-3)),
    ),
    Task("30% wrong labels", partial(_noisy_labels, share=0.3), arguments=_mlp(256)),
    Task(
        "noisy digits, SGD",
        partial(_digits, name="noisy_digits"),
        arguments=_mlp(128, optimizer="sgd"),
    ),
    Task(
        "noisy digits, CNN",
        partial(_digits, name="noisy_digits"),
        "cnn",
        _CNN,
    ),
    Task("400 digits, CNN", partial(_digits, name="noisy_digits", examples=400), "cnn", _CNN),
    Task("breast cancer", partial(_table, load=load_breast_cancer), arguments=_mlp(64, 32)),
    Task("diabetes", partial(_table, load=load_diabetes), arguments=_mlp(64)),
    Task("moons and noise", _moons, arguments=_mlp(128)),
    Task(
        "table",
        partial(_digits, name="synthetic_table", examples=500),
        arguments=_mlp(256),
    ),
    Task("500 MNIST, 128-64", partial(_mnist, examples=500), arguments=_mlp(128, 64)),
    Task("3,000 MNIST, 128-64", partial(_mnist, examples=3000), arguments=_mlp(128, 64)),
    Task(
        "topics, LSTM",
        partial(_digits, name="topics", examples=400),
        "lstm",
        {"units": (16,), "recurrent_rate": 0.0},
    ),
)
