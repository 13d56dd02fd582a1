"""The search space: which rates are tried at which sites of a model."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import keras
import keras_tuner

from dropout_zoo.models.graph.cloning import with_rates
from dropout_zoo.models.graph.sites import DropoutSite, dropout_sites
from dropout_zoo.models.guidance import GUIDANCE, SEARCHED_RATES, check_rate
from dropout_zoo.training.seeding import fresh_weights

PLACEMENTS = ("input", "hidden", "convolutional", "recurrent", "output")

Rates = Sequence[float] | Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class SearchSpace:
    """Rates to try, by hyperparameter, and the sites that each hyperparameter sets.

    Attributes:
        choices: rates (fractions dropped) by name of the hyperparameter, which is the path of
            its first site.
        sites: paths of the sites that it sets: one, or those that one argument of a composite
            layer sets together.
    """

    choices: Mapping[str, tuple[float, ...]]
    sites: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """Number of settings in the whole grid."""
        return math.prod(len(rates) for rates in self.choices.values())

    def site_rates(self, values: Mapping[str, float]) -> dict[str, float]:
        """The rates that a trial's values mean.

        Args:
            values: rate by name of the hyperparameter; other hyperparameters are passed over.

        Returns:
            Rate by site path.
        """
        return {path: float(values[name]) for name, paths in self.sites.items() for path in paths}

    def on_edge(self, rates: Mapping[str, float]) -> list[str]:
        """The sites whose rate is the lowest or highest that was tried there.

        Args:
            rates: rate by site path.

        Returns:
            Paths of sites where at least three rates were tried, and an end was taken.
        """
        return [
            path
            for name, paths in self.sites.items()
            for path in paths
            if len(self.choices[name]) > 2
            and rates[path] in (min(self.choices[name]), max(self.choices[name]))
        ]


def search_space(
    model: keras.Model, rates: Rates | None = None, placements: Iterable[str] | None = None
) -> SearchSpace:
    """Read the search space off the dropout sites of a model.

    Hidden, convolutional and recurrent sites are searched over 0.20, 0.25, ..., 0.50, input sites
    over 0.20 and 0.25, output sites not at all. A rate that its layer learns (`ConcreteDropout`)
    is not searched.

    Args:
        model: a Keras model.
        rates: rates to try instead, for every searched site, or by site path; a site that is
            named there is searched wherever it is.
        placements: search only sites of these placements.

    Returns:
        The space.

    Raises:
        ValueError: the model has no site to search, a path names no site or one whose rate is
            learnt, or a rate is out of range.
    """
    sites = dropout_sites(model)
    known = [site.path for site in sites if not site.learned]
    named = rates if isinstance(rates, Mapping) else {}
    unknown = [path for path in named if path not in known]
    if unknown:
        raise ValueError(
            f"expected rates by site path, one of {', '.join(known) or 'no sites'}; received "
            f"{', '.join(map(repr, unknown))}"
        )
    wanted = _wanted_placements(placements)
    choices: dict[str, tuple[float, ...]] = {}
    tied: dict[str, list[str]] = {}
    leaders: dict[tuple, str] = {}
    for site in sites:
        searched = site.placement in wanted and not site.learned
        if site.path not in named and not searched:
            continue
        key = (id(site.owner), site.argument, site.rate)
        if site.layer is not site.owner and key in leaders and site.path not in named:
            tied[leaders[key]].append(site.path)
            continue
        leaders[key] = site.path
        tied[site.path] = [site.path]
        choices[site.path] = _choices(site, rates)
    if not choices:
        what = (
            "received a model without any"
            if not sites
            else "received "
            + ", ".join(
                f"{site.path} ({site.placement}{', a learned rate' * site.learned})"
                for site in sites
            )
        )
        raise ValueError(
            f"expected a dropout site with placement {' or '.join(sorted(wanted))}; {what}"
        )
    return SearchSpace(
        MappingProxyType(choices), MappingProxyType({k: tuple(v) for k, v in tied.items()})
    )


class DropoutHyperModel(keras_tuner.HyperModel):
    """The dropout rates of a compiled model as a KerasTuner search space.

    Hand it to any tuner of `keras_tuner`::

        tuner = keras_tuner.RandomSearch(DropoutHyperModel(model), "val_loss", max_trials=10)

    Args:
        model: a compiled Sequential or Functional Keras model; it is left as it is.
        rates: rates to try instead of the guidance, as in `search_space`.
        placements: search only sites of these placements.
        initial_weights: ``"fresh"`` gives each build new weights, except for frozen and adapted
            layers; ``"keep"`` those of the model.

    Raises:
        ValueError: the model has no site to search, or a rate is out of range.
    """

    def __init__(
        self,
        model: keras.Model,
        rates: Rates | None = None,
        placements: Iterable[str] | None = None,
        initial_weights: str = "fresh",
    ) -> None:
        super().__init__(name=model.name)
        self.model = model
        self.space = search_space(model, rates, placements)
        self.initial_weights = initial_weights

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the model with the rates of a trial: plain Keras, compiled as the original.

        Args:
            hp: hyperparameters; a `Choice` for each searched site is declared on them.

        Returns:
            A compiled model.
        """
        rates = self.space.site_rates(self.declare(hp))
        built = with_rates(self.model, rates)
        if self.initial_weights == "fresh":
            # Drawn as Keras draws its own: keras.utils.set_random_seed decides.
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


def _wanted_placements(placements: Iterable[str] | None) -> set[str]:
    if placements is None:
        return set(PLACEMENTS) - {"output"}
    wanted = set(placements)
    unknown = wanted - set(PLACEMENTS)
    if unknown or not wanted:
        raise ValueError(
            f"expected placements out of {', '.join(PLACEMENTS)}; received "
            f"{', '.join(sorted(map(str, unknown))) or 'none'}"
        )
    return wanted


def _choices(site: DropoutSite, rates: Rates | None) -> tuple[float, ...]:
    given = rates.get(site.path) if isinstance(rates, Mapping) else rates
    if given is None:
        guidance = GUIDANCE["input" if site.placement == "input" else "searched"]
        given = [rate for rate in SEARCHED_RATES if guidance.includes(rate)]
    checked = sorted({check_rate(rate, f"a rate of {site.path}") for rate in given})
    if not checked:
        raise ValueError(f"expected at least one rate to try at {site.path}; received none")
    return tuple(checked)
