"""Plans that are sent to other processes: also models that only their function can build."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest
from keras import layers

from dropout_zoo.models.factory import resolve_model
from dropout_zoo.training import Member, MemberTrainer, TrainSettings

pytest.importorskip("cloudpickle")

from dropout_zoo.training.engine.sent_plan import send_plan


class Net(keras.Model):
    """Its argument is a layer, which Keras cannot record."""

    def __init__(self, first):
        super().__init__()
        self.flatten, self.first, self.dropout = layers.Flatten(), first, layers.Dropout(0.3)
        self.last = layers.Dense(10, "softmax")

    def call(self, x, training=False):
        return self.last(self.dropout(self.first(self.flatten(x)), training=training))


def build():
    model = Net(layers.Dense(8, "relu"))
    model.first.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


PROGRAM = """
import sys
from pathlib import Path
from dropout_zoo.training import Member
from dropout_zoo.training.engine.base import EngineOptions
from dropout_zoo.training.engine.selection import start_engine
from dropout_zoo.training.engine.jobs import JobSource
from dropout_zoo.training.engine.sent_plan import load_plan
from dropout_zoo.training.members import Job
from dataclasses import replace

folder = Path(sys.argv[1])
plan = replace(load_plan(folder), directory=folder)
member = Member([0.5], seed=1)
rates = {site.path: 0.5 for site in plan.sites}
engine = start_engine(plan, EngineOptions())
[trained] = engine.run(JobSource(iter([Job(0, member, rates)])), on_result=None).values()
trained.curves.to_csv(folder / "curves.csv")
"""


@pytest.mark.slow
def test_a_model_that_only_its_function_can_build_is_trained_elsewhere_to_the_same_bits(
    few_digits, tmp_path
):
    layers.Dense(1), Net(layers.Dense(1))  # Keras numbers names: other ones than in a new process
    model = resolve_model(build, input_shape=(28, 28))
    trainer = MemberTrainer(model, few_digits, TrainSettings(epochs=2))
    [here] = trainer.train([Member([0.5], seed=1)])
    (tmp_path / "sent").mkdir()
    send_plan(trainer.plan, tmp_path / "sent")
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "sent")]
    done = subprocess.run(program, cwd=Path.home(), capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert (tmp_path / "sent" / "curves.csv").read_text() == here.curves.to_csv()
