"""Verdicts on learning curves: underfitting, over-regularized, balanced, overfitting, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dropout_zoo.models.argument_validation import check_level
from dropout_zoo.models.wording import count_of
from dropout_zoo.studies.curve_measurements import (
    check_columns,
    finite_seeds,
    measure_against,
    measure_curves,
)
from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL
from dropout_zoo.studies.recommendations import (
    fits_less_and_is_better,
    next_steps,
    reference_is_better,
    why_undecided,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.summary_text import ranked
from dropout_zoo.studies.thresholds import Measured, Thresholds
from dropout_zoo.training.objective import Objective

UNDERFITTING, OVER_REGULARIZED, BALANCED, OVERFITTING, DIVERGED, UNDECIDED = (
    "underfitting", "over-regularized", "balanced", "overfitting", "diverged", "undecided",
)  # fmt: skip


_VALIDATION_LOSS = Objective("val_loss", "min")


@dataclass(frozen=True)
class Verdict:
    """The diagnosis of the learning curves of one setting.

    Attributes:
        label: ``"underfitting"``, ``"over-regularized"``, ``"balanced"``, ``"overfitting"``,
            ``"diverged"`` or ``"undecided"``.
        sentence: the label with the numbers it is based on.
        measured: the measured quantities by name: ``gap``, ``rise``, ``fall``, ``train_error``
            where an accuracy was measured, and with a reference ``deficit`` and ``advantage``.
        next_steps: what to try next, one sentence each.
        num_seeds: number of seeds with finite losses.

    Example:
        >>> from dropout_zoo.studies import Verdict
        >>> Verdict("balanced", "balanced: 5 seeds.").next_steps
        ()
    """

    label: str
    sentence: str
    measured: Mapping[str, Measured] = field(default_factory=dict)
    next_steps: Sequence[str] = ()
    num_seeds: int = 0


def verdict(
    curves: pd.DataFrame,
    *,
    reference: pd.DataFrame | None = None,
    rate: float | None = None,
    best_rate: float | None = None,
    examples: int | None = None,
    patience: int | None = None,
    thresholds: Thresholds | None = None,
    level: float = DEFAULT_LEVEL,
) -> Verdict:
    """Tell from learning curves whether a setting underfits, overfits or is balanced.

    The verdict rests on measurements only: the metrics on training and validation set with
    dropout off, their gap, and the trend of the validation loss before and after its minimum,
    each with Student's confidence interval over the seeds. In this order, a setting

    - overfits if the validation loss rises after its minimum, whatever the reference;
    - is held back if its training loss is above that of the reference, without any advantage on
      the validation set: it underfits if its training error is high (without an accuracy: if its
      gap is not wide), and otherwise is over-regularized if the validation loss no longer falls at
      the end;
    - overfits if the gap is wide and the validation loss no longer falls at the end;
    - underfits if the training error is high and the gap is not wide, unless the reference fits
      better and generalizes worse, or if the gap is small and the validation loss still falls at
      the end;
    - is balanced if everything is below its threshold, and the lowest validation loss of the
      reference is not lower by more than the threshold of the rise.

    It is undecided if an interval includes its threshold; if the training error is high, and the
    reference fits better and generalizes worse; if only the validation loss of the
    reference, which is lower, speaks against it; if the training loss is above that of the
    reference and it is open whether that has an advantage; or if the validation loss still falls
    while the gap is wide or the setting would be over-regularized, since the measurements at its
    end are not final then.

    Without an accuracy there is no training error. Underfitting is then seen only in comparison
    with a reference, or while the validation loss still falls; and a setting that is held back is
    over-regularized where the gap is wide.

    Args:
        curves: one row per epoch and seed: ``seed``, ``epoch``, ``train_loss`` (dropout off),
            ``val_loss``, the accuracy in the same way if there is one, and ``status`` if it is
            known; as returned by `TrainingStudyResult.curves`.
        reference: curves of the same model without dropout, or at the best known rate, trained on
            the same seeds; those on which it failed or diverged are left out of the comparison.
        rate: dropout rate of the setting, for the next steps; None if it has none.
        best_rate: rate with the lowest validation loss in the same sweep, for the next steps; None
            if it is unknown.
        examples: number of validation examples; the interval of a gap in accuracy then includes
            the sampling error of these examples, which all seeds share.
        patience: number of epochs without improvement after which training was stopped, for the
            next steps; None if it was not.
        thresholds: thresholds to compare with; None for the defaults.
        level: confidence level of each interval, in (0, 1).

    Returns:
        The verdict.

    Raises:
        ValueError: a column is missing.

    Example:
        >>> import pandas as pd
        >>> from dropout_zoo.studies import verdict
        >>> losses = {"train_loss": [0.8, 0.5, 0.3, 0.1], "val_loss": [0.9, 0.7, 0.8, 1.1]}
        >>> curves = pd.DataFrame({"epoch": [1, 2, 3, 4]} | losses)
        >>> found = verdict(pd.concat([curves.assign(seed=0), curves.assign(seed=1)]))
        >>> found.label
        'overfitting'
        >>> found.next_steps[1]
        'stop training when the validation loss stops improving (set `patience`)'
    """
    check_level(level)
    limits = thresholds or Thresholds()
    check_columns(curves)
    sound = finite_seeds(curves)
    total = curves["seed"].nunique()
    lost = total - len(sound)
    if total == 0 or lost / total >= limits.diverged:
        reasons = _reasons_of_failures(curves)
        if reasons:
            return Verdict(
                UNDECIDED,
                f"undecided: {lost} of {total} seeds failed ({reasons}).",
                next_steps=("fix the cause of the failures, and run the study again",),
                num_seeds=len(sound),
            )
        return Verdict(
            DIVERGED,
            f"diverged: the loss did not stay finite on {lost} of {total} seeds.",
            next_steps=(
                "lower the learning rate, or clip the gradient (clipnorm) in the optimizer",
            ),
            num_seeds=len(sound),
        )
    finite = curves[curves["seed"].isin(sound)]
    measured = measure_curves(finite, limits, level, examples)
    if reference is not None:
        measured |= measure_against(finite, reference, limits, level)
    label = UNDECIDED if len(sound) == 1 else _label(measured)
    named = label
    if label == UNDECIDED:
        named += f", because {why_undecided(measured, len(sound))}"
    return Verdict(
        label,
        _sentence(named, measured, len(sound), lost),
        measured,
        tuple(next_steps(label, measured, len(sound), rate, best_rate, patience=patience)),
        len(sound),
    )


def verdict_by_setting(
    result: TrainingStudyResult,
    *,
    thresholds: Thresholds | None = None,
    level: float = DEFAULT_LEVEL,
) -> dict[str, Verdict]:
    """Compute the verdict on every setting of a study.

    The reference of a setting is its control. In the result of `rate_sweep` it is, for each seed,
    the other rate with the lowest validation loss on the remaining seeds: what was chosen on some
    seeds is compared on another.

    Args:
        result: the study.
        thresholds: thresholds to compare with; None for the defaults.
        level: confidence level of each interval, in (0, 1).

    Returns:
        The verdicts by name of the setting.

    Raises:
        TypeError: the result is not that of a study that trained models.

    Example:
        >>> from dropout_zoo.studies import rate_sweep, verdict_by_setting
        >>> study = rate_sweep("mlp", "digits", rates=(0.5,), epochs=1, num_seeds=2)
        >>> list(verdict_by_setting(study))
        ['no dropout', 'hidden 0.50']
    """
    if not isinstance(result, TrainingStudyResult):
        raise TypeError(
            "expected the result of a study that trained models (such as rate_sweep), received a "
            f"{type(result).__name__}"
        )
    verdicts = {}
    examples = result.settings["data"]["examples"]["validation"]
    sweeps = _settings_by_series(result)
    for name in dict.fromkeys(result.data["setting"]):
        curves = result.curves(name)
        control = result.controls.get(name)
        reference = None if control is None else result.curves(control)
        best_rate = None
        if name in sweeps:
            reference = _best_of_others(result, name, sweeps[name])
            best = ranked(result.means("val_loss"), _VALIDATION_LOSS)
            best_rate = float(best[best["setting"].isin(sweeps[name])]["rate"].iloc[0])
        verdicts[name] = verdict(
            curves,
            reference=reference,
            rate=_rate(curves) if best_rate is None else float(curves["rate"].iloc[0]),
            best_rate=best_rate,
            examples=examples,
            patience=result.settings["training"].get("patience"),
            thresholds=thresholds,
            level=level,
        )
    return verdicts


def _rate(curves: pd.DataFrame) -> float | None:
    """The largest rate of a setting."""
    rates = curves.filter(regex="^rate/")
    return float(rates.iloc[0].max()) if rates.shape[1] else None


def _settings_by_series(result: TrainingStudyResult) -> dict[str, list[str]]:
    """For each setting of a rate sweep, those of its series, if there are others."""
    if result.kind != "rate_sweep":
        return {}
    means = result.means("val_loss")
    found: dict[str, list[str]] = {}
    for _, group in means[means["mean"].notna()].groupby("series"):
        if len(group) > 1:
            found |= {str(name): list(group["setting"]) for name in group["setting"]}
    return found


def _best_of_others(result: TrainingStudyResult, name: str, series: Sequence[str]) -> pd.DataFrame:
    """For each seed, the curves of the other setting that is best on the remaining seeds."""
    others = result.scores().query("setting in @series and setting != @name")
    losses = others.pivot_table(index="seed", columns="setting", values="val_loss")
    chosen = []
    for seed in losses.index:
        remaining = losses.drop(index=seed) if len(losses) > 1 else losses
        curves = result.curves(str(remaining.mean().idxmin()))
        chosen.append(curves[curves["seed"] == seed])
    return pd.concat(chosen, ignore_index=True)


def _reasons_of_failures(curves: pd.DataFrame) -> str:
    """Why training runs failed, other than by a loss that is not finite."""
    if "status" not in curves or "reason" not in curves:
        return ""
    return "; ".join(sorted(set(curves.loc[curves["status"] == "failed", "reason"])))


def _label(measured: Mapping[str, Measured]) -> str:
    gap, rise, fall = measured["gap"], measured["rise"], measured["fall"]
    error = measured.get("train_error")
    if rise.above:
        return OVERFITTING
    if _is_held_back(measured):
        fits = gap.above if error is None else not error.above
        if not fits:
            return UNDERFITTING
        return UNDECIDED if fall.above else OVER_REGULARIZED
    if _may_be_held_back(measured):
        return UNDECIDED  # more dropout or less: the remedies are opposite
    if gap.above and not fall.above:
        return OVERFITTING
    if not gap.above and error is not None and error.above:
        return UNDECIDED if fits_less_and_is_better(measured) else UNDERFITTING
    if gap.below and fall.above:
        return UNDERFITTING
    if reference_is_better(measured):
        return UNDECIDED
    return BALANCED if _is_at_rest(measured) else UNDECIDED


def _is_held_back(measured: Mapping[str, Measured]) -> bool:
    return "deficit" in measured and measured["deficit"].above and measured["advantage"].below


def _may_be_held_back(measured: Mapping[str, Measured]) -> bool:
    return "deficit" in measured and measured["deficit"].above and not measured["advantage"].above


def _is_at_rest(measured: Mapping[str, Measured]) -> bool:
    """Whether all is below its threshold; a reference matters only if it does better."""
    compared = {"deficit", "advantage"} & measured.keys()
    unclear = compared and not (measured["deficit"].below or measured["advantage"].above)
    return not unclear and all(
        value.below for name, value in measured.items() if name not in compared
    )


_QUANTITIES = {
    "gap": "gap between training and validation (dropout off)",
    "rise": "rise of the validation loss after its minimum",
    "fall": "fall of the validation loss at the end",
    "train_error": "training error (dropout off)",
    "deficit": "excess of the training loss over {reference}",
    "advantage": "improvement of the lowest validation loss over {reference}",
}


def listed_quantities(measured: Mapping[str, Measured], reference: str = "the reference") -> str:
    """List what a verdict measured, each quantity with its value.

    Args:
        measured: the quantities by name, as in `Verdict.measured`.
        reference: what the reference is called.
    """
    return "; ".join(
        f"{_QUANTITIES[name].format(reference=reference)} {value}"
        for name, value in measured.items()
    )


def _sentence(named: str, measured: Mapping[str, Measured], num_seeds: int, lost: int) -> str:
    text = f"{named}: {listed_quantities(measured)}; {count_of(num_seeds, 'seed')}"
    return f"{text}; {count_of(lost, 'more seed')} diverged or failed." if lost else f"{text}."
