"""Each public name has an example in its docstring; each example runs and shows what it says."""

import ast
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import dropout_zoo
from dropout_zoo.models import list_models, registry

PACKAGES = ("models", "training", "studies", "tuning")
ROOT = Path(__file__).parents[2]

# Examples that train for longer than a moment.
SLOW = {
    "ActivationDisplay", "DifferenceDisplay", "DropoutTuner", "Execution", "FactorCurveDisplay",
    "FeatureDisplay", "HeatMapDisplay", "LearningCurveDisplay", "MemberTrainer",
    "RateCurveDisplay", "RatesDisplay", "StudyPlan", "StudyResult", "TrainedMember",
    "TrainingStudyResult", "TuningResult", "coadaptation", "compare_methods",
    "capacity_sweep", "data_size_sweep", "epoch_sweep", "generalization_gaps", "imbalance_sweep",
    "label_noise_sweep", "learning_curves", "monte_carlo_convergence", "placement_sweep",
    "plan_rate_sweep", "predictive_uncertainty", "rate_grid", "rate_size_map", "rate_sweep",
    "rate_width_map", "robustness", "train_members", "tune", "verdict_by_setting",
}  # fmt: skip

# What an example needs beyond the dependencies that are always installed.
NEEDS = dict.fromkeys(
    ("build_torch_mlp", "keras_weights_to_torch", "torch_weights_to_keras"), "torch"
)


def public_names():
    """Every public name, once, with the package that exports it."""
    found = {}
    for package in PACKAGES:
        for name in importlib.import_module(f"dropout_zoo.{package}").__all__:
            found.setdefault(name, package)
    return found


PUBLIC = public_names()


def internal_names():
    """Every other object of a module with an example, as ``module:name``."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            documented = isinstance(node, ast.ClassDef | ast.FunctionDef)
            if documented and node.name not in PUBLIC and ">>>" in (ast.get_docstring(node) or ""):
                found.append(f"{module}:{node.name}")
    assert found
    return found


EACH = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW))
    for name in [*sorted(PUBLIC), *sorted(internal_names())]
]


def public_object(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return getattr(importlib.import_module(f"dropout_zoo.{PUBLIC[name]}"), name)


def examples_of(name):
    """The examples of an object and of its public methods.

    Those of public names import what they need; others may use all names of their module.
    """
    if name in PUBLIC:
        documented, names = public_object(name), {}
    else:
        module, _, name = name.partition(":")
        names = vars(importlib.import_module(f"dropout_zoo.{module}"))
        documented = names[name]
    found = doctest.DocTestFinder(exclude_empty=True).find(documented, name, globs=dict(names))
    return [
        test
        for test in found
        if test.examples and not any(part.startswith("_") for part in test.name.split("."))
    ]


@pytest.fixture
def registry_restored():
    """The registry of models, without what an example adds to it."""
    list_models()  # loads the models of the package themselves
    before = dict(registry._entries)
    yield
    registry._entries.clear()
    registry._entries.update(before)


@pytest.mark.usefixtures("registry_restored")
@pytest.mark.parametrize("name", EACH)
def test_examples_run_with_the_output_shown(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A second loop traces everything a second time.
    monkeypatch.setattr("dropout_zoo.training.engine.tensorflow.loops.usable_cores", lambda: 1)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = io.StringIO()
    try:
        for example in examples_of(name):
            with contextlib.redirect_stdout(io.StringIO()):
                runner.run(example, out=report.write)
    finally:
        plt.close("all")
    assert runner.summarize(verbose=False).failed == 0, report.getvalue()


def test_the_names_of_the_top_package_are_those_of_the_four_below():
    for name in dropout_zoo.__all__:
        assert getattr(dropout_zoo, name) is public_object(name)


def test_every_public_function_and_class_has_an_example():
    documented = (inspect.isclass, inspect.isroutine)
    missing = [
        name
        for name in sorted(PUBLIC)
        if not (name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None)
        and any(kind(public_object(name)) for kind in documented)
        and not examples_of(name)
    ]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_docstring_of_its_package(package):
    module = importlib.import_module(f"dropout_zoo.{package}")
    text = module.__doc__
    plans = [name for name in module.__all__ if name.startswith("plan_")]
    assert not plans or "``plan_...``" in text
    assert [name for name in module.__all__ if name not in plans and f"`{name}`" not in text] == []
