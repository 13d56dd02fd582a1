"""Programs that tests run on one of Keras's backends, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest

ALL = [pytest.param(name, marks=pytest.mark.slow) for name in ("tensorflow", "torch", "jax")]
WITHOUT_TENSORFLOW = ALL[1:]


WELL = "all is well"


def last_words(backend, *arguments):
    """The last line that Python prints with these arguments; if it fails, its errors."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # A machine that runs the tests may have an accelerator that they are not for.
    settings = {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles faster
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stderr[-3000:] if done.returncode else done.stdout.strip().rpartition("\n")[-1]
