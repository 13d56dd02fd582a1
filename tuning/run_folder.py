"""The folder of a run: every file in it is written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

BEST_MODEL = "best.keras"
TRIALS = "trials.csv"
FINALISTS = "finalists.csv"
CURVES = "curves.parquet"
SETTINGS = "search.json"
OUTCOME = "outcome.json"
PLOT = "rates.png"
STATE = "state"


class RunFolder:
    """A new folder for one run.

    Args:
        path: the folder; made if it is missing.

    Raises:
        ValueError: there is something in it already, or it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir() and any(path.iterdir()):
            raise ValueError(
                f"expected a new or empty folder for the run, received {path}, which holds "
                "files; choose another with --out"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / STATE).mkdir()
        except OSError as error:
            raise ValueError(f"cannot make the folder {path}: {error.strerror}") from error
        self.path = path

    @property
    def state(self) -> Path:
        """Folder for what is needed while the run goes on."""
        return self.path / STATE

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as CSV or Parquet, by its name's ending."""
        with self._replacing(name) as temporary:
            if name.endswith(".csv"):
                table.to_csv(temporary, index=False)
            else:
                table.to_parquet(temporary, index=False)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        with self._replacing(name) as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")

    def write_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as a PNG picture."""
        with self._replacing(name) as temporary:
            figure.savefig(temporary, dpi=150, bbox_inches="tight")

    def write_model(self, name: str, model: keras.Model) -> None:
        """Write a Keras model."""
        with self._replacing(name) as temporary:
            model.save(temporary)

    def drop_state(self) -> None:
        """Remove what was needed only while the run went on."""
        shutil.rmtree(self.state, ignore_errors=True)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        """A temporary file that takes the place of a file of the run once it is complete."""
        # The ending stays: writers go by it.
        handle, temporary = tempfile.mkstemp(dir=self.state, suffix=Path(name).suffix)
        os.close(handle)
        try:
            yield Path(temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, self.path / name)
        finally:
            Path(temporary).unlink(missing_ok=True)
