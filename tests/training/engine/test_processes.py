"""Members in worker processes on PyTorch: each as if it were alone in this process."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from backends import WELL, last_words

pytestmark = pytest.mark.slow
pytest.importorskip("torch")
pytest.importorskip("loky")

START = """
import os, threading, time, warnings
import keras, numpy as np, psutil
from dropout_zoo.training import Dataset, EarlyDropout, Member, MemberTrainer, TrainSettings
from dropout_zoo.training.engine.torch import processes

processes._START_UP = processes._SENDING = 0.0  # workers train from the beginning
HERE = os.getpid()

class Picky(keras.layers.Layer):  # of this program: no worker can import it
    def __init__(self, rate=0.2, **arguments):
        super().__init__(**arguments)
        self.dropout = keras.layers.Dropout(rate)

    def call(self, x, training=False):
        if training and self.dropout.rate > 0.8:
            raise RuntimeError("too much is dropped")
        if training and self.dropout.rate == 0.6:
            print(act(), flush=True)
        return self.dropout(x, training=training)

    def get_config(self):
        return {**super().get_config(), "rate": self.dropout.rate}

def act():
    return os.getpid() == HERE

def error_squared(true, predicted):
    return keras.ops.mean(keras.ops.square(true - predicted), axis=-1)

def trainer(workers, loss=error_squared, kind=Picky):
    layers = [keras.Input((6,)), keras.layers.Dense(8), kind(0.2, name="noise")]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("adam", loss)
    return MemberTrainer(
        model, data, TrainSettings(epochs=2), keep_state=True, workers=workers
    )

rng = np.random.default_rng(0)
x = rng.random((90, 6), np.float32)
y = x.sum(1)
data = Dataset.from_arrays((x[:60], y[:60]), validation=(x[60:], y[60:]), task="regression")
"""

SAME = """
members = [
    Member([0.9], 0), Member([0.1], 0), Member([0.5], 1), Member([0.5], 1, split=3),
    Member([0.3], 2), Member([0.6], 3),
]
scheduled = [Member([0.3], seed, schedule=EarlyDropout(epochs=1)) for seed in range(2)]
with warnings.catch_warnings():
    warnings.filterwarnings("error", message="Model.fit trains")
    results, finished = [], []
    for workers in (1, 2):
        found = finished if workers == 2 else []
        results.append(trainer(workers).train(members, found.append))
        results[-1] += trainer(workers, kind=keras.layers.Dropout).train(scheduled, found.append)
    pairs = list(zip(*results, strict=True))
assert {id(each) for each in finished} == {id(each) for each in results[1]}
for one, two in pairs:
    assert one.member == two.member and one.rates == two.rates
    assert (one.status, one.reason) == (two.status, two.reason)
    assert one.curves.equals(two.curves), (one.curves, two.curves)
    if one.status != "completed":
        continue
    assert one.score == two.score and one.best_epoch == two.best_epoch
    for made in ("model", "final_model"):
        weights = zip(*(getattr(each, made)().get_weights() for each in (one, two)), strict=True)
        assert all(np.array_equal(*pair) for pair in weights)
assert [one.status for one, _ in pairs] == ["failed"] + ["completed"] * 7
assert "too much is dropped" in pairs[0][0].reason
again = trainer(2)
longer = Member([0.1], 0, epochs=3, initial_epoch=2, weights=pairs[1][1].checkpoint)
[continued] = again.train([longer])
assert list(continued.curves["epoch"]) == [1, 2, 3]
print("all is well")
"""

ENDS = """
def act():
    if os.getpid() != HERE:
        os._exit(1)
    return True

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    trained = trainer(2).train([Member([rate], 0) for rate in (0.1, 0.6, 0.3, 0.4)])
assert [each.status for each in trained] == ["completed"] * 4
assert [each.rates["noise/dropout"] for each in trained] == [0.1, 0.6, 0.3, 0.4], trained
said = [str(each.message) for each in told]
assert [each for each in said if each.startswith("Model.fit trains the members, one after another")
] == ["Model.fit trains the members, one after another, because a worker process ended, as one "
      "that runs out of memory does"], said

lock = threading.Lock()
def locked(true, predicted):
    with lock:
        return error_squared(true, predicted)

with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    trained = trainer(2, locked).train([Member([0.1], 0), Member([0.3], 0)])
assert [each.status for each in trained] == ["completed"] * 2
said = [str(each.message) for each in told]
reason = "because the model cannot be sent to a worker process: TypeError"
assert any(reason in each for each in said), said
print("all is well")
"""

ENDLESS = """
import signal

# A shell that starts programs in the background lets them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
print(HERE, flush=True)
def show(trained):
    print("finished", flush=True)
trainer(2).train([Member([0.1], seed) for seed in range(100_000)], show)
"""


def test_members_are_the_same_with_any_number_of_workers_and_fail_alike():
    assert last_words("torch", "-c", START + SAME) == WELL


def test_members_that_no_worker_can_train_are_trained_here():
    assert last_words("torch", "-c", START + ENDS) == WELL


@pytest.mark.posix
@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
def test_workers_end_with_the_process_that_has_started_them(number):
    environment = os.environ | {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        [sys.executable, "-c", START + ENDLESS],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as program:
        lines = iter(program.stdout.readline, "")
        assert [line.strip() for line, _ in zip(lines, range(3), strict=False)][1:] == [
            "finished"
        ] * 2
        workers = psutil.Process(program.pid).children(recursive=True)
        assert len(workers) >= 2
        if number == "SIGINT":
            os.killpg(program.pid, signal.SIGINT)  # as a terminal does
        else:
            program.kill()
        program.wait(60)
        _, left = psutil.wait_procs(workers, timeout=60)
        assert not left
