"""Each public name has an example in its docstring; each runs and shows what it says."""

import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io

import matplotlib.pyplot as plt
import pytest

import dropout_zoo
from dropout_zoo.models import list_models, registry

PACKAGES = ("models", "training", "studies", "tuning")

# Examples that train for longer than a moment.
SLOW = {
    "ActivationDisplay", "DifferenceDisplay", "DropoutTuner", "Execution", "FactorCurveDisplay",
    "FeatureDisplay", "HeatMapDisplay", "LearningCurveDisplay", "MemberTrainer",
    "RateCurveDisplay", "RatesDisplay", "StudyPlan", "StudyResult", "TrainedMember",
    "TrainingStudyResult", "TuningResult", "coadaptation", "compare_methods",
    "generalization_gaps", "learning_curves", "monte_carlo_convergence", "plan_rate_sweep",
    "predictive_uncertainty", "rate_sweep", "train_members", "tune", "verdict_by_setting",
}  # fmt: skip
# Other sweeps, which are called like `rate_sweep`.
NIGHTLY = {
    "capacity_sweep", "data_size_sweep", "epoch_sweep", "imbalance_sweep", "label_noise_sweep",
    "placement_sweep", "rate_grid", "rate_size_map", "rate_width_map", "robustness",
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
EACH = [
    pytest.param(
        name,
        marks=[pytest.mark.slow] * (name in SLOW) + [pytest.mark.nightly] * (name in NIGHTLY),
    )
    for name in sorted(PUBLIC)
]


def public_object(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return getattr(importlib.import_module(f"dropout_zoo.{PUBLIC[name]}"), name)


def examples_of(name):
    """The examples of an object and of its public methods; they import what they need."""
    found = doctest.DocTestFinder(exclude_empty=True).find(public_object(name), name, globs={})
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
