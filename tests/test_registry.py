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


@pytest.mark.parametrize("name", list_models())
def test_metadata_is_what_the_builder_builds(name):
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
def test_an_unknown_name_is_answered_with_the_nearest(wrong, right):
    with pytest.raises(ValueError, match=f"received '{wrong}'; the nearest: .*{right}"):
        create_model(wrong)


def test_something_else_than_a_name_is_answered_too():
    with pytest.raises(ValueError, match="received 5; the nearest"):
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
    assert "taken by dropout_zoo.models.mlp.build_mlp" in done.stdout


def test_looking_needs_no_keras():
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
