"""A member's weights on disk, with the state that is needed to continue its training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_KINDS = ("best", "last", "optimizer", "seeds", "final")


@dataclass(frozen=True)
class Checkpoint:
    """The weights of the best epoch and, if kept, the state after the last one.

    Attributes:
        best: weights of the best epoch, in the order of ``model.get_weights()``.
        last: weights after the last epoch; empty if the state was not kept.
        optimizer: the optimizer's variables after the last epoch.
        seeds: states of the seed generators after the last epoch, one per generator.
        final: weights that callbacks left at the end of the training; empty if there were none.
    """

    best: Sequence[np.ndarray]
    last: Sequence[np.ndarray] = ()
    optimizer: Sequence[np.ndarray] = ()
    seeds: Sequence[np.ndarray] = ()
    final: Sequence[np.ndarray] = ()

    def save(self, path: Path) -> Path:
        """Write a file atomically.

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
        partial = path.with_suffix(".part")
        try:
            with open(partial, "wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError):  # the error of a full disk does not name the file
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
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
        with np.load(path, allow_pickle=False) as file:
            for key in sorted(file.files):
                kinds[key.partition("/")[0]].append(file[key])
        return cls(**kinds)
