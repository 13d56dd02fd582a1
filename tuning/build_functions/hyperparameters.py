"""What the hyperparameters of a build function are, found out by building models."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import keras
import keras_tuner
from keras_tuner.engine.hyperparameters import Choice, Fixed, HyperParameter

from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.equality import ModelReading, read_model
from dropout_zoo.models.graph.fingerprint import model_fingerprint
from dropout_zoo.models.graph.model_graph import flat_layers
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.models.keras_internals import compile_arguments
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.build_functions.own_losses import own_losses
from dropout_zoo.tuning.records.trial_tables import COMPARISON_COLUMNS

Built: TypeAlias = tuple[keras.Model, keras_tuner.HyperParameters]
Build: TypeAlias = Callable[[Mapping[str, Any]], Built]
"""Builds a model with some values of hyperparameters, and returns those that it declares."""

MAX_BUILDS = 200
"""Number of models that are built at most to find out what the hyperparameters are."""


@dataclass(frozen=True)
class Explored:
    """What was found out.

    Attributes:
        hyperparameters: all of them, but those that are left out.
        names: their names, without those that have a single value.
        rates_only: names of those that are left out because they change nothing but dropout rates.
        without_effect: names of those that are left out because they change nothing.
        fingerprints: fingerprints of the models that were built.
        paths: paths of their sites.
    """

    hyperparameters: keras_tuner.HyperParameters
    names: list[str]
    rates_only: list[str]
    without_effect: list[str]
    fingerprints: list[str]
    paths: set[str]


class _Seen(NamedTuple):
    """What is kept of a model that was built."""

    hyperparameters: list[HyperParameter]
    fingerprint: str
    structure: str  # its fingerprint without rates
    rates: dict[str, float]
    measured: str
    reading: ModelReading | None  # None if the user's code cannot be read

    @classmethod
    def of(cls, built: Built) -> _Seen:
        model, hp = built
        return cls(
            list(hp.space),
            model_fingerprint(model),
            model_fingerprint(model, rates=False),
            {site.path: site.rate for site in settable_sites(model)},
            _measured(model),
            _read(model),
        )


def explore(build: Build, objective: Objective) -> Explored:
    """Build models that differ in one hyperparameter each, and see what that changes.

    The lowest and the highest value of each hyperparameter are tried, and all values of a choice,
    so that hyperparameters are found that other values declare. Those that change nothing but
    dropout rates, or nothing at all, are tried again beside each of these values.

    Args:
        build: builds the models. What it cannot build is left out, but for the defaults.
        objective: what settings are judged by.

    Returns:
        The hyperparameters.

    Raises:
        ValueError: there is none, one has the name of a column of the comparison or of a site, one
            changes how the objective is measured, or the same values give different models.
    """
    models, found = _Models(build), _Found(objective)
    waiting = deque[Mapping[str, Any]]([{}])
    while waiting:
        values = waiting.popleft()
        of_values = models.tried(values)
        assert of_values is not None  # only what was built waits
        for each in of_values.hyperparameters:
            if found.knows(each):
                continue
            active = {**values, **{parent.name: parent.values[0] for parent in each.conditions}}
            before = models.tried(active)
            for other in _other_values(each):
                changed = {**active, each.name: other}
                after = models.tried(changed)
                if before is not None and after is not None:
                    found.compare(each.name, before, after)
                    waiting.append(changed)
    contexts = models.values
    for each in found.left_out():
        _compare_beside(contexts, each, models, found)
    models.check_same_again()
    if models.changes_earlier:
        warn_caller(
            "the build function changes what the code of models that it built before refers to, "
            "such as a global variable or an attribute of a class: all are trained with the "
            "value that was set last, whatever their hyperparameters; give such a value to the "
            "layer as an argument",
        )
    return found.result(models.seen)


def _compare_beside(
    contexts: list[dict[str, Any]], hyperparameter: HyperParameter, models: _Models, found: _Found
) -> None:
    """Compare two values of a hyperparameter beside other values of the others."""
    name = hyperparameter.name
    other = list(_other_values(hyperparameter))[-1]
    for context in contexts:
        if found.changes_model(name):
            return
        before = models.tried({**context, name: hyperparameter.default})
        after = models.tried({**context, name: other})
        if before is not None and after is not None:
            found.compare(name, before, after)
    if models.exhausted:
        found.not_compared(name)


class _Models:
    """The models that were built, each once."""

    def __init__(self, build: Build) -> None:
        self._build = build
        first = build({})
        self._first = first[0]
        self._seen = {"{}": _Seen.of(first)}
        self.exhausted = False
        self.changes_earlier = False

    @property
    def seen(self) -> list[_Seen]:
        """What is kept of each model."""
        return list(self._seen.values())

    @property
    def values(self) -> list[dict[str, Any]]:
        """The values of hyperparameters with which each model was built."""
        return [json.loads(key) for key in self._seen]

    def tried(self, values: Mapping[str, Any]) -> _Seen | None:
        """Return the model with some values; None where it cannot be built."""
        key = json.dumps(dict(values), sort_keys=True)
        if key not in self._seen:
            if len(self._seen) >= MAX_BUILDS:
                self.exhausted = True
                return None
            try:
                self._seen[key] = _Seen.of(self._build(values))
            except Exception:  # the trials with these values will fail
                return None
            finally:
                self._look_back()
        return self._seen[key]

    def check_same_again(self) -> None:
        """Check that the same values give the same model, after others have been built.

        Raises:
            ValueError: they do not.
        """
        if _Seen.of(self._build({})).fingerprint != self._seen["{}"].fingerprint:
            raise ValueError(
                "expected a build function that returns the same model for the same "
                "hyperparameters, received one whose model with the defaults was different the "
                "second time, as where it counts its calls; let the model depend on "
                "hyperparameters alone"
            )

    def _look_back(self) -> None:
        """Note whether the latest build has changed what the code of the first model refers to."""
        before = self._seen["{}"].reading
        if before is not None and before.can_change and not self.changes_earlier:
            now = _read(self._first)
            self.changes_earlier = now is None or not before.equals(now)


class _Found:
    """The hyperparameters that have been found, and what they change."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._all: dict[str, HyperParameter] = {}
        self._changes: dict[str, set[str]] = {}  # of those with models that could be compared

    def knows(self, hyperparameter: HyperParameter) -> bool:
        """Return whether a hyperparameter was found before, and add it if it was not."""
        key = json.dumps(
            [hyperparameter.name, *(each.get_config() for each in hyperparameter.conditions)]
        )
        known = key in self._all
        self._all[key] = hyperparameter
        return known

    def left_out(self) -> list[HyperParameter]:
        """Return those that change no model beyond its rates, as far as is known."""
        return [
            each
            for each in self._all.values()
            if each.name in self._changes and not self.changes_model(each.name)
        ]

    def changes_model(self, name: str) -> bool:
        """Return whether a hyperparameter has changed a model beyond its rates."""
        return "model" in self._changes[name]

    def not_compared(self, name: str) -> None:
        """Note that a hyperparameter may have an effect that was not seen."""
        if not self._changes[name]:
            self._changes[name].add("unknown")

    def compare(self, name: str, before: _Seen, after: _Seen) -> None:
        """Note what a hyperparameter has changed."""
        if self._objective.name.endswith("loss") and before.measured != after.measured:
            raise ValueError(
                f"expected an objective that all settings measure alike, received "
                f"{self._objective.name!r}, which contains the loss, the loss_weights, the "
                f"penalties or what your own code adds, which the hyperparameter {name!r} changes; "
                "choose an objective such as val_accuracy, or the weight_decay of an optimizer in "
                "place of a regularizer"
            )
        changes = self._changes.setdefault(name, set())
        if before.structure != after.structure:
            changes.add("model")
        elif before.rates != after.rates:
            changes.add("rates")
        elif not _equal(before.reading, after.reading):
            changes.add("unknown")

    def result(self, models: list[_Seen]) -> Explored:
        """Return what was found out."""
        changed = {name: c for name, c in self._changes.items() if not self.changes_model(name)}
        rates_only = [name for name, changes in changed.items() if "rates" in changes]
        without_effect = [name for name, changes in changed.items() if not changes]
        left_out = [*rates_only, *without_effect]
        kept = [each for each in self._all.values() if each.name not in left_out]
        names = list(dict.fromkeys(each.name for each in kept if not isinstance(each, Fixed)))
        if not names:
            raise ValueError(
                "expected a build function with hyperparameters that change the model, not only "
                f"dropout rates, received {', '.join(map(repr, left_out)) or 'none'}; to search "
                "the rates alone, give a model or a function without required arguments"
            )
        paths = {path for model in models for path in model.rates}
        taken = [name for name in names if name in paths or name in COMPARISON_COLUMNS]
        if taken:
            raise ValueError(
                "expected hyperparameters with other names than the dropout sites and the columns "
                f"of the tables, received {', '.join(map(repr, taken))}; rename them"
            )
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.merge(kept)
        fingerprints = [each.fingerprint for each in models]
        return Explored(hyperparameters, names, rates_only, without_effect, fingerprints, paths)


