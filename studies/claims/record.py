"""The results of an experiment as a small JSON file: one row per training run, and where from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

import pandas as pd

_DIGITS = 6  # significant ones, which say more than two machines agree on


@dataclass(frozen=True)
class ExperimentRecord:
    """What the training runs of an experiment measured.

    Attributes:
        experiment: name of the experiment.
        definition: what determines the results: settings, rates, training, seeds.
        versions: versions of the packages that affect the results.
        processor: the processor that they were computed on.
        cpu_minutes: processor time of all training runs and measurements.
        runs: one row per training run.
    """

    experiment: str
    definition: Mapping[str, Any]
    versions: Mapping[str, str]
    processor: str
    cpu_minutes: float
    runs: pd.DataFrame

    def write(self, path: Path) -> None:
        """Write it as JSON, one row of the table per line, so that changes can be read."""
        about = {
            "experiment": self.experiment,
            "definition": dict(self.definition),
            "versions": dict(self.versions),
            "processor": self.processor,
            "cpu_minutes": round(self.cpu_minutes, 2),
            "columns": list(self.runs.columns),
        }
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in about.items()]
        rows = [json.dumps([_short(v) for v in row]) for row in self.runs.to_numpy(object)]
        lines.append('"runs": [\n' + ",\n".join(rows) + "\n]")
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `write` wrote."""
        content = json.loads(text)
        runs = pd.DataFrame(content.pop("runs"), columns=content.pop("columns"))
        return cls(**content, runs=runs)

    @classmethod
    def stored(cls, experiment: str) -> Self | None:
        """Return the results that come with the package; None where there are none.

        Args:
            experiment: its name.
        """
        file = resources.files("dropout_zoo.studies.claims") / "results" / f"{experiment}.json"
        return cls.read(file.read_text(encoding="utf-8")) if file.is_file() else None


def _short(value: Any) -> Any:
    """A value as JSON, which knows no NaN, with as many digits as another machine repeats."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
