"""Functions that build a model from hyperparameters, and the models that they build."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import keras_tuner

from dropout_zoo.models.factory import ModelLike, builder_arguments, check_compiled, import_function
from dropout_zoo.models.graph.builders import remember_builder
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.sites import dropout_sites, settable_sites
from dropout_zoo.models.keras_internals import fresh_names
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.failure_reasons import reason_of
from dropout_zoo.training.objective import Objective
from dropout_zoo.training.preparation import built
from dropout_zoo.training.seeding import seeded_globals
from dropout_zoo.tuning.build_functions.hyperparameters import Built, explore
from dropout_zoo.tuning.records.trial_tables import check_names
from dropout_zoo.tuning.space import Rates, SearchSpace, check_settable, search_space
from dropout_zoo.tuning.trial_setting import TrialSetting

Tunable: TypeAlias = ModelLike | keras_tuner.HyperModel
"""What the argument `model` of `tune` may be; see `build_function`."""

BuildFunction = Callable[[keras_tuner.HyperParameters], keras.Model]

_RATE = "dropout rate: "  # begins the names under which an oracle knows the rates


def build_function(model: Tunable, data: Dataset) -> BuildFunction | None:
    """Return the function that builds a model from hyperparameters, if an argument is one.

    Args:
        model: a function with one required argument, its import path, or a `HyperModel`; or
            anything else that `tune` takes.
        data: the data, to which a function with the argument `adapt_to` fits its model.

    Returns:
        The function; None for anything else.

    Raises:
        ValueError: the function cannot be imported, or a hypermodel has a custom `fit`.
    """
    build: BuildFunction
    if isinstance(model, keras_tuner.HyperModel):
        if type(model).fit is not keras_tuner.HyperModel.fit:
            raise ValueError(
                f"expected a HyperModel without a custom fit, received {type(model).__name__}; "
                "pass its build method, and the settings of training to tune"
            )
        build = model.build
        return build
    function = _taking_hyperparameters(model)
    if function is None:
        return None
    known, given = builder_arguments(function), data.builder_arguments
    if "adapt_to" not in known:
        build = function
        return build
    return functools.partial(function, **{name: given[name] for name in known if name in given})


def takes_hyperparameters(model: Tunable) -> bool:
    """Return whether a model is built from hyperparameters; see `build_function`."""
    return isinstance(model, keras_tuner.HyperModel) or _taking_hyperparameters(model) is not None


def _taking_hyperparameters(model: Tunable) -> Any:
    """The function with one required argument that a model is, or None."""
    function: Any = import_function(model) if isinstance(model, str) and ":" in model else model
    if isinstance(function, str | keras.Model) or not callable(function):
        return None
    required = [
        each
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(required) != 1 or required[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return None
    return function


class BuiltModels:
    """The models that a build function makes, and the settings of their hyperparameters and rates.

    The rates are searched as those of a given model, except that all sites with the same placement
    share a rate, unless rates are given by site path: how many sites there are may itself depend on
    a hyperparameter. A hyperparameter that changes nothing but dropout rates, or nothing at all,
    keeps its default.

    Args:
        function: the build function.
        dataset: the data.
        rates: rates to try; see `search_space`.
        placements: search only sites with these placements.
        objective: what settings are judged by.

    Attributes:
        names: names of the hyperparameters other than rates.
        hyperparameters: what the oracle is to choose: the hyperparameters, and a rate for each
            group of sites.
        paths: paths of the sites of the models that were built to find the hyperparameters.
        default: the setting with the default of each hyperparameter, and the rates that the
            function gives it.

    Raises:
        ValueError: the function fails with its defaults, its model has no dropout to search, it has
            no hyperparameter, or one changes how the objective is measured.
    """

    def __init__(
        self,
        function: BuildFunction,
        dataset: Dataset,
        rates: Rates | None,
        placements: str | Sequence[str] | None,
        objective: Objective,
    ) -> None:
        self._function = function
        self._dataset = dataset
        self._rates = rates
        self._placements = placements
        self._models: dict[str, keras.Model] = {}
        self._used: dict[str, dict[str, Any]] = {}
        self._check_default()
        choices: dict[str, list[float]] = {}
        found = explore(lambda values: self._noting_rates(values, choices), objective)
        self.names, self.paths = found.names, found.paths
        self.hyperparameters, self._fingerprints = found.hyperparameters, found.fingerprints
        self._rates_only, self._without_effect = found.rates_only, found.without_effect
        for group, rates_of_group in choices.items():
            self.hyperparameters.Choice(_RATE + group, rates_of_group, ordered=True)
        self.default = self._given(self._values({})[1])

    @property
    def num_groups(self) -> int:
        """Largest number of rates that a setting has."""
        return sum(each.name.startswith(_RATE) for each in self.hyperparameters.space)

    @property
    def name(self) -> str:
        """What messages call the function."""
        function = getattr(self._function, "func", self._function)
        return str(getattr(function, "__qualname__", type(function).__name__))

    @property
    def note(self) -> str:
        """Sentences that say which hyperparameters keep their defaults; empty if none does."""
        rates = _keeping(
            self._rates_only, "it changes dropout rates alone", "they change dropout rates alone"
        )
        nothing = _keeping(
            self._without_effect,
            "it has no effect on the model",
            "they have no effect on the model",
        )
        return " ".join(filter(None, (rates, nothing)))

    def model_of(self, hyperparameters: Mapping[str, Any]) -> keras.Model:
        """Return the model with these values of the hyperparameters, which is built once.

        Args:
            hyperparameters: the values of a setting.

        Returns:
            A compiled model with the rates that the function gives it.
        """
        return self._values(hyperparameters)[0]

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the model that an oracle has chosen, with its rates."""
        setting = self.setting(hp.values)
        return with_rates(self.model_of(setting.hyperparameters), setting.rates)

    def space_of(self, setting: TrialSetting) -> SearchSpace:
        """Return the rates that are searched with the hyperparameters of a setting."""
        return self._space(self.model_of(setting.hyperparameters))

    def setting(self, values: Mapping[str, Any]) -> TrialSetting:
        """Return the setting that an oracle has chosen.

        Args:
            values: values by name, of the `hyperparameters` that are active.

        Returns:
            The setting, with those hyperparameters alone that its model uses.

        Raises:
            ValueError: the function fails, or its model has no dropout to search.
        """
        model, used = self._values(values)
        space = self._space(model)
        check_settable(model, space)
        check_names(self._given(used).rates)  # of a model that was not built before
        chosen = {
            name: values.get(_RATE + group, min(space.choices[name]))
            for name, group in self._groups(model, space).items()
        }
        return TrialSetting({**self._given(used).rates, **space.site_rates(chosen)}, used)

    def without(self, setting: TrialSetting) -> TrialSetting:
        """Return the setting with the same hyperparameters and no dropout at the searched sites."""
        searched = [path for paths in self.space_of(setting).sites.values() for path in paths]
        given = self._given(setting.hyperparameters).rates
        return TrialSetting({**given, **dict.fromkeys(searched, 0.0)}, setting.hyperparameters)

    def describe(self) -> dict[str, Any]:
        """Describe what determines the models.

        Returns:
            The hyperparameters, and fingerprints of models with other values than the defaults.
        """
        space = self.hyperparameters.get_config()["space"]
        return {"hyperparameters": space, "models": self._fingerprints}

    def _given(self, values: Mapping[str, Any]) -> TrialSetting:
        sites = settable_sites(self.model_of(values))
        return TrialSetting({site.path: site.rate for site in sites}, values)

    def _space(self, model: keras.Model) -> SearchSpace:
        return search_space(model, self._rates, self._placements, largest_grid=0)

    def _groups(self, model: keras.Model, space: SearchSpace) -> dict[str, str]:
        """By hyperparameter of a space, the name of its sites in the models of all settings."""
        placements = {site.path: site.placement for site in dropout_sites(model)}
        by_path = isinstance(self._rates, Mapping)
        return {name: name if by_path else placements[name] for name in space.choices}

    def _noting_rates(self, values: Mapping[str, Any], choices: dict[str, list[float]]) -> Built:
        """Build a model, and note the rates to try at its sites."""
        model, hp = self._build(values)
        space = self._space(model)
        for name, group in self._groups(model, space).items():
            choices[group] = list(space.choices[name])
        return model, hp

    def _values(self, values: Mapping[str, Any]) -> tuple[keras.Model, dict[str, Any]]:
        """Return the model with some values, and those of the values that it uses."""
        given = {name: value for name, value in values.items() if name in self.names}
        key = _text(given)
        if key not in self._used:
            model, hp = self._build(given)
            used = {
                each.name: hp.values[each.name]
                for each in hp.space
                if each.name in self.names and hp.is_active(each)
            }
            self._models.setdefault(_text(used), model)
            self._used[key] = self._used[_text(used)] = used
        used = self._used[key]
        return self._models[_text(used)], used

    def _build(self, values: Mapping[str, Any]) -> Built:
        """Build a model with some values, and the defaults of the other hyperparameters."""
        with seeded_globals(0):
            model, hp = self._call(values)
        check_compiled(model, remedy=f"call model.compile(...) in {self.name}")
        given = dict(values)
        remember_builder(model, lambda: self._call(given)[0])
        return built(model, self._dataset), hp

    def _call(self, values: Mapping[str, Any]) -> Built:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        expected = f"expected {self.name}(hp) to return a Keras model"
        with fresh_names():
            try:
                model = self._function(hp)
            except (Exception, SystemExit) as error:  # a user's function may raise anything
                raise ValueError(f"{expected}, received {reason_of(error)}") from error
        if not isinstance(model, keras.Model):
            raise ValueError(f"{expected}, received {type(model).__name__}")
        return model, hp

    def _check_default(self) -> None:
        """Check that the model with the default of each hyperparameter has dropout to search."""
        model = self._build({})[0]
        try:
            check_settable(model, self._space(model))
        except ValueError as error:
            raise ValueError(
                f"{error}. This is the model that {self.name}(hp) builds with the defaults of its "
                "hyperparameters; let it add its dropout layers whatever the hyperparameters are: "
                "every setting is also trained without dropout"
            ) from None


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True)


def _keeping(names: list[str], reason_of_one: str, reason_of_several: str) -> str:
    """A sentence about hyperparameters that keep their defaults; empty if there are none."""
    if not names:
        return ""
    if len(names) == 1:
        return f"Keeps its default, because {reason_of_one}: {names[0]}."
    return f"Keep their defaults, because {reason_of_several}: {', '.join(names)}."
