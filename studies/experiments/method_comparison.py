"""Methods against overfitting side by side, each tuned over its own small range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.models.argument_validation import check_count, did_you_mean, finite_or_none
from dropout_zoo.models.factory import PLACEMENT_ARGUMENTS, ModelLike, builder_arguments
from dropout_zoo.models.graph.model_graph import reads_indices
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.studies.data.subsets import fold_of, with_fewer_examples
from dropout_zoo.studies.defaults import NUM_SEEDS
from dropout_zoo.studies.experiments.methods import (
    EARLY_STOPPING,
    MORE_DATA,
    NO_METHOD,
    SYNTHETIC_DATA,
    TRANSFER,
    Option,
    methods_for,
)
from dropout_zoo.studies.experiments.transfer import transferred_model
from dropout_zoo.studies.plan import (
    Execution,
    Setting,
    StudyPlan,
    TrainingSetup,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import result_of, train_settings
from dropout_zoo.studies.site_groups import build_with, units_of
from dropout_zoo.studies.study import study
from dropout_zoo.studies.summary_text import (
    basis_sentences,
    best_sentence,
    gain_counts,
    not_ended_sentences,
    ranked,
)
from dropout_zoo.training.data.adapters import Data, as_dataset
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.data.structures import is_structure
from dropout_zoo.training.provenance import describe_data
from dropout_zoo.training.settings import TrainOptions, TrainSettings

_METHOD_ARGUMENTS = ("kernel_regularizer", "kernel_constraint", "max_norm", "batch_norm")


def plan_compare_methods(
    model: ModelLike,
    dataset: Data = "digits",
    *,
    methods: Sequence[str] | None = None,
    examples: int | None = None,
    transfer: Dataset | None = None,
    folds: int | None = None,
    num_tuning_seeds: int = 2,
    num_seeds: int = NUM_SEEDS,
    **settings: Unpack[TrainOptions],
) -> StudyPlan[TrainingStudyResult]:
    """Plan the study of `compare_methods`.

    Args:
        model: a registered name or a builder function with the arguments that the methods change:
            ``kernel_regularizer``, ``max_norm``, ``batch_norm``, ``units``.
        dataset: the data; see `as_dataset`.
        methods: names of methods; None for all that model and data allow. The control without any
            method is always included; methods that the builder uses by default are switched off in
            it.
        examples: number of training examples of all methods except more data, which gets all; None
            for half of them.
        transfer: data with the same input shape, such as other classes of the same data (see
            `split_classes`), on which the method ``"transfer"`` trains the hidden layers first.
        folds: number of folds of `StratifiedKFold` over training and validation set, to race on
            instead of seeds: their spread measures how much the result depends on the data. It
            is not a method against overfitting, and as folds share training examples, intervals
            come out too narrow (Bengio and Grandvalet 2004, JMLR 5:1089-1105).
        num_tuning_seeds: number of seeds on which each option of each method is tried.
        num_seeds: number of seeds of the race.
        **settings: how each model is trained; see `TrainSettings`. `epochs` is the number for
            training without any method. The default objective is the validation accuracy, or
            ``"val_mae"`` for a regression: the loss of L1 and L2 includes their penalty.

    Returns:
        The plan of the tuning; it counts the training runs of the race as `followup_runs`.

    Raises:
        ValueError: an argument is out of range, or a method does not fit model and data.

    Example:
        >>> from dropout_zoo.studies import plan_compare_methods
        >>> plan = plan_compare_methods("mlp", "digits", methods=["dropout"], num_seeds=3)
        >>> plan.num_runs, plan.followup_runs
        (14, 6)
    """
    whole = as_dataset(dataset)
    examples = max(1, whole.num_examples() // 2) if examples is None else examples
    check_count(examples, "examples")
    check_count(num_tuning_seeds, "num_tuning_seeds")
    if folds is not None:
        check_count(folds, "folds", minimum=2)
    options: TrainOptions = {
        "objective": "val_mae" if whole.num_classes is None else "val_accuracy",
        **settings,
    }
    training = TrainSettings.from_options(whole.training_options | options, compare_methods)
    data = with_fewer_examples(whole, examples, seed=0)
    candidates = _candidates(model, data, whole, transfer, methods)
    if folds is not None:  # which have to be the same examples for all methods
        candidates.pop(MORE_DATA, None)
    setups: dict[Any, TrainingSetup] = {}
    tried: dict[str, Option] = {}
    compared = []
    for method, each in ((name, each) for name, found in candidates.items() for each in found):
        if each.setup_key not in setups:
            setups[each.setup_key] = _setup(model, data, each, training.epochs)
        setup = setups[each.setup_key]
        name = f"{method}, {each.label}" if each.label else method
        factors = {"method": method, "option": each.label}
        compared.append(Setting(name, factors, setup.rates({"hidden": each.rate}), setup))
        tried[name] = each
    race_seeds = as_seeds(num_seeds) if folds is None else list(range(folds))
    return StudyPlan(
        kind="compare_methods",
        dataset=data,
        settings=compared,
        seeds=[max(race_seeds) + 1 + number for number in range(num_tuning_seeds)],
        training=training,
        procedure=_TuneAndRace(tried, race_seeds, folds),
        arguments={
            "examples": examples,
            "folds": folds,
            "race_seeds": race_seeds,
            "transfer": None if transfer is None else describe_data(transfer),
        },
        followup_runs=len(candidates) * len(race_seeds),
    )


@study(plan_compare_methods)
def compare_methods() -> None:
    """Tune each method against overfitting on the validation set, then compare the best of each.

    The race runs on seeds that the tuning has not seen, the same for every method, but on the same
    validation examples, which favors methods with more options. All methods make the same number of
    updates, up to one epoch more with more examples, and are scored at their last epoch; only early
    stopping is scored at its best epoch, which favors it because that epoch is chosen on the
    validation set.

    Returns:
        The result of the race, with the factors ``method`` and ``option``; the results of the
        tuning are in ``settings["arguments"]["tuning"]``.

    Example:
        >>> from dropout_zoo.studies import compare_methods
        >>> study = compare_methods(
        ...     "mlp", "digits", methods=["dropout"], num_tuning_seeds=1, epochs=1, num_seeds=1
        ... )
        >>> study.means()["setting"].tolist()
        ['no method', 'dropout']
    """


def _candidates(
    model: ModelLike,
    data: Dataset,
    whole: Dataset,
    transfer: Dataset | None,
    wanted: Sequence[str] | None,
) -> dict[str, list[Option]]:
    """The options of each method that fits model and data, or of the wanted ones among them."""
    known = builder_arguments(model)
    units = units_of(model, None) if "units" in known else None
    methods = methods_for(units, is_image=_are_images(data))
    more = whole.num_examples() / data.num_examples()
    if more > 1:
        methods[MORE_DATA] = [Option("", change=lambda shared, seed: whole, updates=more)]
    if transfer is not None:
        methods[TRANSFER] = [Option("", pretraining=transfer)]
    built = build_with(model, data, _without_methods(model))
    hidden = any(site.placement == "hidden" for site in settable_sites(built))
    # There is nothing between two tokens, and nothing between two classes of a regression.
    interpolates = (
        data.num_classes is not None
        and not is_structure(data.train[0])
        and not reads_indices(built)
    )

    def fits(name: str, options: Sequence[Option]) -> bool:
        arguments = {argument for option in options for argument in option.arguments}
        drops = any(option.rate for option in options)
        return (
            arguments <= set(known)
            and (hidden or not drops)
            and (interpolates or name != SYNTHETIC_DATA)
        )

    found = {name: options for name, options in methods.items() if fits(name, options)}
    if wanted is None:
        return found
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise ValueError(
            f"expected methods that fit model and data ({', '.join(found)}), received "
            f"{', '.join(map(repr, unknown))}"
            # Half of a name such as 'L3' is similar to 'L2'.
            f"{did_you_mean(str(unknown[0]), found, cutoff=0.5)}"
        )
    return {NO_METHOD: found[NO_METHOD]} | {name: found[name] for name in wanted}


def _are_images(data: Dataset) -> bool:
    return not is_structure(data.train[0]) and data.train[0].ndim in (3, 4)


def _without_methods(model: ModelLike) -> dict[str, Any]:
    """Arguments of the builder that turn off its own methods but keep its dropout sites."""
    known = builder_arguments(model)
    arguments: dict[str, Any] = {
        name: None
        for name in _METHOD_ARGUMENTS
        if known.get(name, Parameter.empty) not in (None, False, Parameter.empty)
    }
    return arguments | {name: 0.0 for name in PLACEMENT_ARGUMENTS["hidden"] if name in known}


def _setup(model: ModelLike, data: Dataset, option: Option, epochs: int) -> TrainingSetup:
    """The model and the data that an option is trained on."""
    arguments = _without_methods(model) | dict(option.arguments)
    overrides: TrainOptions = {"epochs": math.ceil(epochs / option.updates)}
    if option.patience is not None:
        overrides["patience"] = option.patience
    if option.pretraining is None:
        built = build_with(model, data, arguments)
    else:
        built = transferred_model(model, arguments, data, option.pretraining, epochs)
        overrides["initial_weights"] = "keep"
    part = data if option.change is None else partial(option.change, data, 0)
    return TrainingSetup(built, part, overrides)


@dataclass(frozen=True, eq=False)
class _TuneAndRace:
    """Tries every option, then trains the best option of each method on the seeds of the race.

    Attributes:
        options: the options, by name of their setting in the plan.
        seeds: the seeds of the race, or the numbers of its folds.
        folds: number of folds; None to race on seeds.
    """

    options: Mapping[str, Option]
    seeds: Sequence[int]
    folds: int | None

    def __call__(
        self, plan: StudyPlan[TrainingStudyResult], execution: Execution
    ) -> TrainingStudyResult:
        tried = _at_scored_epoch(train_settings(plan, execution, phase="tuning-"))
        tuned = result_of(plan, tried, lambda result: [])
        race = self._race(plan, tuned)
        raced = _at_scored_epoch(train_settings(race, execution, phase="race-"))
        return result_of(race, raced, partial(_conclude, self.folds, _ends(plan)))

    def _race(
        self, plan: StudyPlan[TrainingStudyResult], tuned: TrainingStudyResult
    ) -> StudyPlan[TrainingStudyResult]:
        best = _best_options(tuned)
        chosen = [setting for setting in plan.settings if setting.name in best]
        if self.folds is not None:
            chosen = self._on_folds(chosen, plan.dataset, self.folds)
        methods = [str(setting.factors["method"]) for setting in chosen]
        return replace(
            plan,
            settings=[
                replace(setting, name=method, control=None if method == NO_METHOD else NO_METHOD)
                for setting, method in zip(chosen, methods, strict=True)
            ],
            seeds=self.seeds,
            followup_runs=0,
            arguments={**plan.arguments, "tuning": _tuning_record(tuned)},
        )

    def _on_folds(self, settings: Sequence[Setting], data: Dataset, folds: int) -> list[Setting]:
        """Each setting once per fold, whose number takes the place of the seed."""
        setups: dict[tuple[TrainingSetup, int], TrainingSetup] = {}
        found = []
        for setting in settings:
            for number in range(folds):
                key = setting.setup, number
                if key not in setups:
                    part = partial(_fold_of, self.options[setting.name], data, folds, number)
                    setups[key] = replace(setting.setup, dataset=part)
                found.append(replace(setting, setup=setups[key], seeds=(number,)))
        return found


def _fold_of(option: Option, data: Dataset, folds: int, number: int) -> Dataset:
    """A fold, with the training data that a method makes of it."""
    part = fold_of(data, folds, number)
    return part if option.change is None else option.change(part, 0)


def _at_scored_epoch(table: pd.DataFrame) -> pd.DataFrame:
    """Score all methods but early stopping at their last epoch: only it chooses its epoch."""
    last = table.groupby("run")["epoch"].transform("max")
    stops = table["method"] == EARLY_STOPPING
    return table.assign(best_epoch=table["best_epoch"].where(stops, last))


def _best_options(tuned: TrainingStudyResult) -> set[str]:
    best = set()
    for _, group in tuned.means().groupby("method", sort=False):
        order = ranked(group, tuned.objective)
        best.add(str((order if len(order) else group).iloc[0]["setting"]))
    return best


def _ends(plan: StudyPlan[TrainingStudyResult]) -> dict[str, set[str]]:
    """The first and the last option of each method that has several."""
    options: dict[str, list[str]] = {}
    for setting in plan.settings:
        options.setdefault(setting.factors["method"], []).append(setting.factors["option"])
    return {
        method: {labels[0], labels[-1]} for method, labels in options.items() if len(labels) > 1
    }


def _tuning_record(tuned: TrainingStudyResult) -> list[dict[str, object]]:
    return [
        {
            "method": row.method,
            "option": row.option,
            "mean": finite_or_none(row.mean),
            "seeds": row.seeds,
        }
        for row in tuned.means().itertuples()
    ]


def _conclude(
    folds: int | None, ends: Mapping[str, set[str]], result: TrainingStudyResult
) -> list[str]:
    chosen: Mapping[str, str] = dict(
        zip(result.data["setting"], result.data["option"], strict=True)
    )
    values = [f"{name} {option}" for name, option in chosen.items() if option]
    at_ends = [
        f"{name} {option}" for name, option in chosen.items() if option in ends.get(name, ())
    ]
    sentences = [
        *not_ended_sentences(result),
        best_sentence(result),
        gain_counts(result),
        f"Chosen on the validation set: {'; '.join(values)}." if values else "",
        "These best options lie at the end of their range, so a wider range may do better: "
        f"{'; '.join(at_ends)}."
        if at_ends
        else "",
    ]
    if folds is not None:
        spread = result.means().set_index("setting").loc[NO_METHOD, "std"]
        sentences.append(
            f"{result.objective.name} without any method has a standard deviation of {spread:.2g} "
            f"over {folds} folds. That measures how much the result depends on the data; it does "
            "not reduce overfitting."
        )
    return [*sentences, *basis_sentences(result)]
