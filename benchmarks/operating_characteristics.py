"""How often the race is right: `tune`'s procedure simulated on scores that are made up.

    python benchmarks/operating_characteristics.py [--searches 20000]

Nothing is trained. A search is simulated from its trials to its answer by the functions that `tune`
itself calls: 16 settings on one seed, the best 3 on two more seeds and splits, then the best of
these against no dropout on new seeds and splits. Writes `operating_characteristics.json` and prints
a table; the README of this directory shows most of it. The standard deviations and correlations
were measured on the digits; see `MEASURED`.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dropout_zoo.studies.sequential_tests import (
    Estimate,
    alpha_of_look,
    corrected_estimate,
    looks_over_splits,
    looks_until,
    num_splits,
    paired_estimate,
)
from dropout_zoo.tuning.race.screening import SCREENED_PER_FINALIST, SCREENING_SEEDS

HERE = Path(__file__).parent
# Best validation loss of the documented MLP on the digits: 4 settings, 8 splits x 4 seeds each,
# trained until it no longer improved. The effects of the split on two gains had correlations of
# 0.91, 0.61 and 0.23.
MEASURED = {"total": 0.0249, "seeds_of_differences": 0.0121, "splits_of_differences": 0.0104}


@dataclass(frozen=True)
class Scenario:
    """What the scores of a simulated search are made of, in standard deviations of a run.

    Attributes:
        name: name in the table.
        seeds: standard deviation of a difference between two runs on the same seed and split.
        splits: standard deviation between splits of the difference of two settings.
        skewed: whether the noise is skewed (a shifted exponential) instead of normal.
        shared: correlation between the effects of a split on two settings with dropout.
        common: variance that all splits of the same examples have in common, divided by what Nadeau
            and Bengio assume.
        validation_ratio: number of validation examples divided by that of training examples.
        num_seeds: maximum number of seeds in the race.
        settings: number of settings in the search.
        one_split: whether all seeds are trained on the given split.
        ratio_of_noise: standard deviation of the finalist's noise, divided by that of the control.
    """

    name: str
    seeds: float
    splits: float
    skewed: bool = False
    ratio_of_noise: float = 1.0
    shared: float = 0.58
    common: float = 1.0
    validation_ratio: float = 270 / 1257
    num_seeds: int = 40
    settings: int = 16
    one_split: bool = False


def measured_scenario(name: str = "as measured", **changes: object) -> Scenario:
    """Return the scenario whose noise was measured."""
    seeds = MEASURED["seeds_of_differences"] / MEASURED["total"]
    splits = MEASURED["splits_of_differences"] / MEASURED["total"]
    return Scenario(**{"name": name, "seeds": seeds, "splits": splits} | changes)


SCENARIOS = (
    measured_scenario(),
    measured_scenario("no effect of the split", splits=0.0),
    measured_scenario("twice the effect of the split", splits=2 * 0.0104 / 0.0249),
    measured_scenario("effects of the split independent between settings", shared=0.0),
    measured_scenario(
        "twice the effect of the split, independent between settings",
        splits=2 * 0.0104 / 0.0249,
        shared=0.0,
    ),
    measured_scenario("the same, 50 settings", splits=2 * 0.0104 / 0.0249, shared=0.0, settings=50),
    measured_scenario("splits with twice as much in common as assumed", common=2.0),
    measured_scenario("splits with three times as much in common", common=3.0),
    measured_scenario("skewed noise, that of the control half", skewed=True, ratio_of_noise=2.0),
    measured_scenario("control with half the noise", ratio_of_noise=2.0),
    measured_scenario("validation set twice as large", validation_ratio=2 * 270 / 1257),
    measured_scenario("validation set as large as the training set", validation_ratio=1.0),
    measured_scenario("at most 10 seeds", num_seeds=10),
    measured_scenario("50 settings", settings=50),
    Scenario("independent runs, one split", seeds=np.sqrt(2), splits=0.0, one_split=True),
)


def noise(rng: np.random.Generator, scenario: Scenario, shape: tuple[int, ...]) -> np.ndarray:
    """Draw noise of standard deviation 1."""
    return rng.exponential(size=shape) - 1 if scenario.skewed else rng.normal(size=shape)


def simulate(scenario: Scenario, gain: float, searches: int, seed: int = 0) -> dict[str, float]:
    """Simulate searches in which every setting has the same gain over no dropout.

    Args:
        scenario: what the scores are made of.
        gain: true gain, in standard deviations of a single run.
        searches: number of searches.
        seed: seed of the simulation.

    Returns:
        Shares of searches that claim a gain or a loss; share of intervals that contain the true
        gain; mean number of seeds in the race; mean number of training runs of the search; and
        half the width of the interval at the end.
    """
    rng, seeds = np.random.default_rng(seed), scenario.num_seeds
    splits = num_splits(seeds)
    split_of = np.arange(seeds) % splits
    # A difference has the noise of two runs; `ratio_of_noise` divides it between them.
    of_control = scenario.seeds / np.hypot(1, scenario.ratio_of_noise)
    of_others = of_control * scenario.ratio_of_noise
    # What a validation set that happens to favor a setting adds on every seed of a split, and what
    # splits of the same examples have in common (Nadeau and Bengio's correlation).
    on_split = scenario.splits * rng.normal(size=(searches, splits))
    common = np.sqrt(scenario.common * scenario.validation_ratio) * of_settings(
        rng, scenario, searches
    )
    chosen = screened(rng, scenario, common, of_others)
    by_split = (on_split + common[np.arange(searches), chosen][:, None])[:, split_of]
    control = of_control * noise(rng, scenario, (searches, seeds))
    finalist = gain + by_split + of_others * noise(rng, scenario, (searches, seeds))
    differences = finalist - control
    shared = rng.normal(size=(searches, splits))[:, split_of]
    scores = control + shared * np.sqrt(max(0.0, 1 - of_control**2))

    looks = looks_until(seeds) if scenario.one_split else looks_over_splits(seeds)
    result = {name: np.zeros(searches) for name in ("claimed", "harm", "covered", "seeds", "half")}
    open_ = np.ones(searches, bool)
    for number, look in enumerate(looks):
        seen = differences[:, :look]
        estimate = (
            paired_estimate(seen)
            if scenario.one_split
            else corrected_estimate(seen, scenario.validation_ratio, splits)
        )
        half = estimate.half_width(alpha_of_look(looks, number))
        low, high = estimate.mean - half, estimate.mean + half
        relevant = scores[:, :look].std(axis=1, ddof=1)
        ends = open_ & ((low > 0) | (high < relevant) | (look == looks[-1]))
        for name, values in {
            "claimed": low > 0, "harm": high < 0, "covered": (low <= gain) & (gain <= high),
            "seeds": np.full(searches, look), "half": half,
        }.items():  # fmt: skip
            result[name][ends] = values[ends]
        open_ &= ~ends
    means = {name: float(values.mean()) for name, values in result.items()}
    search = scenario.settings + 2 + SCREENED_PER_FINALIST * SCREENING_SEEDS
    return means | {"num_runs": search + 2 * means["seeds"]}


def of_settings(rng: np.random.Generator, scenario: Scenario, searches: int) -> np.ndarray:
    """Draw the effect of a split on every setting; those on two settings are correlated."""
    on_all, on_each = rng.normal(size=(searches, 1)), rng.normal(size=(searches, scenario.settings))
    return scenario.splits * (
        np.sqrt(scenario.shared) * on_all + np.sqrt(1 - scenario.shared) * on_each
    )


def screened(
    rng: np.random.Generator, scenario: Scenario, common: np.ndarray, of_others: float
) -> np.ndarray:
    """Choose a setting as `tune` does, from scores on the given split, and return its number.

    All have the same gain, so the choice is a matter of luck: that of the seeds, that of the
    splits, and that of the examples, which goes with the chosen setting into the race.
    """
    shape = (*common.shape, 1 + SCREENING_SEEDS)
    on_splits = [of_settings(rng, scenario, len(common)) for _ in range(shape[-1])]
    if scenario.one_split:
        on_splits = on_splits[:1] * shape[-1]
    scores = common[..., None] + np.stack(on_splits, -1) + of_others * noise(rng, scenario, shape)
    best = np.argsort(-scores[..., 0], axis=1)[:, :SCREENED_PER_FINALIST]
    means = np.take_along_axis(scores.mean(axis=-1), best, axis=1)
    return np.take_along_axis(best, means.argmax(axis=1)[:, None], axis=1)[:, 0]


def former(scenario: Scenario, gain: float, searches: int, seed: int = 0) -> float:
    """Return how often the former procedure claimed a gain: 6 settings, 5 seeds, Holm's method."""
    rng = np.random.default_rng(seed)
    of_one = scenario.seeds / np.sqrt(2)
    control = of_one * noise(rng, scenario, (searches, 1, 5))
    others = of_one * noise(rng, scenario, (searches, 6, 5)) + gain
    on_all, on_each = rng.normal(size=(searches, 1, 1)), rng.normal(size=(searches, 6, 1))
    on_split = np.sqrt(scenario.shared) * on_all + np.sqrt(1 - scenario.shared) * on_each
    estimate: Estimate = paired_estimate(others + scenario.splits * on_split - control)
    # The first step of Holm's method determines whether there is any claim.
    return float((estimate.mean - estimate.half_width(0.05 / 6) > 0).any(axis=1).mean())


def main() -> None:
    """Simulate, write the numbers and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--searches", type=int, default=20_000)
    searches = parser.parse_args().searches
    rows = [
        {
            "scenario": asdict(scenario), "gain": gain, **simulate(scenario, gain, searches),
            "former_claimed": former(scenario, gain, searches),
        }
        for scenario in SCENARIOS
        for gain in (-1.0, 0.0, 0.5, 1.0, 1.5)
    ]  # fmt: skip
    (HERE / "operating_characteristics.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(
        "| noise | gain, sd | claimed | harm | formerly | covered | half-width, sd | seeds | runs |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['scenario']['name']} | {row['gain']} | {row['claimed']:.3f} | "
            f"{row['harm']:.3f} | "
            f"{row['former_claimed']:.3f} | {row['covered']:.3f} | {row['half']:.2f} | "
            f"{row['seeds']:.0f} | {row['num_runs']:.0f} |"
        )


if __name__ == "__main__":
    main()
