"""Results of studies: a tidy table, the settings that produced it, and the conclusions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL, holm_differences, t_half_width
from dropout_zoo.studies.training_ends import shares_not_ended
from dropout_zoo.training.objective import Objective, parse_objective
from dropout_zoo.training.provenance import as_json

_METADATA = b"dropout_zoo"
GAIN_COLUMNS = ["gain", "low", "high", "level", "p_value", "pairs"]
"""Columns of a gain, in the order of the fields of `PairedDifference`."""


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study.

    Attributes:
        kind: kind of study: the name of its function, such as ``"rate_sweep"``, or ``"race"`` for
            the finalists of `tune`.
        data: tidy table: one row per epoch where models were trained, otherwise one per
            measurement.
        settings: everything that determines the results: arguments, seeds, model and data.
        versions: versions of the packages that affect the results.
        conclusions: what follows from the data, in one or two sentences each.

    Example:
        >>> from dropout_zoo.studies import StudyResult, calibration
        >>> found = calibration([[0.9, 0.1], [0.2, 0.8]], [0, 1])
        >>> isinstance(found, StudyResult)
        True
        >>> found.kind, len(found.data)
        ('calibration', 2)
    """

    expected_kind: ClassVar[str | None] = None  # the only kind that a class for one study can hold

    kind: str
    data: pd.DataFrame
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    conclusions: Sequence[str]

    def summary(self) -> str:
        """Summarize the result in plain words.

        Returns:
            The conclusions, one per line.
        """
        return "\n".join(self.conclusions)

    def to_parquet(self, path: str | Path) -> Path:
        """Write the result to one Parquet file, which any Parquet reader opens as the table.

        Args:
            path: the file to write.

        Returns:
            The path.
        """
        table = pa.Table.from_pandas(self.data, preserve_index=False)
        described = json.dumps(self._described()).encode()
        table = table.replace_schema_metadata({**table.schema.metadata, _METADATA: described})
        pq.write_table(table, path)
        return Path(path)

    @classmethod
    def from_parquet(cls, path: str | Path) -> Self:
        """Read a file that `to_parquet` wrote.

        Args:
            path: the file.

        Returns:
            The result, an instance of the class this is called on. Called on `StudyResult`, it is
            a `TrainingStudyResult` where models were trained.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file was not written by `to_parquet`, or by that of another class, or is
                damaged.
        """
        content = _read_parquet(path)
        trained = "objective" in content
        fits = (
            content["kind"] == cls.expected_kind
            if cls.expected_kind
            else trained or cls is StudyResult
        )
        if not fits:
            raise ValueError(
                f"expected a {cls.__name__}, received {path}, the result of {content['kind']}; "
                "StudyResult.from_parquet reads the results of all studies"
            )
        if trained:
            content["objective"] = Objective(*content["objective"])
        made = cast(type[Self], TrainingStudyResult) if trained else cls
        return made(**content)

    def _described(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "settings": as_json(self.settings),
            "versions": dict(self.versions),
            "conclusions": list(self.conclusions),
        }


