"""A member's weights on disk, and what it takes to go on from there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Checkpoint:
    """Weights of the best epoch, and with them the state after the last one.

    Attributes:
        best: arrays in the order of ``model.get_weights()``, at the best epoch.
        last: the same after the last epoch; empty where nothing is to go on from here.
        optimizer: values of the optimizer's variables after the last epoch.
        seeds: states of the seed generators after the last epoch, one row a layer that has one.
    """

    best: Sequence[np.ndarray]
    last: Sequence[np.ndarray] = ()
    optimizer: Sequence[np.ndarray] = ()
    seeds: Sequence[np.ndarray] = ()

    def save(self, path: Path) -> Path:
        """Write to a file, whole or not at all.

        Args:
            path: where to; ends in ``.npz``.

        Returns:
            The path.
        """
        arrays = {
            f"{kind}/{index:05d}": array
            for kind in ("best", "last", "optimizer", "seeds")
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
            if isinstance(error, OSError):  # a full disk does not say which file it was
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
        kinds: dict[str, list[np.ndarray]] = {"best": [], "last": [], "optimizer": [], "seeds": []}
        with np.load(path, allow_pickle=False) as file:
            for key in sorted(file.files):
                kinds[key.partition("/")[0]].append(file[key])
        return cls(**kinds)
