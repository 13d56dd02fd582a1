"""Saved models with layers and optimizers of the zoo, in a process that has imported none."""

import ast
import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
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
    assert "Stranger" in refusal_of(tmp_path / "strange.keras")


def refusal_of(path):
    """The message with which a file is refused, in one line that names it and says what to do."""
    with pytest.raises(ValueError, match=r"save it again with model\.save") as caught:
        load_saved_model(path)
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.fixture
def changed(saved, tmp_path):
    """Write a copy of the model with another configuration, or with other members."""

    def write(change=None, members=(), compression=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(saved) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        if change is not None:
            config = json.loads(content["config.json"])
            change(config["config"]["layers"])
            content["config.json"] = json.dumps(config).encode()
        content |= dict(members)
        with zipfile.ZipFile(tmp_path / "changed.keras", "w", compression) as archive:
            for name, value in content.items():
                archive.writestr(name, value)
        return tmp_path / "changed.keras"

    return write


CONSTANT = {"class_name": "__tensor__", "config": {"value": [[1.0]], "dtype": "float32"}}
HIDDEN = {"class_name": "__slice__", "config": {"start": {"class_name": "__keras_tensor__"}}}


def operation(name, call, **config):
    """The configuration of an operation of Keras that is called once."""
    kind = {"module": "keras.src.ops.numpy", "class_name": name, "registered_name": name}
    return kind | {"config": {"name": "eager"} | config, "name": "eager", "inbound_nodes": [call]}


@pytest.mark.parametrize(
    "layer",
    [
        operation("Tile", {"args": [CONSTANT], "kwargs": {}}, repeats=10**9),
        operation("Tile", {"args": [[1.0]], "kwargs": {}}, repeats=10**9),
        operation("Tile", {"args": [1.0], "kwargs": {}}, repeats=10**9),
        operation("Tile", {"args": [], "kwargs": {"x": [1.0]}}, repeats=10**9),
        operation("Tile", {"args": [1.0], "kwargs": {}, "__keras_tensor__": 1}, repeats=10**9),
        operation("Tile", {"args": [["__keras_tensor__"]], "kwargs": {}}, repeats=10**9),
        operation("Repeat", {"args": [[1.0, HIDDEN]], "kwargs": {}}, repeats=10**9, axis=None),
        operation("Arange", {"args": [0, 10**9], "kwargs": {}}),
        operation("Arange", {}),
    ],
)
def test_layers_that_loading_would_compute_are_refused(changed, layer):
    before = peak_memory()
    refusal = refusal_of(changed(lambda layers: layers.append(layer)))
    assert "received 'eager' on constants" in refusal
    inside = {"class_name": "Bidirectional", "config": {"backward_layer": {"layers": [layer]}}}
    refusal = refusal_of(changed(lambda layers: layers.append(inside)))
    assert "received 'eager' on constants" in refusal
    assert peak_memory() - before < 100_000_000


def test_a_call_on_tensors_in_lists_dictionaries_and_keywords_is_loaded(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Sum(keras.layers.Layer):
        def call(self, x, scale=1.0, more=None):
            return x["first"][0] * scale + (0.0 if more is None else more["second"])

    first, second = keras.Input((3,)), keras.Input((3,))
    total = Sum()({"first": [first]}, scale=2.0, more={"second": second})
    total = keras.ops.where(keras.ops.ones((1, 3), "bool"), 1.0, total) + total[:, ::1]
    keras.Model([first, second], keras.ops.tile(total, (1, 2))).save(tmp_path / "sum.keras")
    assert load_saved_model(tmp_path / "sum.keras").output_shape == (None, 6)


def test_a_call_on_a_tensor_is_computed_only_in_shape(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.ops.repeat(inputs, 10**9, axis=1)).save(tmp_path / "repeat.keras")
    before = peak_memory()
    loaded = load_saved_model(tmp_path / "repeat.keras")
    assert loaded.output_shape == (None, 3 * 10**9)
    assert peak_memory() - before < 100_000_000


@pytest.mark.parametrize("units", [40_000_000, 400_000_000, 10**12, 10**30])
def test_a_configuration_that_asks_for_more_than_the_weights_hold_is_refused(changed, units):
    def widen(layers):
        dense = next(each for each in layers if each["class_name"] == "Dense")
        dense["config"]["units"] = units

    before = peak_memory()
    assert re.search(
        "expected at most .* parameters, by the weights in the file", refusal_of(changed(widen))
    )
    assert peak_memory() - before < 100_000_000


def peak_memory():
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def weights_with(saved, shape, **options):
    with zipfile.ZipFile(saved) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "a") as file:
        file.create_dataset("more", shape=shape, dtype="f4", **options)
    return {"model.weights.h5": content.getvalue()}


def test_weights_that_declare_more_than_the_file_holds_are_refused(saved, changed):
    large = weights_with(saved, (30_000, 30_000), chunks=(100, 100))
    assert re.search(
        "expected content of at most .*, received 3,600,.* bytes",
        refusal_of(changed(members=large)),
    )


def test_models_that_are_nested_to_call_their_layers_a_million_times_are_refused(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dropout(0.1)(inputs))
    for depth in range(20):
        inputs = keras.Input((2,))
        model = keras.Model(inputs, model(model(inputs)), name=f"depth_{depth}")
    model.save(tmp_path / "nested.keras")
    assert re.search(
        "calls of layers, .* received 3,145,727", refusal_of(tmp_path / "nested.keras")
    )


def test_members_that_unpack_to_too_much_are_refused(changed):
    assert "expected content of at most" in refusal_of(
        changed(members={"assets/a": bytes(300_000_000)})
    )
    assert "expected a configuration of at most" in refusal_of(
        changed(members={"config.json": bytes(40_000_000)})
    )


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_a_compression_that_unpacks_without_bounds_are_refused(changed, compression):
    refusal = refusal_of(changed(compression=compression))
    assert f"stored or deflated, as Keras does, received compression method {compression}" in (
        refusal
    )


def test_a_file_without_weights_or_in_pieces_is_refused(changed, saved, tmp_path):
    assert "file signature not found" in refusal_of(changed(members={"model.weights.h5": b"?"}))
    assert "Expecting value" in refusal_of(changed(members={"config.json": b"?"}))
    assert "recursion" in refusal_of(changed(members={"config.json": b"[" * 100_000}))
    content = saved.read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    assert "expected an intact .keras archive" in refusal_of(tmp_path / "half.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("a", "b")
    assert "expected config.json and model.weights.h5 in it" in refusal_of(tmp_path / "other.keras")
    assert "expected a readable file, received No such file" in refusal_of(
        tmp_path / "missing.keras"
    )


def test_a_model_with_several_variables_of_the_optimizer_for_each_weight_loads(tmp_path):
    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(2000)])
    model.compile(keras.optimizers.Adam(amsgrad=True, use_ema=True), "mse")
    model.save(tmp_path / "adam.keras")  # before any training: without those variables
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        loaded = load_saved_model(tmp_path / "adam.keras")
    assert loaded.count_params() == model.count_params()


