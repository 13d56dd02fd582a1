"""Saved models with layers and optimizers of the zoo, in a process that has imported none."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import dropout_zoo.models as models
from dropout_zoo.models import create_model
from dropout_zoo.models.architectures.optimizers import srivastava_sgd
from dropout_zoo.models.saving import _REGISTERING, load_saved_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    small = {"input_shape": (6,), "units": (4, 3), "optimizer": srivastava_sgd()}
    create_model("goodfellow_maxout_240x2", **small).save(path)
    return path


@pytest.mark.slow
def test_a_new_process_can_audit_a_file_with_layers_of_the_zoo(saved):
    program = (
        "import sys; from dropout_zoo.tuning.cli.main import main; main(['audit', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(saved)], capture_output=True, text=True, check=False
    )
    assert "goodfellow_maxout_240x2" in done.stdout, done.stderr[-2000:]


def test_a_file_can_be_loaded_without_compiling(saved):
    assert not load_saved_model(saved, compile=False).compiled


def test_every_module_that_registers_a_class_is_imported():
    folder = Path(models.__file__).parent
    registering = {
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("register_keras_serializable" in ast.dump(each) for each in node.decorator_list)
    }
    assert registering == set(_REGISTERING)


def test_a_file_that_holds_no_model_is_refused(tmp_path):
    (tmp_path / "none.keras").write_text("nothing")
    with pytest.raises(ValueError, match=r"none\.keras"):
        load_saved_model(tmp_path / "none.keras")


def test_an_unknown_class_is_named(tmp_path):
    @keras.saving.register_keras_serializable("elsewhere")
    class Stranger(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((2,)), Stranger()]).save(tmp_path / "strange.keras")
    registered = keras.saving.get_custom_objects()
    del registered["elsewhere>Stranger"]
    with pytest.raises(TypeError, match="Stranger"):
        load_saved_model(tmp_path / "strange.keras")