def _other_values(hyperparameter: HyperParameter) -> Iterator[Any]:
    """The values at the ends of a range, or all values of a choice, without the default."""
    if isinstance(hyperparameter, Choice):
        values = list(hyperparameter.values)
    else:
        values = [hyperparameter.prob_to_value(end) for end in (0.0, 1.0 - 1e-9)]
    yield from (each for each in dict.fromkeys(values) if each != hyperparameter.default)


def _read(model: keras.Model) -> ModelReading | None:
    try:
        return read_model(model, weights="fixed")
    except Exception:  # the user's own code may raise anything
        return None


def _equal(one: ModelReading | None, other: ModelReading | None) -> bool:
    """Whether two models are known to be trained alike; own code may do more than can be read."""
    if one is None or other is None or one.has_own_code or other.has_own_code:
        return False
    return one.equals(other)


def _measured(model: keras.Model) -> str:
    """How the loss of a model is measured, its penalties included, as text."""
    try:
        loss = model.get_compile_config()["loss"]
    except Exception:  # an optimizer or a loss of the user's that cannot be saved
        loss = type(model.loss).__name__
    weights = compile_arguments(model).get("loss_weights")
    penalties = [
        json.dumps(value, default=str, sort_keys=True)
        for layer in flat_layers(model)
        for value in _penalties(layer)
    ]
    own = sorted({json.dumps(each, sort_keys=True) for each in own_losses(model)})
    return json.dumps([loss, weights, sorted(set(penalties)), own], default=str, sort_keys=True)


def _penalties(layer: keras.Layer) -> Iterator[Any]:
    """The penalties of weights and activations that the configuration of a layer shows."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a user's layer that cannot be saved
        return
    if isinstance(layer, keras.layers.ActivityRegularization):
        yield {name: config[name] for name in ("l1", "l2")}
    for name, value in config.items():
        if name.endswith("regularizer") and value is not None:
            yield value
