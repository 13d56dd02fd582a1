"""KerasTuner's own tests of tuners, run with `DropoutTuner` in place of its tuner.

    git clone --branch v1.4.7 https://github.com/keras-team/keras-tuner
    python benchmarks/keras_tuner_suite.py keras-tuner [arguments of pytest]

The tests are those of the checkout, and nothing of it is copied here. `RandomSearch`, `GridSearch`,
`BayesianOptimization` and `Hyperband` get `DropoutTuner` as their base class. Tests of KerasTuner's
distributed mode need a package that is not installed, and fail.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

FILES = (
    "engine/base_tuner_test.py",
    "engine/tuner_test.py",
    "tuners/bayesian_test.py",
    "tuners/gridsearch_test.py",
    "tuners/hyperband_test.py",
    "tuners/randomsearch_test.py",
)


def main(checkout: str, *arguments: str) -> int:
    """Run the tests.

    Args:
        checkout: the directory of a checkout of KerasTuner.
        *arguments: arguments for pytest.

    Returns:
        The exit status of pytest.
    """
    package = Path(checkout).resolve() / "keras_tuner"
    sys.path.insert(0, str(package.parent))  # before the installed KerasTuner
    sys.modules.setdefault("portpicker", types.ModuleType("portpicker"))  # for its import alone
    put_in_place()
    files = [str(package / name) for name in FILES]
    return int(pytest.main([*files, f"--rootdir={package.parent}", "-p", "no:cacheprovider", "-q",
                            # `DropoutTuner` is put in place in this process alone.
                            "-p", "no:xdist", *arguments]))  # fmt: skip


def put_in_place() -> None:
    """Make `DropoutTuner` the tuner of KerasTuner."""
    import keras_tuner
    from keras_tuner.engine import base_tuner, tuner

    from dropout_zoo.tuning import DropoutTuner

    for kind in ("RandomSearch", "GridSearch", "BayesianOptimization", "Hyperband"):
        getattr(keras_tuner, kind).__bases__ = (DropoutTuner,)
    keras_tuner.Tuner = tuner.Tuner = base_tuner.BaseTuner = DropoutTuner


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
