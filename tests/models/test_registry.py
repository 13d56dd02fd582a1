"""Models by name, and what is known of them without Keras."""

import ast
import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest

import dropout_zoo.models as models
from dropout_zoo.models import (
    build_mlp,
    create_model,
    dropout_sites,
    list_models,
    model_entry,
    register_model,
    registry,
)
from dropout_zoo.models.factory import builder_arguments

LARGEST = "srivastava_8192x2"  # seventy million parameters


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.slow] * (each == LARGEST)) for each in list_models()],
)
def test_metadata_agrees_with_what_the_builder_builds(name):
    entry = model_entry(name)
    model = create_model(name)
    assert entry.parameters == sum(math.prod(w.shape) for w in model.trainable_weights)
    assert list(entry.sites.items()) == [(s.path, s.rate) for s in dropout_sites(model)]
    assert entry.family and entry.source


def test_the_documented_nets_are_listed():
    assert {"cnn", "mlp"} <= set(list_models())
    assert list_models() == sorted(list_models())


def test_list_models_takes_wildcards():
    assert list_models("c?n") == ["cnn"]
    assert "mlp" in list_models("*mlp*")
    assert list_models("no such*") == []


def test_arguments_reach_the_builder():
    model = create_model("mlp", units=(16,), hidden_rates=0.25, name="mine")
    assert model.name == "mine"
    assert [(s.path, s.rate) for s in dropout_sites(model)] == [("hidden_1_dropout", 0.25)]


@pytest.mark.parametrize(("wrong", "right"), [("mpl", "mlp"), ("cnn2", "cnn"), ("CNN", "cnn")])
def test_an_unknown_name_is_reported_with_the_nearest_one(wrong, right):
    with pytest.raises(ValueError, match=f"received '{wrong}'; did you mean .*{right}"):
        create_model(wrong)


def test_anything_but_a_name_is_reported():
    with pytest.raises(
        ValueError, match=r"received 5; `dropout-zoo list` or list_models\(\) lists all names"
    ):
        create_model(5)


def test_a_typo_names_the_argument():
    with pytest.raises(TypeError, match="hidden_rate'"):
        create_model("mlp", hidden_rate=0.5)


@pytest.fixture
def registered():
    """A model registered for one test."""

    def build(*, width: int = 3, name: str = "tiny") -> str:
        return f"{name} of width {width}"

    before = inspect.signature(build)
    describe = register_model(
        "test-tiny", family="test", parameters=3, sites={"drop": 0.5}, source="this test"
    )
    decorated = describe(build)
    yield build, decorated, before
    del registry._entries["test-tiny"]


def test_register_model_returns_the_builder_itself(registered):
    build, decorated, before = registered
    assert decorated is build
    assert inspect.signature(decorated) == before
    assert create_model("test-tiny", width=5, name="x") == "x of width 5"
    assert model_entry("test-tiny").sites == {"drop": 0.5}
    with pytest.raises(TypeError):
        model_entry("test-tiny").sites["drop"] = 0.1  # read-only


VARIANT = {"family": "test", "parameters": 3, "sites": {"drop": 0.5}, "source": "this test"}


@pytest.fixture
def variants():
    """Two variants of one builder, registered for one test."""

    def build(*, width: int = 3, input_shape: tuple = (4,), name: str = "tiny") -> tuple:
        """Build it."""
        return name, width, input_shape

    wide = register_model("test-wide", arguments={"width": 30}, data="MNIST", **VARIANT)
    named = register_model("test-named", arguments={"name": "other", "width": 2}, **VARIANT)
    yield wide(named(build))
    for name in ("test-wide", "test-named"):
        del registry._entries[name]


def test_one_builder_serves_a_family(variants):
    assert variants() == ("tiny", 3, (4,))
    assert create_model("test-wide") == ("test-wide", 30, (4,))
    assert create_model("test-named") == ("other", 2, (4,))
    assert create_model("test-wide", width=5, name="mine") == ("mine", 5, (4,))


