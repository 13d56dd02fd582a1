"""Methods against overfitting side by side, each tuned over its own small range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.factory import builder_arguments
from dropout_zoo.models.graph.sites import settable_sites
from dropout_zoo.studies.data.subsets import fold_of, with_fewer_examples
from dropout_zoo.studies.experiments.methods import NONE, Option, remedies
from dropout_zoo.studies.experiments.transfer import transferred_model
from dropout_zoo.studies.plan import (
    Bench,
    Execution,
    Model,
    Setting,
    StudyPlan,
    as_dataset,
    as_seeds,
)
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.runner import announce, result_of, train_settings
from dropout_zoo.studies.site_groups import build_with, reads_tokens, units_of
from dropout_zoo.studies.summary_text import (
    best_sentence,
    failure_sentences,
    gain_counts,
    method_sentence,
    ranked,
)
from dropout_zoo.training.data.dataset import Dataset
from dropout_zoo.training.provenance import describe_data
from dropout_zoo.training.settings import TrainOptions, TrainSettings

MORE_DATA, TRANSFER = "more data", "transfer"


def compare_methods(
    model: Model,
    dataset: Dataset | str | Path = "digits",
    *,
    methods: Sequence[str] | None = None,
    examples: int | None = None,
    transfer: Dataset | None = None,
    folds: int | None = None,
    tuning_seeds: int = 2,
    seeds: int | Sequence[int] = 5,
    execution: Execution | None = None,
    **settings: Unpack[TrainOptions],
) -> TrainingStudyResult:
    """Tune each method against overfitting on the validation part, then race them all.

    The race runs on seeds that the tuning has not seen, the same for every method, but on the same
    validation examples, to the advantage of methods with more options. All methods get as many
    updates, those with more examples up to a whole epoch more, and are scored at their last epoch;
    early stopping alone at its best one, which the validation part chooses, to its advantage. The
    score is the accuracy where there is one: the loss of L1 and L2 holds their penalty.

    Args:
        model: a registered name or a builder function with the arguments that the methods change:
            ``kernel_regularizer``, ``max_norm``, ``batch_norm``, ``units``.
        dataset: a `Dataset`, or what `load_dataset` takes.
        methods: names of methods; None for all that model and data allow. No method at all is
            always among them, without those that the builder has by default.
        examples: training examples of all methods but more data, which takes all there are; None
            for half of them.
        transfer: data with the same inputs, such as other classes of the same data (see
            `split_classes`), on which the method ``"transfer"`` trains the hidden layers first.
        folds: number of folds of `StratifiedKFold` over training and validation part, to race on
            instead of seeds: their spread measures how much the result depends on the data. It
            is no remedy, and as folds share their training examples, intervals come out narrow
            (Bengio and Grandvalet 2004, JMLR 5:1089-1105).
        tuning_seeds: seeds on which each option of each method is tried.
        seeds: number of seeds of the race, or the seeds.
        execution: where the study runs and who hears of it.
        **settings: how each model is trained; see `TrainSettings`. The objective is the validation
            accuracy by default, of regression the mean absolute error.

    Returns:
        The result of the race, with the factors ``method`` and ``option``; what was tuned is
        under ``"tuning"`` in its settings.

    Raises:
        ValueError: an argument is out of range, or a method does not fit model and data.
        RuntimeError: every training failed.
    """
    whole = as_dataset(dataset)
    execution = execution or Execution()
    count = len(whole.train[1])
    examples = max(1, count // 2) if examples is None else examples
    check_count(examples, "examples")
    check_count(tuning_seeds, "tuning_seeds")
    data = with_fewer_examples(whole, examples, seed=0)
    objective = "val_mae" if whole.num_classes is None else "val_accuracy"
    training = TrainSettings.from_options({"objective": objective, **settings}, compare_methods)
    plain = _without_methods(model)
    options = _options(model, plain, data, count, examples, transfer, methods)
    race_seeds = as_seeds(seeds) if folds is None else list(range(_check_folds(folds)))
    if folds is not None:  # they have to be the same examples for all methods
        options.pop(MORE_DATA, None)
    by_name = {
        f"{method}, {option.label}" if option.label else method: (method, option)
        for method, of_method in options.items()
        for option in of_method
    }
    benches: dict[Any, Bench] = {}
    for method, option in by_name.values():
        key = _bench_key(method, option)
        if key not in benches:
            arguments = plain | dict(option.arguments)
            benches[key] = _bench(model, arguments, data, whole, transfer, method, option, training)
    planned = [
        _setting(name, method, option, benches[_bench_key(method, option)])
        for name, (method, option) in by_name.items()
    ]
    plan = StudyPlan(
        kind="compare_methods",
        settings=planned,
        controls={},
        seeds=[max(race_seeds) + 1 + number for number in range(tuning_seeds)],
        training=training,
        arguments={
            "examples": examples,
            "folds": folds,
            "race_seeds": race_seeds,
            "transfer": None if transfer is None else describe_data(transfer),
        },
        later=len(options) * len(race_seeds),
    )
    announce(plan, data, execution)
    tuned = result_of(
        plan, data, _at_counting_epoch(train_settings(plan, execution, phase="tuning-")), _nothing
    )
    chosen = _best_options(tuned)
    raced = [each for each in planned if each.name in chosen]
    if folds is not None:
        parts = {
            (each.bench, number): replace(
                each.bench, dataset=partial(_fold_of, by_name[each.name][1], data, folds, number)
            )
            for each in raced
            for number in range(folds)
        }
        raced = [
            replace(each, bench=parts[each.bench, number], seeds=(number,))
            for each in raced
            for number in range(folds)
        ]
    raced = [replace(each, name=str(each.factors["method"])) for each in raced]
    race = replace(
        plan,
        settings=raced,
        controls={str(name): NONE for name in options if name != NONE},
        seeds=race_seeds,
        later=0,
        arguments={**plan.arguments, "tuning": _tuning_record(tuned)},
    )
    table = _at_counting_epoch(train_settings(race, execution, phase="race-"))
    ends = {
        method: {of_method[0].label, of_method[-1].label}
        for method, of_method in options.items()
        if len(of_method) > 1
    }
    return result_of(race, data, table, partial(_conclude, folds, ends))


def _without_methods(model: Model) -> dict[str, Any]:
    """Arguments of the builder that leave out what the methods put in, and keep their sites."""
    known = builder_arguments(model)
    arguments: dict[str, Any] = {
        name: None
        for name in ("kernel_regularizer", "kernel_constraint", "max_norm", "batch_norm")
        if known.get(name, Parameter.empty) not in (None, False, Parameter.empty)
    }
    return arguments | ({"hidden_rates": 0.0} if "hidden_rates" in known else {})


def _options(
    model: Model,
    plain: Mapping[str, Any],
    data: Dataset,
    count: int,
    examples: int,
    transfer: Dataset | None,
    methods: Sequence[str] | None,
) -> dict[str, list[Option]]:
    known = builder_arguments(model)
    units = units_of(model, None) if "units" in known else None
    found = remedies(units, is_image=data.train[0].ndim in (3, 4))
    found = {
        name: options
        for name, options in found.items()
        if all(argument in known for option in options for argument in option.arguments)
    }
    built = build_with(model, data, plain)
    if all(site.placement != "hidden" for site in settable_sites(built)):
        found = {name: each for name, each in found.items() if not any(o.rate for o in each)}
    if data.num_classes is None or reads_tokens(built):  # nothing lies between two tokens
        found.pop("synthetic data", None)
    if examples < count:
        found[MORE_DATA] = [Option("", updates=count / examples)]
    if transfer is not None:
        found[TRANSFER] = [Option("")]
    if methods is None:
        return found
    unknown = [name for name in methods if name not in found]
    if unknown:
        raise ValueError(
            f"expected methods that fit model and data, which are {', '.join(found)}; received "
            f"{', '.join(map(repr, unknown))}"
        )
    return {NONE: found[NONE]} | {name: found[name] for name in methods}


def _bench_key(method: str, option: Option) -> Any:
    """The same for options that are trained on the same model and data."""
    own = method if method in (MORE_DATA, TRANSFER) else ""
    arguments = id(option.arguments) if option.arguments else None
    return own, arguments, option.change, option.updates, option.patience


def _bench(
    model: Model,
    arguments: Mapping[str, Any],
    data: Dataset,
    whole: Dataset,
    transfer: Dataset | None,
    method: str,
    option: Option,
    training: TrainSettings,
) -> Bench:
    part: Dataset | Callable[[], Dataset] = whole if method == MORE_DATA else data
    if option.change is not None:
        part = partial(option.change, data, 0)
    overrides: TrainOptions = {"epochs": math.ceil(training.epochs / option.updates)}
    if option.patience is not None:
        overrides["patience"] = option.patience
    if method == TRANSFER and transfer is not None:
        built = transferred_model(model, arguments, data, transfer, training.epochs)
        overrides["initial_weights"] = "keep"
    else:
        built = build_with(model, data, arguments)
    return Bench(built, part, overrides)


def _setting(name: str, method: str, option: Option, bench: Bench) -> Setting:
    rates = bench.rates({"hidden": option.rate})
    return Setting(name, {"method": method, "option": option.label}, rates, bench)


def _check_folds(folds: int) -> int:
    check_count(folds, "folds", least=2)
    return folds


def _fold_of(option: Option, data: Dataset, folds: int, number: int) -> Dataset:
    """A fold, with the training data that a method makes of it."""
    part = fold_of(data, folds, number)
    return part if option.change is None else option.change(part, 0)


def _at_counting_epoch(table: pd.DataFrame) -> pd.DataFrame:
    """Score all but early stopping at the last epoch: nothing else chooses its epoch."""
    last = table.groupby("training")["epoch"].transform("max")
    stops = table["method"] == "early stopping"
    return table.assign(best_epoch=table["best_epoch"].where(stops, last))


def _best_options(tuned: TrainingStudyResult) -> set[str]:
    means = tuned.means()
    best = set()
    for _, group in means.groupby("method", sort=False):
        order = ranked(group, tuned.objective)
        best.add(str((order if len(order) else group).iloc[0]["setting"]))
    return best


def _tuning_record(tuned: TrainingStudyResult) -> list[dict[str, object]]:
    return [
        {"method": row.method, "option": row.option, "mean": _finite(row.mean), "seeds": row.seeds}
        for row in tuned.means().itertuples()
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _nothing(result: TrainingStudyResult) -> list[str]:
    return []


def _conclude(
    folds: int | None, ends: Mapping[str, set[str]], result: TrainingStudyResult
) -> list[str]:
    sentences = [best_sentence(result), gain_counts(result)]
    chosen: Mapping[str, str] = dict(
        zip(result.data["setting"], result.data["option"], strict=True)
    )
    values = [f"{name} {option}" for name, option in chosen.items() if option]
    sentences.append(f"Chosen on the validation part: {' | '.join(values)}." if values else "")
    at_ends = [
        f"{name} {option}" for name, option in chosen.items() if option in ends.get(name, ())
    ]
    if at_ends:
        sentences.append(
            "Of these at an end of what was tried, beyond which more may be gained: "
            f"{' | '.join(at_ends)}."
        )
    if folds is not None:
        spread = result.means().set_index("setting").loc[NONE, "std"]
        sentences.append(
            f"{result.objective.name} without any method spreads by {spread:.2g} over {folds} "
            "folds. That measures the dependence on the data and cures nothing."
        )
    return [*filter(None, sentences), *failure_sentences(result), method_sentence(result)]
