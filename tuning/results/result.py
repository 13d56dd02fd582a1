"""The result of a search for dropout rates."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from matplotlib.axes import Axes

from dropout_zoo.models.argument_validation import finite_or_none
from dropout_zoo.models.saving import load_saved_model
from dropout_zoo.studies.csv_tables import read_csv
from dropout_zoo.studies.result import TrainingStudyResult
from dropout_zoo.studies.run_record import (
    ENDED_BY_BUDGET,
    MANIFEST,
    OUTCOME,
    SETTINGS,
    check_whole,
    read_outcome,
    read_settings,
)
from dropout_zoo.studies.site_groups import AS_GIVEN
from dropout_zoo.training.objective import Objective
from dropout_zoo.tuning.records.trial_tables import COMPARISON_COLUMNS
from dropout_zoo.tuning.results import run_files
from dropout_zoo.tuning.results.answer import NOT_ENDED, describe_rates
from dropout_zoo.tuning.results.rates_display import RatesDisplay
from dropout_zoo.tuning.space import SearchSpace
from dropout_zoo.tuning.trial_setting import describe_hyperparameters


@dataclass(frozen=True)
class TuningResult:
    """The result of `tune`.

    Attributes:
        trials: one row per training run of the search, with its rates, seed, status, score, and
            every metric at its best epoch. ``role`` is ``"control"``, ``"trial"``, or
            ``"screening"`` for the runs of the best trials on two more seeds and splits; trials
            beyond the default range are called ``beyond 1`` and so on. Where other
            hyperparameters are searched, each trial has a control of its own.
        finalists: the same for the runs of the race, with the ``split`` of the data of each.
        race: the runs of the race as the result of a study of the kind ``"race"``, which the
            functions and displays of `dropout_zoo.studies` accept. Its `gains` treat the runs as if
            they came from one split, with a fixed number of seeds, so that their intervals are
            narrower than that of the answer. None where the budget ended before there was a race.
        comparison: one row per setting that completed every run of the race, best first:
            ``setting`` and ``role``, its rates, ``mean`` and ``std`` of the score over the
            ``seeds``, and the ``gain`` over no dropout with its interval from ``low`` to ``high``.
            ``level`` is the confidence level of the last look alone; all looks together have 95%.
            Where the budget ended before there was a race, the ten best settings so far, without
            gains.
        curves: one row per epoch of every training run.
        best_rates: the recommended rate (fraction dropped) by site path: where there is no gain,
            that of the setting with the best mean.
        best_hyperparameters: values of the other hyperparameters, by name, where the model was
            given as a function of them; otherwise none.
        hyperparameters: names of the other hyperparameters that were searched; columns of the
            tables.
        answer: the result as a short label: ``"gain"``, ``"harm"``, ``"no reliable difference"``,
            ``"not trained to the end"``, ``"no better than chance"``, ``"nothing to compare"`` or
            ``"out of time"``.
        sentence: the result in plain words.
        control: name of the setting without dropout at the searched sites.
        fixed_rates: rates by path of the sites that have dropout and were not searched; NaN if not
            known.
        unsettable: paths of those whose rates cannot be set: the layer learns its rate, or
            is a custom noise layer.
        objective: the metric by which settings were compared, and its direction.
        test: loss and metrics of the best model on the test set; empty without a test set.
        space: the search space, with the `best_hyperparameters` where there are any.
        search_seconds: duration of the search, in seconds.
        race_seconds: duration of the race, in seconds.
        ended_by_budget: whether the budget ended the run before it was complete. It can be resumed.
        directory: the directory of the run.

    Example:
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.tuning import TuningResult, tune
        >>> result = tune(
        ...     build_mlp(units=(8,), hidden_rates=0.5), "digits", rates=[0.2, 0.5],
        ...     num_finalists=1, num_seeds=2, epochs=1, progress=False,
        ... )
        >>> result.comparison["setting"].sort_values().tolist()
        ['finalist 1', 'no dropout']
        >>> loaded = TuningResult.load(result.directory)
        >>> loaded.sentence == result.sentence
        True
    """

    trials: pd.DataFrame
    finalists: pd.DataFrame
    race: TrainingStudyResult | None
    comparison: pd.DataFrame
    curves: pd.DataFrame
    best_rates: Mapping[str, float]
    best_hyperparameters: Mapping[str, Any]
    hyperparameters: Sequence[str]
    answer: str
    sentence: str
    control: str
    fixed_rates: Mapping[str, float]
    unsettable: Sequence[str]
    objective: Objective
    test: Mapping[str, float]
    space: SearchSpace
    search_seconds: float
    race_seconds: float
    ended_by_budget: bool
    directory: Path
    _model: keras.Model | None = field(default=None, repr=False)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def num_runs(self) -> int:
        """Number of training runs, controls included."""
        return len(self.trials) + len(self.finalists)

    def best_model(self) -> keras.Model:
        """Return the model with the best rates and the weights of its best seed and epoch.

        Returns:
            A compiled, plain Keras model.

        Raises:
            ValueError: the result was loaded from a directory that has its weights alone, because
                the model could not be saved.
        """
        if self._model is not None:
            return self._model
        weights = self.directory / run_files.BEST_WEIGHTS
        if weights.is_file():
            raise ValueError(
                f"expected {run_files.BEST_MODEL}, received a model that could not be saved; build "
                f"it, with the rates of best_rates, and call load_weights({str(weights)!r})"
            )
        return load_saved_model(self.directory / run_files.BEST_MODEL)

    @classmethod
    def load(cls, directory: str | Path) -> TuningResult:
        """Read the directory of a run that is complete or was ended by its budget.

        Args:
            directory: the directory.

        Returns:
            The result; the best model is loaded when it is used.

        Raises:
            ValueError: the directory holds no such run, or a file of it is missing or damaged.
        """
        path = Path(directory)
        if not (path / SETTINGS).is_file():
            raise ValueError(f"expected the directory of a complete run, received {path}")
        search = read_settings(path / SETTINGS)
        if not (path / MANIFEST).is_file():
            raise ValueError(
                f"expected the directory of a complete run, received {path}, whose run has not "
                "finished"
            )
        check_whole(path, [*run_files.NEEDED, SETTINGS, OUTCOME])
        outcome = read_outcome(path)
        trials, finalists = (
            read_csv(path / name, dtype={"reason": "str"}).fillna({"reason": ""})
            for name in (run_files.TRIALS, run_files.FINALISTS)
        )
        return cls(
            trials=trials,
            finalists=finalists,
            race=None
            if finalists.empty
            else TrainingStudyResult.from_parquet(path / run_files.RACE),
            # NaN is null in JSON.
            comparison=pd.DataFrame(outcome["settings"]).fillna(math.nan),
            curves=pd.read_parquet(path / run_files.CURVES),
            best_rates=outcome["best_rates"],
            best_hyperparameters=outcome["best_hyperparameters"],
            hyperparameters=outcome["hyperparameters"],
            answer=outcome["answer"],
            sentence=outcome["sentence"],
            control=search["control"],
            fixed_rates={
                path: math.nan if rate is None else rate
                for path, rate in outcome["fixed_rates"].items()
            },
            unsettable=outcome["unsettable"],
            objective=Objective(**outcome["objective"]),
            test={n: math.nan if value is None else value for n, value in outcome["test"].items()},
            space=SearchSpace(
                choices={name: tuple(rates) for name, rates in outcome["space"].items()},
                sites={name: tuple(paths) for name, paths in outcome["sites"].items()},
            ),
            search_seconds=outcome["search_seconds"],
            race_seconds=outcome["race_seconds"],
            ended_by_budget=outcome.get(ENDED_BY_BUDGET, False),
            directory=path,
        )

    def summary(self) -> str:
        """Summarize the result.

        Returns:
            The sentence, the metrics on the test set, and a table of the comparison.
        """
        test = ", ".join(f"{name} {value:.4g}" for name, value in self.test.items())
        lines = [self.sentence]
        if self.fixed_rates:
            lines.append(f"Not searched, the same in every setting: {self._fixed_text()}.")
        searched = [path for paths in self.space.sites.values() for path in paths]
        dropout = any(self.best_rates.get(path) for path in searched)
        rates = f"the rates {describe_rates(self.best_rates)}" if dropout else self.control
        if self.best_hyperparameters:
            others = describe_hyperparameters(self.best_hyperparameters)
            rates = f"{rates} and the hyperparameters {others}"
        tested = f"on the test set: {test}" if test else "not tested: the data have no test set"
        lines.append(f"The recommended model{self._file_of_model()} has {rates}; {tested}.")
        return "\n".join([*lines, "", self._comparison_text()])

    def _fixed_text(self) -> str:
        settable = {p: rate for p, rate in self.fixed_rates.items() if p not in self.unsettable}
        texts = [describe_rates(settable)]
        for path in self.unsettable:
            rate = self.fixed_rates[path]
            known = path if math.isnan(rate) else describe_rates({path: rate})
            texts.append(f"{known} (cannot be set)")
        return ", ".join(filter(None, texts))

    def plot(self, ax: Axes | Sequence[Axes] | None = None, **style: Any) -> RatesDisplay:
        """Plot the score of every trial against its rates, and the race.

        Args:
            ax: axes to draw on, one per searched site and one for the race, if there was one; None
                for a new figure.
            **style: what `RatesDisplay.plot` takes, such as ``line_kw``.

        Returns:
            The display.
        """
        display = RatesDisplay.from_tables(
            trials=self.trials,
            finalists=self.finalists,
            comparison=self.comparison.assign(ended=self.answer != NOT_ENDED),
            panels=self.space.sites,
            best_rates=self.best_rates,
            objective=self.objective,
            hyperparameters=[name for name in self.hyperparameters if name in self.trials],
        )
        return display.plot(ax, **style)

    def outcome(self) -> dict[str, Any]:
        """Return the result as plain data, as ``dropout-zoo tune --json`` prints it.

        Returns:
            A dictionary that JSON can hold; NaN is None.
        """
        return {
            "best_rates": dict(self.best_rates),
            "best_hyperparameters": dict(self.best_hyperparameters),
            "hyperparameters": list(self.hyperparameters),
            "answer": self.answer,
            "sentence": self.sentence,
            "space": {name: list(rates) for name, rates in self.space.choices.items()},
            "sites": {name: list(paths) for name, paths in self.space.sites.items()},
            "fixed_rates": {path: finite_or_none(r) for path, r in self.fixed_rates.items()},
            "unsettable": list(self.unsettable),
            "objective": self.objective._asdict(),
            "settings": [
                {key: finite_or_none(value) for key, value in row.items()}
                for row in self.comparison.to_dict("records")
            ],
            "test": {name: finite_or_none(value) for name, value in self.test.items()},
            "num_runs": self.num_runs,
            "search_seconds": round(self.search_seconds, 3),
            "race_seconds": round(self.race_seconds, 3),
            ENDED_BY_BUDGET: self.ended_by_budget,
            "directory": str(self.directory),
        }

    def _comparison_text(self) -> str:
        names = list(self.comparison["setting"])
        values = [self._values_text(row) for row in self.comparison.to_dict("records")]
        if self.race is None:  # trials have numbers as names
            names = [
                name if name == self.control else f"as given: {text}" if name == AS_GIVEN else text
                for name, text in zip(names, values, strict=True)
            ]
        width = max(map(len, names)) + 2
        rows = [
            f"{'setting':<{width}}{self.objective.name:>12}{'std':>10}"
            + ("" if self.race is None else f"  gain over {self.control}")
        ]
        for name, row in zip(names, self.comparison.itertuples(), strict=True):
            gain = "" if math.isnan(row.gain) else f"{row.gain:+.3g}"
            if gain and not math.isnan(row.low):
                gain += f" ({row.low:+.3g} to {row.high:+.3g})"
            spread = "" if math.isnan(row.std) else f"{row.std:.2g}"
            rows.append(f"{name:<{width}}{row.mean:>12.4g}{spread:>10}  {gain}".rstrip())
        if self.race is not None:
            told = zip(names, values, strict=True)
            rows += ["", *(f"{name}: {text}" for name, text in told if name != self.control)]
        return "\n".join(rows)

    def _file_of_model(self) -> str:
        files = (run_files.BEST_MODEL, run_files.BEST_WEIGHTS)
        return next((f" ({name})" for name in files if (self.directory / name).exists()), "")

    def _values_text(self, row: Mapping[str, Any]) -> str:
        """The hyperparameters and rates in a row of the comparison, as far as it has them."""
        values = {name: value for name, value in row.items() if pd.notna(value)}
        others = {name: values[name] for name in self.hyperparameters if name in values}
        rates = {
            name.removeprefix("rate/"): value
            for name, value in values.items()
            if name not in others and name not in COMPARISON_COLUMNS
        }
        return ", ".join(filter(None, [describe_hyperparameters(others), describe_rates(rates)]))