def test_the_entry_of_a_variant_shows_its_own_defaults(variants):
    entry = model_entry("test-wide")
    assert entry.arguments == {"width": 30}
    assert entry.builder() == ("test-wide", 30, (4,))
    defaults = inspect.signature(entry.builder).parameters
    assert (defaults["width"].default, defaults["name"].default) == (30, "test-wide")
    assert (entry.builder.__name__, entry.builder.__doc__) == ("build", "Build it.")
    assert (entry.input_shape, entry.num_classes, entry.data) == ((4,), None, "MNIST")
    with pytest.raises(TypeError):
        entry.arguments["width"] = 1  # read-only
    assert builder_arguments("test-wide")["width"] == 30
    with pytest.raises(TypeError, match="no_such"):
        create_model("test-wide", no_such=1)


def test_a_variant_names_only_existing_arguments():
    register = register_model("test-typo", arguments={"witdh": 3}, **VARIANT)
    with pytest.raises(TypeError, match=r"build_mlp.*which are .*units.*received 'witdh'"):
        register(build_mlp)
    assert "test-typo" not in list_models()


def test_the_data_of_an_entry_fit_its_builder():
    entry = model_entry("mlp")
    assert (entry.input_shape, entry.num_classes, dict(entry.arguments)) == ((28, 28), 10, {})


def test_a_variant_does_not_take_the_name_of_a_builders_own_model():
    register = register_model("mlp", arguments={"units": (8, 8)}, **VARIANT)
    with pytest.raises(ValueError, match=r"'mlp'.*taken by"):
        register(build_mlp)
    assert model_entry("mlp").parameters == 109_386


def test_signatures_of_builders_are_kept():
    parameters = inspect.signature(build_mlp).parameters
    assert parameters["hidden_rates"].default == (0.5, 0.3)
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values())


@pytest.mark.parametrize("name", ["mlp", "test-tiny"])
def test_a_taken_name_is_refused(registered, name):
    before = model_entry(name)

    def other():
        pass

    register = register_model(name, family="test", parameters=0, sites={}, source="this test")
    with pytest.raises(ValueError, match=f"{name}.*taken by"):
        register(other)
    assert model_entry(name) == before


def test_the_same_builder_may_be_registered_again(registered):
    build, *_ = registered
    again = register_model("test-tiny", family="new", parameters=4, sites={}, source="rerun")
    assert again(build) is build
    assert model_entry("test-tiny").family == "new"


def test_a_user_may_register_before_the_zoo_is_loaded():
    program = """
from dropout_zoo.models import register_model, list_models
try:
    register_model("mlp", family="", parameters=0, sites={}, source="")(lambda: None)
except ValueError as error:
    print(error, list_models())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "taken by dropout_zoo.models.architectures.mlp.build_mlp" in done.stdout


def test_a_variant_does_not_take_a_name_before_the_zoo_is_loaded():
    program = """
from dropout_zoo.models.architectures.mlp import build_mlp
from dropout_zoo.models.registry import register_model
try:
    register_model(
        "cnn", arguments={"units": (8, 8)}, family="", parameters=0, sites={}, source=""
    )(build_mlp)
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "taken by dropout_zoo.models.architectures.cnn.build_cnn" in done.stdout


def test_reading_the_registry_needs_no_keras():
    program = """
import sys
import dropout_zoo.models as models
for name in models.list_models():
    entry = models.model_entry(name)
    str((entry.name, entry.family, entry.parameters, dict(entry.sites), entry.source))
str(models.GUIDANCE["hidden"]), models.SEARCHED_RATES, models.check_rate(0.5, "rate")
heavy = {"keras", "tensorflow", "torch", "jax", "numpy", "pandas"} & set(sys.modules)
print(sorted(heavy))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_package_exports_what_its_stub_lists():
    stub = Path(models.__file__).with_name("__init__.pyi").read_text()
    listed = set(ast.literal_eval(stub.partition("__all__ = ")[2]))
    assert listed == set(models.__all__)
    assert listed <= set(dir(models))
    for name in listed:
        assert getattr(models, name) is not None
    with pytest.raises(AttributeError):
        models.no_such_name  # noqa: B018


def test_a_name_like_no_other_is_not_corrected():
    with pytest.raises(ValueError, match=r"received 'nope'; `dropout-zoo list` or list_models"):
        create_model("nope")
