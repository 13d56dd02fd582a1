"""What a study has found: a tidy table, the settings it came from, and what follows from it."""

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
from scipy import stats

from dropout_zoo.studies.paired_tests import DEFAULT_LEVEL, holm_differences
from dropout_zoo.training.objective import Objective, parse_objective
from dropout_zoo.training.provenance import as_json

_METADATA = b"dropout_zoo"
GAIN_COLUMNS = ("gain", "low", "high", "level", "p_value", "pairs")


@dataclass(frozen=True)
class StudyResult:
    """The outcome of a study.

    Attributes:
        kind: name of the function that made the study, such as ``"rate_sweep"``.
        data: tidy table. Of trainings, a row an epoch; else a row a measurement.
        settings: everything that decides the numbers: arguments, seeds, model and data.
        versions: versions of what decides the numbers.
        conclusions: what follows, computed from the data, a sentence or two each.
    """

    made_by: ClassVar[str | None] = None  # of a class for one study, the only kind it holds

    kind: str
    data: pd.DataFrame
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    conclusions: Sequence[str]

    def summary(self) -> str:
        """Sum the result up in plain words.

        Returns:
            The conclusions, a line each.
        """
        return "\n".join(self.conclusions)

    def to_parquet(self, path: str | Path) -> Path:
        """Write everything to one Parquet file, which any Parquet reader opens as the table.

        Args:
            path: where to.

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
            The result, of the class this is called on; of `StudyResult`, a `TrainingStudyResult`
            where models were trained.

        Raises:
            ValueError: the file was not written by `to_parquet`, or by that of another class.
        """
        table = pq.read_table(path)
        described = (table.schema.metadata or {}).get(_METADATA)
        if described is None:
            raise ValueError(
                f"expected a file that StudyResult.to_parquet wrote, received {path}, a Parquet "
                "file without its settings"
            )
        content = json.loads(described)
        content["data"] = table.to_pandas()
        trained = "objective" in content
        fits = content["kind"] == cls.made_by if cls.made_by else trained or cls is StudyResult
        if not fits:
            raise ValueError(
                f"expected a {cls.__name__}, received {path}, the result of {content['kind']}; "
                "StudyResult.from_parquet reads all of them, as tables with their summaries"
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

    Its `data` has a row an epoch of each training: ``training`` (its number), ``setting``, the
    factors, the rate at each site as ``rate/<path>``, ``seed``, ``status``, ``reason``,
    ``best_epoch``, ``seconds``, what was measured after the training, and the learning curves as
    `train_members` describes them. A training without a finished epoch has one row, of epoch 0.

    Attributes:
        objective: what the trainings are judged by.
        factors: the columns that were varied.
        controls: for each setting that is compared with another, the name of that other one:
            where dropout is studied, the same without dropout.
    """

    objective: Objective = field(kw_only=True)
    factors: Sequence[str] = field(kw_only=True)
    controls: Mapping[str, str] = field(kw_only=True)

    @property
    def metrics(self) -> list[str]:
        """The columns of the learning curves that a training has, ``epoch`` left out."""
        first = list(self.data.columns).index("epoch") + 1
        return list(self.data.columns[first:])

    def scores(self) -> pd.DataFrame:
        """Give a row a training: its metrics at its best epoch.

        Returns:
            The columns of `data`, where ``epoch`` is the best epoch, and ``score``, the objective
            there. What was measured, the best epoch included, is NaN for trainings that were not
            completed.
        """
        data = self.data
        last = data.groupby("training")["epoch"].transform("max")
        wanted = data["best_epoch"].where(data["best_epoch"] > 0, last)
        table = data[data["epoch"] == wanted].reset_index(drop=True)
        given = {"training", "setting", "seed", "status", "reason", "seconds", "epoch"}
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
        """Say how a column of `scores` is judged.

        Args:
            metric: the column, with ``:min`` or ``:max`` behind it where its name does not tell
                which is better; None for the objective.

        Returns:
            Its name and direction.

        Raises:
            ValueError: the direction is neither given nor known.
        """
        if metric in (None, "score", self.objective.name):
            return self.objective
        return parse_objective(metric)

    def means(self, metric: str = "score", level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Give a row a setting: mean over its seeds, and its interval by Student's t.

        Args:
            metric: a column of `scores`.
            level: confidence level, in (0, 1).

        Returns:
            ``setting``, the factors, ``mean``, ``std``, ``error`` (the mean's standard error),
            ``low``, ``high`` and ``seeds``, in the order in which the settings were planned.
            Seeds that were not completed are left out; `failures` counts them.
        """
        rows = []
        for name, group in self.scores().groupby("setting", sort=False):
            values = group[metric].dropna().astype(float)
            count = len(values)
            error = float(values.sem()) if count > 1 else math.nan
            half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error if count > 1 else math.nan
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
            metric: a column of `scores`. That of the objective and those it implies are larger or
                smaller where they are better, as `parse_objective` knows.
            level: confidence level of all comparisons together.

        Returns:
            ``setting``, ``control``, the factors, and the gain with its interval (``gain``,
            ``low``, ``high``, ``level``, ``p_value``, ``pairs``), positive where the setting is
            better. Settings that failed on a seed, or whose control did, are left out.
        """
        pairs = self.pairs(metric)
        columns = ["setting", "control", *self.factors, *GAIN_COLUMNS]
        differences = {
            str(name): group.tolist()
            for name, group in pairs.groupby("setting", sort=False)["gain"]
        }
        if not differences:
            return pd.DataFrame(columns=columns)
        found = _holm_of_differences(differences, level)
        factors = self.data.groupby("setting", sort=False)[list(self.factors)].first()
        rows = [
            [name, self.controls[name], *factors.loc[name], *difference]
            for name, difference in found.items()
        ]
        return pd.DataFrame(rows, columns=columns)

    def pairs(self, metric: str = "score") -> pd.DataFrame:
        """Give what each setting gains over its control on each seed.

        Args:
            metric: as in `gains`.

        Returns:
            ``setting``, ``control``, ``seed`` and ``gain``, positive where the setting is better.
            Settings that failed on a seed, or whose control did, are left out.
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
        """Give the trainings that were not completed, with their reasons."""
        failed = self.data[self.data["status"] != "completed"]
        return failed.drop_duplicates("training")[["setting", "seed", "status", "reason"]]

    def curves(self, setting: str) -> pd.DataFrame:
        """Give the learning curves of one setting, of all its seeds.

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
                f"expected the name of a setting, one of {', '.join(known)}; received {setting!r}"
            )
        return self.data[self.data["setting"] == setting].reset_index(drop=True)

    def _described(self) -> dict[str, Any]:
        return super()._described() | {
            "objective": list(self.objective),
            "factors": list(self.factors),
            "controls": dict(self.controls),
        }


def _holm_of_differences(differences: Mapping[str, list[float]], level: float) -> dict[str, Any]:
    """Holm's correction over comparisons that may each have their own seeds and control."""
    counts = {len(values) for values in differences.values()}
    if len(counts) == 1:
        return dict(holm_differences(differences, [0.0] * counts.pop(), level))
    raise ValueError(
        f"expected as many seeds of each setting, received {sorted(counts)}: compare settings "
        "that were trained on the same seeds"
    )