@pytest.fixture
def compiled(saved, tmp_path):
    """Write a copy of the model with other metrics."""

    def write(metrics):
        with zipfile.ZipFile(saved) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(content["config.json"])
        config["compile_config"]["metrics"] = metrics
        with zipfile.ZipFile(tmp_path / "compiled.keras", "w") as archive:
            for name, value in (content | {"config.json": json.dumps(config).encode()}).items():
                archive.writestr(name, value)
        return tmp_path / "compiled.keras"

    return write


def metric(kind, **config):
    described = {"module": "keras.metrics", "class_name": kind, "registered_name": None}
    return described | {"config": config}


def cell(number):
    config = {"name": f"cell_{number}", "units": 1}
    return {"module": "keras.layers", "class_name": "GRUCell", "config": config}


@pytest.mark.parametrize(
    "metrics",
    [
        [metric("AUC", num_thresholds=30_000_000)],
        {"out": [metric("PrecisionAtRecall", recall=0.5, num_thresholds=30_000_000)]},
        [metric("AUC", name=f"auc_{number}", num_thresholds=10**5) for number in range(11)],
    ],
)
def test_metrics_with_millions_of_thresholds_are_refused(compiled, changed, metrics):
    before = peak_memory()
    expected = r"expected at most 1,000,000 thresholds, .* received [\d,]{9,}"
    assert re.search(expected, refusal_of(compiled(metrics)))
    inside = {"class_name": "Dense", "config": {"units": 1, "activation": metrics}}
    assert re.search(expected, refusal_of(changed(lambda layers: layers.append(inside))))
    assert peak_memory() - before < 100_000_000


@pytest.mark.parametrize(
    "metrics",
    [
        [metric("Mean", name=f"mean_{number}") for number in range(4000)],
        ["accuracy"] * 4000,
        {"out": ["accuracy"] * 4000},
    ],
)
def test_thousands_of_metrics_are_refused(compiled, metrics):
    expected = r"expected at most 3,000 layers, metrics and other objects, received 4,0\d\d"
    assert re.search(expected, refusal_of(compiled(metrics)))


@pytest.mark.parametrize("dtype", ["S100000000", "U", "(100000000,)f4", None])
def test_arrays_of_values_of_any_size_in_a_configuration_are_refused(compiled, dtype):
    array = {"class_name": "__numpy__", "config": {"value": ["1", "2"], "dtype": dtype}}
    before = peak_memory()
    assert "expected arrays of values of at most 32 bytes in config.json" in refusal_of(
        compiled([array])
    )
    assert peak_memory() - before < 100_000_000


def test_arrays_in_a_configuration_are_loaded(tmp_path):
    inputs = keras.Input((2,))
    normalized = keras.layers.Normalization(mean=np.ones(2), variance=np.ones(2))(inputs)
    model = keras.Model(inputs, normalized + np.float32([1, 2]))
    model.save(tmp_path / "arrays.keras")
    loaded = load_saved_model(tmp_path / "arrays.keras")
    np.testing.assert_allclose(loaded(np.ones((1, 2))), model(np.ones((1, 2))))


def test_thousands_of_cells_in_a_layer_are_refused(changed):
    stacked = {"class_name": "StackedRNNCells", "config": {"cells": [*map(cell, range(600))]}}
    layer = {"class_name": "RNN", "config": {"cell": stacked}}
    assert "expected at most 500 cells of recurrent layers, received 600" in refusal_of(
        changed(lambda layers: layers.append(layer))
    )


def test_a_model_of_many_layers_and_metrics_is_loaded(tmp_path):
    inputs = keras.Input((2,))
    branches = [
        keras.layers.Dense(2, kernel_regularizer="l2", kernel_constraint="non_neg")(inputs)
        for _ in range(30)
    ]
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.add(branches)))
    metrics = [keras.metrics.AUC(num_thresholds=2000, name=f"auc_{i}") for i in range(10)]
    model.compile("adam", "mse", metrics=["mse", *metrics])
    model.save(tmp_path / "many.keras")
    assert load_saved_model(tmp_path / "many.keras").count_params() == model.count_params()