@dataclass(frozen=True)
class TrainingStudyResult(StudyResult):
    """The outcome of a study that trained models.

    Its `data` has one row per epoch of each run: ``run`` (its number), ``setting``, the
    factors, the rate at each site as ``rate/<path>``, ``seed``, ``status``, ``reason``,
    ``best_epoch``, ``seconds``, ``ended`` (whether it was long enough to tell its best epoch), what
    was measured after training, and the learning curves as `train_members` describes them. A run
    that finished no epoch has one row, of epoch 0.

    Attributes:
        objective: metric and direction by which training runs are judged.
        factors: the columns that were varied.
        controls: name of the control of each setting that is compared with one; where dropout is
            studied, that is the same setting without dropout.

    Example:
        >>> from dropout_zoo.studies import rate_sweep
        >>> study = rate_sweep("mlp", "digits", rates=(0.5,), epochs=1, num_seeds=2)
        >>> study.means()["setting"].tolist()
        ['no dropout', 'hidden 0.50']
        >>> study.gains()[["setting", "control", "pairs"]].to_dict("records")
        [{'setting': 'hidden 0.50', 'control': 'no dropout', 'pairs': 2}]
    """

    objective: Objective = field(kw_only=True)
    factors: Sequence[str] = field(kw_only=True)
    controls: Mapping[str, str] = field(kw_only=True)

    @property
    def metrics(self) -> list[str]:
        """The columns of the learning curves, without ``epoch``."""
        first = list(self.data.columns).index("epoch") + 1
        return list(self.data.columns[first:])

    def scores(self) -> pd.DataFrame:
        """Return the metrics of each training run at its best epoch.

        Returns:
            One row per run: the columns of `data`, with the best epoch as ``epoch``, and the
            objective at that epoch as ``score``. Measurements, including the best epoch, are NaN
            for training runs that were not completed.
        """
        data = self.data
        last = data.groupby("run")["epoch"].transform("max")
        wanted = data["best_epoch"].where(data["best_epoch"] > 0, last)
        table = data[data["epoch"] == wanted].reset_index(drop=True)
        given = {"run", "setting", "seed", "status", "reason", "seconds", "ended", "epoch"}
        measured = [
            name
            for name in table.columns
            if name not in given | set(self.factors) and not name.startswith("rate/")
        ]
        failed = (table["status"] != "completed").to_numpy()
        if failed.any():
            table = table.astype(dict.fromkeys(measured, float))
            table.loc[failed, measured] = math.nan
        return table.assign(score=table[self.objective.name].astype(float))

    def objective_of(self, metric: str | None) -> Objective:
        """Return the objective that judges a column of `scores`.

        Args:
            metric: the column, followed by ``:min`` or ``:max`` where its name does not tell which
                is better; None for the study's own objective.

        Returns:
            Its name and direction.

        Raises:
            ValueError: the direction is neither given nor implied by the name.
        """
        if metric in (None, "score", self.objective.name):
            return self.objective
        return parse_objective(metric)

    def means(self, metric: str = "score", level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Return the mean of each setting over its seeds, with Student's confidence interval.

        Args:
            metric: a column of `scores`.
            level: confidence level, in (0, 1).

        Returns:
            One row per setting, in the order in which they were planned: ``setting``, the factors,
            ``mean``, ``std``, ``error`` (the mean's standard error), ``low``, ``high`` and
            ``seeds``. Training runs that were not completed are left out; `failures` lists them.
        """
        rows = []
        for name, group in self.scores().groupby("setting", sort=False):
            values = group[metric].dropna().astype(float)
            count = len(values)
            error = float(values.sem()) if count > 1 else math.nan
            half = t_half_width(values, level) if count > 1 else math.nan
            mean = float(values.mean()) if count else math.nan
            rows.append(
                {
                    "setting": name,
                    **group[list(self.factors)].iloc[0].to_dict(),
                    "mean": mean,
                    "std": float(values.std()) if count > 1 else math.nan,
                    "error": error,
                    "low": mean - half,
                    "high": mean + half,
                    "seeds": count,
                }
            )
        return pd.DataFrame(rows)

    def gains(self, metric: str = "score", level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Compare each setting with its control, paired by seed and corrected by Holm's method.

        Args:
            metric: a column of `scores`, as `objective_of` takes it.
            level: confidence level of all comparisons together.

        Returns:
            One row per setting: ``setting``, ``control``, the factors, and the gain with its
            interval (``gain``, ``low``, ``high``, ``level``, ``p_value``, ``pairs``), positive
            where the setting is better; and ``ended``, False where `not_ended` names the setting or
            its control, so that the gain may change with more epochs. Settings that failed on a
            seed, or whose control did, are left out.
        """
        pairs = self.pairs(metric)
        columns = ["setting", "control", *self.factors, *GAIN_COLUMNS, "ended"]
        differences = {
            str(name): group.tolist()
            for name, group in pairs.groupby("setting", sort=False)["gain"]
        }
        if not differences:
            return pd.DataFrame(columns=columns)
        found = _holm_of_differences(differences, level)
        factors = self.data.groupby("setting", sort=False)[list(self.factors)].first()
        not_ended = self.not_ended().keys()
        rows = [
            [name, control, *factors.loc[name], *difference, not_ended.isdisjoint([name, control])]
            for name, difference in found.items()
            for control in [self.controls[name]]
        ]
        return pd.DataFrame(rows, columns=columns)

    def pairs(self, metric: str = "score") -> pd.DataFrame:
        """Return the gain of each setting over its control on each seed.

        Args:
            metric: as in `gains`.

        Returns:
            ``setting``, ``control``, ``seed`` and ``gain``, positive where the setting is better;
            with the same settings left out as in `gains`.
        """
        sign = 1.0 if self.objective_of(metric).direction == "max" else -1.0
        by_setting = {
            name: group.set_index("seed")[metric].astype(float)
            for name, group in self.scores().groupby("setting", sort=False)
        }
        tables = [pd.DataFrame(columns=["setting", "control", "seed", "gain"])]
        for name, control in self.controls.items():
            if name in by_setting and control in by_setting:
                gain = sign * (by_setting[name] - by_setting[control])
                if gain.notna().all():
                    table = gain.rename("gain").reset_index()
                    tables.append(table.assign(setting=name, control=control))
        found = tables[1:] or tables
        return pd.concat(found, ignore_index=True)[["setting", "control", "seed", "gain"]]

    def failures(self) -> pd.DataFrame:
        """Return the training runs that were not completed, with their reasons."""
        failed = self.data[self.data["status"] != "completed"]
        return failed.drop_duplicates("run")[["setting", "seed", "status", "reason"]]

    def not_ended(self) -> dict[str, float]:
        """Return the settings that were not trained to the end, so that nothing can be claimed.

        Returns:
            By name, the share of the runs that were stopped at the maximum number of epochs with
            their best epoch in its last tenth, where it is more than a quarter. Runs that failed
            are left out.
        """
        return shares_not_ended(self.data)

    def curves(self, setting: str) -> pd.DataFrame:
        """Return the learning curves of all seeds of one setting.

        Args:
            setting: its name.

        Returns:
            The rows of `data`.

        Raises:
            ValueError: there is no such setting.
        """
        known = list(dict.fromkeys(self.data["setting"]))
        if setting not in known:
            raise ValueError(
                f"expected the name of a setting ({', '.join(known)}), received {setting!r}"
            )
        return self.data[self.data["setting"] == setting].reset_index(drop=True)

    def _described(self) -> dict[str, Any]:
        return super()._described() | {
            "objective": list(self.objective),
            "factors": list(self.factors),
            "controls": dict(self.controls),
        }


def _read_parquet(path: str | Path) -> dict[str, Any]:
    """Return the fields of the result in a file, with its table as ``data``."""
    try:
        table = pq.read_table(path)
        content = json.loads((table.schema.metadata or {}).get(_METADATA, "null"))
        data = table.to_pandas()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"expected a file written by StudyResult.to_parquet, received {path}, which does not "
            "exist"
        ) from None
    except PermissionError:
        raise
    except Exception as error:  # of damaged files, Arrow and pandas may raise anything
        raise ValueError(
            "expected a file written by StudyResult.to_parquet, received "
            f"{path}, a damaged file or another format: {error}"
        ) from None
    if not isinstance(content, dict) or "kind" not in content:
        raise ValueError(
            "expected a file written by StudyResult.to_parquet, received "
            f"{path}, a Parquet file without the settings of a study"
        )
    return content | {"data": data}


def _holm_of_differences(differences: Mapping[str, list[float]], level: float) -> dict[str, Any]:
    """Apply Holm's correction to comparisons that may each have their own control."""
    counts = {len(values) for values in differences.values()}
    if len(counts) == 1:
        return dict(holm_differences(differences, [0.0] * counts.pop(), level))
    raise ValueError(
        f"expected the same number of seeds for each setting, received {sorted(counts)}; compare "
        "settings that were trained on the same seeds"
    )
