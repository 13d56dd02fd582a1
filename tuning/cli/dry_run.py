"""What a dry run says about a study: its plan and how long it would take."""

from __future__ import annotations

from typing import Any

from dropout_zoo.studies.plan import StudyPlan
from dropout_zoo.tuning.cli.options import ESTIMATING, print_table
from dropout_zoo.tuning.cli.terminal import echo
from dropout_zoo.tuning.records.progress import duration


def describe_plan(plan: StudyPlan[Any]) -> dict[str, Any]:
    """Describe a study, and estimate how long it takes by training for a few epochs.

    Args:
        plan: the study.

    Returns:
        Plain data, with ``num_runs`` and ``estimated_seconds``.
    """
    echo(ESTIMATING, err=True)
    seconds = plan.estimate_seconds()
    return plan.describe() | {"num_runs": plan.num_runs, "estimated_seconds": round(seconds, 1)}


def print_plan(plan: StudyPlan[Any], estimated_seconds: float) -> None:
    """Print the settings of a study, its number of training runs and how long they take.

    Args:
        plan: the study.
        estimated_seconds: how long it takes.
    """
    print_table(
        ["setting", *plan.factors],
        [
            [each.name, *(str(each.factors.get(name, "")) for name in plan.factors)]
            for each in {setting.name: setting for setting in plan.settings}.values()
        ],
    )
    echo(f"{plan.num_runs} training runs, about {duration(estimated_seconds)}.")
