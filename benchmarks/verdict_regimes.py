"""How often a verdict is right: learning curves of known regimes, drawn with noise.

    python benchmarks/verdict_regimes.py [--draws 200]

Nothing is trained. Writes `verdict_regimes.json`, prints a table, and shows per regime the share of
draws in which `verdict` is right, undecided (it says why), or wrong. A test repeats it with fewer
draws.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dropout_zoo.studies import verdict

HERE = Path(__file__).parent
EPOCHS = np.arange(1, 31)


@dataclass(frozen=True)
class Shape:
    """What the curves of a training run look like, without noise.

    Attributes:
        losses: training loss (dropout off) and validation loss where they level off.
        accuracies: the same for the accuracies.
        rise: rise of the validation loss from its minimum at epoch 10 to the end, as a share.
        fall: how much the losses still fall per fifth of the epochs at the end, as a share.
    """

    losses: tuple[float, float]
    accuracies: tuple[float, float]
    rise: float = 0.0
    fall: float = 0.0


@dataclass(frozen=True)
class Regime:
    """Curves whose verdict is known.

    Attributes:
        name: name in the table.
        truth: the labels that are right.
        shape: what the curves look like.
        reference: the same for those of the reference; None if there is none.
        examples: number of validation examples.
        lost: share of the seeds whose loss becomes infinite.
    """

    name: str
    truth: tuple[str, ...]
    shape: Shape
    reference: Shape | None = None
    examples: int = 3000
    lost: float = 0.0


TOO_SMALL = Shape((1.10, 1.12), (0.60, 0.59))
FITTED = Shape((0.01, 0.235), (1.0, 0.935))
REGIMES = (
    Regime("balanced, 300 validation examples", ("balanced",),
           Shape((0.05, 0.07), (0.985, 0.980)), examples=300),
    Regime("balanced, 3,000 validation examples", ("balanced",),
           Shape((0.05, 0.07), (0.985, 0.980))),
    Regime("balanced, at the edge of a gap", ("balanced",),
           Shape((0.05, 0.10), (0.985, 0.970))),
    Regime("balanced, but the reference is better", ("undecided",),
           Shape((0.05, 0.07), (0.985, 0.980)), Shape((0.048, 0.055), (0.986, 0.983))),
    Regime("balanced, equal to its reference", ("balanced",),
           Shape((0.05, 0.07), (0.985, 0.980)), Shape((0.05, 0.07), (0.985, 0.980))),
    Regime("too small, alone", ("underfitting",), TOO_SMALL),
    Regime("wrong labels, and the rate helps", ("undecided",),
           Shape((0.55, 0.57), (0.855, 0.850)), Shape((0.10, 0.75), (0.970, 0.800))),
    Regime("too small, equal to its reference", ("underfitting",), TOO_SMALL, TOO_SMALL),
    Regime("too high a rate, high training error", ("underfitting",),
           Shape((0.60, 0.62), (0.82, 0.815)), Shape((0.10, 0.30), (0.97, 0.92))),
    Regime("over-regularized, low training error", ("over-regularized",),
           Shape((0.05, 0.26), (0.990, 0.930)), FITTED),
    Regime("a rate that helps", ("overfitting",),
           Shape((0.05, 0.19), (0.990, 0.945)), FITTED),
    Regime("overfitting: wide gap, loss at rest", ("overfitting",), FITTED),
    Regime("overfitting: the loss rises by 30%", ("overfitting",),
           Shape((0.03, 0.08), (0.990, 0.975), rise=0.3)),
    Regime("overfitting: the loss rises by 10%", ("overfitting",),
           Shape((0.03, 0.08), (0.990, 0.975), rise=0.1)),
    Regime("still falling, small gap", ("underfitting",),
           Shape((0.50, 0.52), (0.860, 0.855), fall=0.15)),
    # The gap at the end of training is not known yet.
    Regime("still falling, wide gap", ("undecided",),
           Shape((0.30, 0.60), (0.93, 0.85), fall=0.15)),
    Regime("diverged", ("diverged",), FITTED, lost=0.7),
)  # fmt: skip


def draw(
    shape: Shape, seeds: int, examples: int, lost: float, random: np.random.Generator
) -> pd.DataFrame:
    """Draw learning curves of a shape.

    Args:
        shape: what they look like without noise.
        seeds: number of seeds.
        examples: number of validation examples, whose sampling all seeds share.
        lost: share of the seeds whose loss becomes infinite.
        random: the source of noise.

    Returns:
        Curves as `verdict` takes them. From seed to seed the validation loss varies by 3% and an
        accuracy by 0.003; from epoch to epoch losses vary by 2% and accuracies by 0.003, as
        measured for small networks on digits.
    """
    (train, validation), (fit, correct) = shape.losses, shape.accuracies
    falling = 1 + shape.fall * (EPOCHS[-1] - EPOCHS) / 6
    rising = 1 + shape.rise * np.clip((EPOCHS - 10) / 20, 0, 1)
    start = np.exp(-EPOCHS / 1.5)
    sampled = np.sqrt(correct * (1 - correct) / examples) * random.normal()
    tables = []
    for seed in range(seeds):
        fails = seed < round(lost * seeds)
        noise = random.normal(size=(4, len(EPOCHS)))
        level = 1 + 0.03 * random.normal()
        val_loss = (validation * level + 2 * start) * falling * rising * (1 + 0.02 * noise[0])
        train_loss = np.maximum((train + 2 * start) * falling * (1 + 0.02 * noise[1]), 1e-4)
        if fails:
            val_loss[20:] = np.inf
        val_accuracy = correct * (1 - start) + sampled + 0.003 * (random.normal() + noise[2])
        train_accuracy = np.minimum(fit * (1 - start) + 0.003 * noise[3], 1.0)
        columns = {
            "train_loss": train_loss,
            "val_loss": val_loss,
            "train_accuracy": train_accuracy,
            "val_accuracy": val_accuracy,
            "accuracy": train_accuracy,
        }
        tables.append(pd.DataFrame({"seed": seed, "epoch": EPOCHS} | columns))
    return pd.concat(tables, ignore_index=True)


def judge(regime: Regime, seeds: int, draws: int) -> dict[str, float]:
    """Return the share of draws of a regime whose verdict is right, undecided or wrong."""
    random = np.random.default_rng([seeds, *regime.name.encode()])
    counts = dict.fromkeys(("right", "undecided", "wrong"), 0)
    for _ in range(draws):
        curves = draw(regime.shape, seeds, regime.examples, regime.lost, random)
        reference = None
        if regime.reference is not None:
            reference = draw(regime.reference, seeds, regime.examples, 0.0, random)
        found = verdict(curves, reference=reference, examples=regime.examples)
        if found.label in regime.truth:
            counts["right"] += 1
        elif found.label == "undecided" and found.sentence.startswith("undecided, because "):
            counts["undecided"] += 1
        else:
            counts["wrong"] += 1
    return {what: count / draws for what, count in counts.items()}


def main(draws: int) -> None:
    """Judge every regime with 3, 5 and 10 seeds, write the result and print it."""
    rows = [
        {"regime": regime.name, "truth": " or ".join(regime.truth), "seeds": seeds}
        | judge(regime, seeds, draws)
        for seeds in (3, 5, 10)
        for regime in REGIMES
    ]
    kept = {"draws": draws, "regimes": [asdict(each) for each in REGIMES], "rows": rows}
    (HERE / "verdict_regimes.json").write_text(json.dumps(kept, indent=1) + "\n")
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    print(table.groupby("seeds")[["right", "undecided", "wrong"]].mean().to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=200)
    main(parser.parse_args().draws)
