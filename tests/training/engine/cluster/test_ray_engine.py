"""Members on a Ray cluster: the same as here, whatever ends meanwhile."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from backends import WELL

from dropout_zoo.training import Member, train_members
from dropout_zoo.training.engine.base import EngineOptions

HERE = Path(__file__).parents[3]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
on_a_cluster = [needs_ray, pytest.mark.nightly, pytest.mark.posix]


BUSY = "timed out during startup"  # Ray gives a node half a minute, however busy the machine is


def run(*arguments, timeout=900, attempts=3):
    environment = os.environ | {"PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if BUSY in done.stderr and attempts > 1:
        return run(*arguments, timeout=timeout, attempts=attempts - 1)
    # Ray prints its own messages where it likes.
    lines = [each for each in done.stdout.splitlines() if each == WELL or each.startswith("[")]
    return lines[-1] if lines and not done.returncode else done.stdout + done.stderr


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "local:0", "local:", "a/b:1", ""])
def test_addresses_that_are_none_are_refused_at_once(address):
    with pytest.raises(ValueError, match="expected cluster to be 'auto'"):
        EngineOptions(cluster=address)


def test_without_ray_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dropout-zoo\[ray\]'"):
        EngineOptions(cluster="auto")


@needs_ray
def test_callbacks_are_refused_before_a_cluster_is_asked_for(few_digits):
    with pytest.raises(ValueError, match="expected no callbacks on a cluster"):
        train_members(
            "mlp", [Member({}, 0)], few_digits, cluster="auto", callbacks=lambda member: []
        )


@pytest.mark.parametrize("kind", ["worker", "raylet", "node", "join", "hang", "deadly"])
class TestDisturbances:
    pytestmark = on_a_cluster

    def test_results_are_those_of_an_undisturbed_run(self, kind):
        program = str(HERE / "cluster_disturbances.py")
        assert run(program, kind, "1", "0") == WELL

    def test_many_times(self, kind):
        program = str(HERE / "cluster_disturbances.py")
        assert run(program, kind, "200", "1", timeout=4 * 3600) == WELL


MODELS_AND_DATA = """
import json, sys
import numpy as np
import keras
from dropout_zoo.models import build_mlp
from dropout_zoo.models.factory import resolve_model
from dropout_zoo.training import Member, as_dataset, load_dataset, prepare_threads, train_members

prepare_threads()
data, file = load_dataset("digits"), sys.argv[1] + "/digits.npz"
np.savez(file, x=data.train[0], y=data.train[1])


class Net(keras.Model):  # its argument is a layer, which Keras cannot record
    def __init__(self, first):
        super().__init__()
        self.flatten, self.first = keras.layers.Flatten(), first
        self.dropout, self.last = keras.layers.Dropout(0.3), keras.layers.Dense(10, "softmax")

    def call(self, x, training=False):
        return self.last(self.dropout(self.first(self.flatten(x)), training=training))


def build():
    model = Net(keras.layers.Dense(8, "relu"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def source():
    import tensorflow as tf

    arrays = np.load(file)
    rows = tf.data.Dataset.from_tensor_slices((arrays["x"], arrays["y"]))
    return rows.shuffle(100, seed=1).repeat().batch(32)


stream = as_dataset(source, steps_per_epoch=20, validation_data=data.validation)
mlp = build_mlp(loss="sparse_categorical_crossentropy")
net = resolve_model(build, input_shape=(28, 28))
for model, given, sites in ((net, data, 1), (mlp, stream, 2)):
    members = [Member([rate] * sites, seed=seed) for seed in (0, 1) for rate in (0.1, 0.5)]
    here, there = (
        [each.curves.to_csv() for each in train_members(model, members, given, epochs=2, **where)]
        for where in ({}, {"cluster": "local:2"})
    )
    assert here == there, (here, there)
try:
    opened = as_dataset(source(), steps_per_epoch=20, validation_data=data.validation)
    train_members(mlp, members, opened, epochs=1, cluster="local:2")
except ValueError as error:
    assert "pass a function that opens it" in str(error), error
    print("all is well")
"""


@needs_ray
@pytest.mark.nightly
@pytest.mark.posix
def test_models_that_a_function_builds_and_streamed_sources_are_trained_on_a_cluster(tmp_path):
    assert run("-c", MODELS_AND_DATA, str(tmp_path)) == WELL


SEARCH = """
import json, sys
from dropout_zoo.models import build_mlp
from dropout_zoo.training import prepare_threads
from dropout_zoo.training.engine.interrupts import interruptible
from dropout_zoo.tuning import tune

prepare_threads()
with interruptible():
    result = tune(
        build_mlp(units=(8,), hidden_rates=(0.4,)), "digits", rates=[0.1, 0.2, 0.3], epochs=5,
        num_finalists=1, num_seeds=10, directory=sys.argv[1], resume=True, progress=False,
        cluster=sys.argv[2] or None,
    )
tables = [each.drop(columns=["seconds", "group"], errors="ignore").to_csv()
          for each in (result.trials, result.finalists)]
print(json.dumps([result.answer, dict(result.best_rates), *tables]))
"""


def is_worker(process):
    try:
        return process.name().startswith("ray::Worker")
    except psutil.NoSuchProcess:
        return False


def started(folder, cluster):
    return subprocess.Popen(
        [sys.executable, "-c", SEARCH, str(folder), cluster],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


@needs_ray
@pytest.mark.nightly
@pytest.mark.posix
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
def test_workers_end_with_the_driver_and_the_search_continues_to_the_same_answer(tmp_path, number):
    expected = run("-c", SEARCH, str(tmp_path / "here"), "")
    json.loads(expected)
    folder = tmp_path / "cluster"
    journal = folder / "state" / "journal.jsonl"
    for _ in range(2):
        lines = len(journal.read_bytes().splitlines()) if journal.exists() else 0
        with started(folder, "local:2") as program:
            while program.poll() is None and (
                not journal.exists() or len(journal.read_bytes().splitlines()) <= lines + 4
            ):
                time.sleep(0.05)
            time.sleep(random.Random(lines).random())
            assert program.poll() is None, program.stderr.read()
            of_cluster = psutil.Process(program.pid).children(recursive=True)
            assert any(each.name() == "raylet" for each in of_cluster)
            # A terminal sends the signal to all processes of its group.
            os.killpg(program.pid, signal.SIGINT) if number == "SIGINT" else program.kill()
            program.wait(30)
            workers = [each for each in of_cluster if each.is_running() and is_worker(each)]
            assert not psutil.wait_procs(workers, timeout=30)[1]
            # Ray's own agents look for their parents only every now and then.
            assert not psutil.wait_procs(of_cluster, timeout=180)[1]
    assert b'"group": "' in journal.read_bytes()
    resumed_here = run("-c", SEARCH, str(folder), "")
    assert resumed_here == expected
