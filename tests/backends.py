"""Programs that tests run on one of Keras's backends.

Keras reads its backend once, so each other backend runs in its own process.
"""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

ALL = [pytest.param(name, marks=pytest.mark.slow) for name in ("tensorflow", "torch", "jax")]
NIGHTLY_ON_TORCH = [
    pytest.param("torch", marks=pytest.mark.nightly),
    pytest.param("jax", marks=pytest.mark.slow),
]
"""For what other tests on PyTorch cover in part."""

WELL = "all is well"


def last_words(backend, *arguments):
    """The last line that Python prints with these arguments; if it fails, its errors."""
    if backend == keras.backend.backend():
        return _last_words_here(*arguments)
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


def _last_words_here(*arguments):
    name, *rest = arguments
    code = rest.pop(0) if name == "-c" else Path(name).read_text(encoding="utf-8")
    said, before = io.StringIO(), sys.argv
    sys.argv = [str(name), *map(str, rest)]
    try:
        with contextlib.redirect_stdout(said):
            exec(compile(code, str(name), "exec"), {"__name__": "__main__"})
    finally:
        sys.argv = before
    return said.getvalue().strip().rpartition("\n")[-1]
