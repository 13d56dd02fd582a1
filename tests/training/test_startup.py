"""Starting Keras: the kernels suit the model that will be trained."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os
import sys

from dropout_zoo.training import start_keras

start_keras(announce=False, model=sys.argv[1])
assert "keras" in sys.modules
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        pytest.param("mlp", None, "None", marks=pytest.mark.nightly),
        pytest.param("cnn", None, "1", marks=pytest.mark.slow),
        pytest.param("wide_resnet_10_1", "0", "0", marks=pytest.mark.nightly),
        pytest.param("package.module:function", None, "None", marks=pytest.mark.slow),
    ],
)
def test_onednn_is_used_for_convolutions_unless_the_user_decides(model, given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model],
        env=environment | ({} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == expected


AFTER_KERAS = """
from dropout_zoo.training import MemberTrainer, start_keras  # the former imports Keras

start_keras(announce=False)
import tensorflow as tf

print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.slow
def test_threads_are_prepared_although_keras_is_imported_already():
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-c", AFTER_KERAS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1"
