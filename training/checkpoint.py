"""A member's weights on disk, with the state that is needed to continue its training."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dropout_zoo.training.durable_files import replacing

# NumPy parses the header of each array with `ast`, which before Python 3.11.8 raises SystemError
# when the garbage collector lets another thread parse meanwhile (python/cpython#106905).
_READING = threading.Lock()

_KINDS = ("best", "last", "optimizer", "seeds", "final")
_ROWS = "rows"


@dataclass(frozen=True)
class Checkpoint:
    """The weights of the best epoch and, if kept, the state after the last one.

    Attributes:
        best: weights of the best epoch, in the order of ``model.get_weights()``.
        last: weights after the last epoch; empty if the state was not kept.
        optimizer: the optimizer's variables after the last epoch.
        seeds: states of the seed generators after the last epoch, one per generator.
        final: weights that callbacks left at the end of the training; empty if there were none.
        rows: the learning curves so far, one row per epoch; empty if the state was not kept.
    """

    best: Sequence[np.ndarray]
    last: Sequence[np.ndarray] = ()
    optimizer: Sequence[np.ndarray] = ()
    seeds: Sequence[np.ndarray] = ()
    final: Sequence[np.ndarray] = ()
    rows: Sequence[Mapping[str, Any]] = ()

    def save(self, path: Path) -> Path:
        """Write a file, which is complete and on disk afterwards, or not there.

        Args:
            path: a path that ends in ``.npz``.

        Returns:
            The path.
        """
        arrays = {
            f"{kind}/{index:05d}": array
            for kind in _KINDS
            for index, array in enumerate(getattr(self, kind))
        }
        if self.rows:
            text = json.dumps(list(self.rows), default=float).encode()
            arrays[_ROWS] = np.frombuffer(text, "uint8")
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)
        return path

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The checkpoint.
        """
        kinds: dict[str, list[np.ndarray]] = {kind: [] for kind in _KINDS}
        rows = []
        with _READING, np.load(path, allow_pickle=False) as file:
            for key in sorted(file.files):
                if key == _ROWS:
                    rows = json.loads(file[key].tobytes())
                else:
                    kinds[key.partition("/")[0]].append(file[key])
        return cls(**kinds, rows=rows)
