"""The search space: the rates that are tried at each dropout site of a model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import keras
import keras_tuner

from dropout_zoo.models.argument_validation import as_names, did_you_mean
from dropout_zoo.models.caller_warnings import warn_caller
from dropout_zoo.models.graph.changed_rates import with_rates
from dropout_zoo.models.graph.sites import DropoutSite, dropout_sites
from dropout_zoo.models.guidance import SEARCHED_RATES, check_rate, listed_rates
from dropout_zoo.models.placements import PLACEMENTS
from dropout_zoo.models.wording import listed
from dropout_zoo.training.defaults import INITIAL_WEIGHTS
from dropout_zoo.training.seeding import fresh_weights, was_trained
from dropout_zoo.tuning.defaults import LARGEST_GRID

BELOW_RANGE, ABOVE_RANGE = (0.10, 0.05), (0.60, 0.70)
"""Rates beyond the default range, tried where the best trial lies on its edge."""


_SAME = 1e-6  # rates in single precision are the rates that they stand for

Rates = float | Sequence[float] | Mapping[str, float | Sequence[float]]


@dataclass(frozen=True)
class SearchSpace:
    """The rates to try, by hyperparameter, and the sites that each hyperparameter sets.

    Attributes:
        choices: rates (fraction dropped) by name of the hyperparameter, which is the path of its
            first site.
        sites: paths of the sites that each hyperparameter sets: one site, all sites that one
            argument of a composite layer sets, or all sites with the same placement.
        size_without_sharing: number of settings if sites with the same placement did not share a
            rate; None where they do not.

    Example:
        >>> from dropout_zoo.tuning import SearchSpace
        >>> space = SearchSpace({"drop": (0.2, 0.35, 0.5)}, {"drop": ("drop",)})
        >>> space.size
        3
        >>> space.on_edge({"drop": 0.5})
        ['drop']
    """

    choices: Mapping[str, tuple[float, ...]]
    sites: Mapping[str, tuple[str, ...]]
    size_without_sharing: int | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Number of settings in the whole grid."""
        return math.prod(len(rates) for rates in self.choices.values())

    @property
    def note(self) -> str:
        """A sentence that says why sites share a rate; empty where they do not."""
        if self.size_without_sharing is None:
            return ""
        return (
            "Sites with the same placement share a rate; with a separate rate per site there would "
            f"be {self.size_without_sharing:,} settings. To search sites separately, give rates by "
            "site path."
        )

    def site_rates(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the rate of every searched site for the values of a trial.

        Args:
            values: rate by name of the hyperparameter; other hyperparameters are ignored.

        Returns:
            Rate by site path.
        """
        return {path: float(values[name]) for name, paths in self.sites.items() for path in paths}

    def beyond_edges(
        self, rates: Mapping[str, float]
    ) -> tuple[SearchSpace, list[dict[str, float]]]:
        """Extend the range where a setting has its lowest or highest rate.

        Args:
            rates: rate by site path.

        Returns:
            The space with 0.10 and 0.05 or 0.60 and 0.70 added there, and the settings that differ
            from the given one in one such rate.
        """
        edges = self.on_edge(rates)
        choices, settings = dict(self.choices), []
        for name, paths in self.sites.items():
            if paths[0] not in edges:
                continue
            more = BELOW_RANGE if rates[paths[0]] == min(self.choices[name]) else ABOVE_RANGE
            choices[name] = tuple(sorted({*self.choices[name], *more}))
            settings += [dict(rates) | dict.fromkeys(paths, rate) for rate in more]
        return replace(self, choices=MappingProxyType(choices)), settings

    def on_edge(self, rates: Mapping[str, float]) -> list[str]:
        """Return the sites whose rate is the lowest or highest that was tried there.

        Args:
            rates: rate by site path.

        Returns:
            Their paths; sites where fewer than three rates were tried are left out, and rates up
            to 0.05, below which is no dropout.
        """
        return [
            path
            for name, paths in self.sites.items()
            for path in paths
            if len(self.choices[name]) > 2
            and any(math.isclose(rates[path], end, rel_tol=_SAME) for end in self._open_ends(name))
        ]

    def outside(self, rates: Mapping[str, float]) -> list[str]:
        """Return the sites whose rate is lower or higher than all that were tried there.

        Args:
            rates: rate by site path, such as those that the model was given with.

        Returns:
            Their paths.

        Example:
            >>> from dropout_zoo.tuning import SearchSpace
            >>> SearchSpace({"drop": (0.2, 0.5)}, {"drop": ("drop",)}).outside({"drop": 0.7})
            ['drop']
        """
        found = []
        for name, paths in self.sites.items():
            low, high = self._ends(name)
            margin = _SAME * high
            found += [p for p in paths if not low - margin <= rates[p] <= high + margin]
        return found

    def _open_ends(self, name: str) -> list[float]:
        """The ends beyond which there are other rates than none."""
        return [end for end in self._ends(name) if end > min(BELOW_RANGE)]

    def _ends(self, name: str) -> tuple[float, float]:
        return min(self.choices[name]), max(self.choices[name])


def search_space(
    model: keras.Model,
    rates: Rates | None = None,
    placements: str | Iterable[str] | None = None,
    *,
    largest_grid: int = LARGEST_GRID,
) -> SearchSpace:
    """Derive the search space from the dropout sites of a model.

    The rates are 0.20, 0.30, 0.40 and 0.50 at each site. Output sites are not searched, and neither
    are rates that a layer learns (`ConcreteDropout`), nor a rate of 0 inside another layer, such as
    `MultiHeadAttention` without dropout.

    If that makes a grid of more than `largest_grid` settings, sites with the same placement share a
    rate, unless rates are given by site path.

    Args:
        model: a Keras model.
        rates: a rate (fraction dropped) or several to try instead, at every searched site or by
            site path. A site that is named is searched whatever its placement.
        placements: search only sites with these placements, one name or several.
        largest_grid: number of settings up to which every site has a rate of its own; 0 for none.

    Returns:
        The search space.

    Raises:
        ValueError: the model has no site to search, a path names no site or one whose rate is
            learned, or a rate is out of range.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.tuning import search_space
        >>> search_space(build_mlp(), rates=[0.2, 0.5]).choices["hidden_1_dropout"]
        (0.2, 0.5)
    """
    sites = dropout_sites(model)
    known = [site.path for site in sites if site.is_settable]
    named = rates if isinstance(rates, Mapping) else {}
    unknown = [path for path in named if path not in known]
    if unknown:
        raise ValueError(
            f"expected rates by site path ({', '.join(known) or 'no sites'}), received "
            f"{', '.join(map(repr, unknown))}{did_you_mean(str(unknown[0]), known)}"
        )
    wanted = _wanted_placements(placements)
    choices: dict[str, tuple[float, ...]] = {}
    tied: dict[str, list[str]] = {}
    leaders: dict[tuple[object, ...], str] = {}
    placement_of: dict[str, str] = {}
    for site in sites:
        # A dropout layer with rate 0 was added on purpose; inside another layer, 0 just means no
        # dropout.
        absent = site.rate == 0 and site.layer is not site.owner
        searched = site.placement in wanted and site.is_settable and not absent
        if site.path not in named and not searched:
            continue
        key = (id(site.owner), site.argument, site.rate)
        if site.layer is not site.owner and key in leaders and site.path not in named:
            tied[leaders[key]].append(site.path)
            continue
        leaders[key] = site.path
        tied[site.path] = [site.path]
        choices[site.path] = _choices(site, rates)
        placement_of[site.path] = site.placement
    if not choices:
        raise _no_site_error(sites, wanted)
    space = _space(choices, tied)
    if named or space.size <= largest_grid or len(set(placement_of.values())) == len(choices):
        return space
    first = {placement_of[path]: path for path in reversed(choices)}
    shared: dict[str, list[str]] = {}
    for path, paths in tied.items():
        shared.setdefault(first[placement_of[path]], []).extend(paths)
    return _space({path: choices[path] for path in shared}, shared, space.size)


WEIGHTS_DRAWN_ANEW = (
    "The model was trained before. Its weights are drawn anew for each seed, except those of "
    "frozen layers; initial_weights='keep' starts from its own."
)


class DropoutHyperModel(keras_tuner.HyperModel):
    """A KerasTuner hypermodel whose hyperparameters are the dropout rates of a compiled model.

    Args:
        model: a compiled Keras model; it is not changed.
        rates: rates to try; see `search_space`.
        placements: search only sites with these placements, one name or several.
        initial_weights: ``"fresh"`` to draw new weights for each build, except those of frozen
            and adapted layers, with a warning if the model was trained before; ``"keep"`` for the
            weights of the model.

    Raises:
        ValueError: the model has no site to search, a rate is out of range, or no argument of a
            layer sets the rate of a searched site inside it.

    Example:
        >>> import keras_tuner
        >>> from dropout_zoo.models import build_mlp, dropout_sites
        >>> from dropout_zoo.tuning import DropoutHyperModel
        >>> hypermodel = DropoutHyperModel(build_mlp(units=(8,), hidden_rates=0.5), [0.2, 0.4])
        >>> hp = keras_tuner.HyperParameters()
        >>> hp.Fixed("hidden_1_dropout", 0.4)
        0.4
        >>> [site.rate for site in dropout_sites(hypermodel.build(hp))]
        [0.4]
    """

    def __init__(
        self,
        model: keras.Model,
        rates: Rates | None = None,
        placements: str | Iterable[str] | None = None,
        initial_weights: str = INITIAL_WEIGHTS[0],
    ) -> None:
        super().__init__(name=model.name)
        self.model = model
        self.space = search_space(model, rates, placements)
        self.initial_weights = initial_weights
        check_settable(model, self.space)
        if initial_weights == "fresh" and model.compiled and was_trained(model):
            warn_caller(WEIGHTS_DRAWN_ANEW)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build a plain Keras model with the rates of a trial, compiled as the original.

        Args:
            hp: hyperparameters, on which a `Choice` is declared for each searched site.

        Returns:
            A compiled model.
        """
        rates = self.space.site_rates(self.declare(hp))
        built = with_rates(self.model, rates)
        if self.initial_weights == "fresh":
            # Like Keras's own initial weights, they depend on keras.utils.set_random_seed.
            built.set_weights(fresh_weights(self.model, random.randrange(2**31)))
        return built

    def declare(self, hp: keras_tuner.HyperParameters) -> dict[str, float]:
        """Declare the choices and read their values.

        Args:
            hp: hyperparameters.

        Returns:
            Rate by name of the hyperparameter.
        """
        # Choice, not Float: with a step, Float never reaches its maximum.
        return {
            name: hp.Choice(name, list(rates), ordered=True)
            for name, rates in self.space.choices.items()
        }


def check_settable(model: keras.Model, space: SearchSpace) -> None:
    """Check that the searched rates can be set, which is found out by trial: before any training.

    Args:
        model: the model.
        space: what is searched.

    Raises:
        ValueError: no argument of a layer sets the rate of a searched site inside it.
    """
    searched = {path for paths in space.sites.values() for path in paths}
    if any(s.layer is not s.owner and s.path in searched for s in dropout_sites(model)):
        with_rates(model, space.site_rates({k: v[-1] for k, v in space.choices.items()}))


def _space(
    choices: Mapping[str, tuple[float, ...]],
    sites: Mapping[str, Sequence[str]],
    size_without_sharing: int | None = None,
) -> SearchSpace:
    paths = {name: tuple(each) for name, each in sites.items()}
    return SearchSpace(
        MappingProxyType(dict(choices)), MappingProxyType(paths), size_without_sharing
    )


def _no_site_error(sites: Sequence[DropoutSite], wanted: Iterable[str]) -> ValueError:
    """Return the error to raise where there is nothing to search."""
    received = ", ".join(
        f"{site.path} ({site.placement}{', a rate that is learned' * site.learned}"
        f"{', noise whose rate cannot be set' * (not site.is_settable and site.own_noise)})"
        for site in sites
    )
    remedy = (
        "add a layer such as keras.layers.Dropout(0.2) after a hidden layer, or, to a registered "
        "model, by placements (--placements)"
    )
    site = next((site for site in sites if site.is_settable), None)
    if site is not None:
        remedy = (
            f"to search {site.path!r}, pass rates={{{site.path!r}: [0.2, 0.5]}} or "
            f"placements=[{site.placement!r}] (--placements {site.placement})"
        )
    only = f"whose only sites are {received}" if received else "without any"
    return ValueError(
        f"expected a dropout site whose placement is {listed(sorted(wanted), 'or')}, received "
        f"a model {only}; {remedy}"
    )


def _wanted_placements(placements: str | Iterable[str] | None) -> set[str]:
    if placements is None:
        return set(PLACEMENTS) - {"output"}
    wanted = set(as_names(placements))
    unknown = sorted(map(str, wanted - set(PLACEMENTS)))
    if unknown or not wanted:
        raise ValueError(
            f"expected placements among ({', '.join(map(repr, PLACEMENTS))}), received "
            f"{', '.join(map(repr, unknown)) or 'none'}"
            f"{did_you_mean(unknown[0], PLACEMENTS) if unknown else ''}"
        )
    return wanted


def _choices(site: DropoutSite, rates: Rates | None) -> tuple[float, ...]:
    given = rates.get(site.path) if isinstance(rates, Mapping) else rates
    if given is None:
        given = SEARCHED_RATES
    checked = sorted({check_rate(rate, f"a rate of {site.path}") for rate in listed_rates(given)})
    if not checked:
        raise ValueError(f"expected at least one rate to try at {site.path}, received none")
    return tuple(checked)
