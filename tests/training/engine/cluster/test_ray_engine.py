"""Members on a Ray cluster: the same as here, whatever ends meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from backends import WELL

from dropout_zoo.training import Member, TrainSettings, train_members
from dropout_zoo.training.engine.base import EngineOptions

HERE = Path(__file__).parents[3]
needs_ray = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("ray"), reason="needs Ray"
)
slow = [needs_ray, pytest.mark.slow, pytest.mark.posix]


def run(*arguments, timeout=900):
    environment = os.environ | {"PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines and not done.returncode else done.stdout + done.stderr


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "local:0", "local:", "a/b:1", ""])
def test_addresses_that_are_none_are_refused_at_once(address):
    with pytest.raises(ValueError, match="expected cluster to be 'auto'"):
        EngineOptions(cluster=address)


def test_without_ray_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dropout-zoo\[ray\]'"):
        EngineOptions(cluster="auto")


@needs_ray
def test_callbacks_are_refused_before_a_cluster_is_asked_for(few_digits):
    with pytest.raises(ValueError, match="expected no callbacks on a cluster"):
        train_members(
            "mlp", [Member({}, 0)], few_digits, cluster="auto", callbacks=lambda member: []
        )
    assert TrainSettings().callbacks is None


DISTURBANCES = {"worker": 3, "raylet": 2, "node": 2, "join": 1, "hang": 1, "deadly": 1}


@pytest.mark.parametrize("kind", DISTURBANCES)
@pytest.mark.usefixtures()
class TestDisturbances:
    pytestmark = slow

    def test_results_are_those_of_an_undisturbed_run(self, kind):
        program = str(HERE / "cluster_disturbances.py")
        assert run(program, kind, str(DISTURBANCES[kind]), "0") == WELL

    @pytest.mark.nightly
    def test_many_times(self, kind):
        program = str(HERE / "cluster_disturbances.py")
        assert run(program, kind, "200", "1", timeout=4 * 3600) == WELL
