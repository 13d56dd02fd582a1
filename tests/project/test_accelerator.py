"""The benchmark of accelerators, on whatever device there is."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "accelerator.py"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_the_benchmark_of_accelerators_runs_on_a_cpu_at_toy_size(tmp_path):
    file = tmp_path / "found.json"
    command = [sys.executable, str(PROGRAM), "--toy", "--models", "mlp", "--output", str(file)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    (device,) = json.loads(file.read_text()).values()
    found = device["models"]["mlp"]
    assert [row["members"] for row in found["rows"]] == [2, 4]
    assert all(row["at_a_time"] == row["members"] for row in found["rows"])
    assert found["flops_per_model_step"] == 3 * 2 * 128 * (784 * 128 + 128 * 64 + 64 * 10)
    assert found["agreement_float32"] < 1e-5
