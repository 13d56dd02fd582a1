"""The command `claims`: common claims about dropout, their stored verdicts, running them again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropout_zoo.training.startup import start_keras
from dropout_zoo.tuning.cli.options import (
    NOTHING_WRITTEN,
    check_run_options,
    how_to_continue,
    reporting_errors,
    run_options,
)
from dropout_zoo.tuning.cli.terminal import echo

if TYPE_CHECKING:
    from dropout_zoo.studies.claims.claim import Claim


@click.command("claims")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option(
    "--num-seeds",
    type=int,
    help="Number of seeds of each setting, at least 2.  [default: that of the experiment]",
)
@run_options("claims")
def claims_command(
    names: tuple[str, ...],
    num_seeds: int | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    cluster: str | None,
    dry_run: bool,
) -> None:
    """List claims about dropout with their verdicts, or test them again.

    Without NAME, list all claims with the verdicts that come with the package. With names, run the
    experiments behind these claims, evaluate the claims, and plot the effects. Claims that need the
    same training runs share them. The data are MNIST, which is downloaded unless the environment
    variable DROPOUT_ZOO_MNIST names an mnist.npz.

    Exit status: 0 success, whatever the verdicts; 1 every training run failed, 2 invalid usage or
    data, 130 interrupted.
    """
    with reporting_errors():
        check_run_options(out, resume, overwrite, cluster)
        from dropout_zoo.studies.claims.ledger import get_claim, list_claims

        if not names:
            _print_claims(list_claims(), as_json)
            return
        claims = [get_claim(name) for name in dict.fromkeys(names)]
        for claim in claims:
            claim.check_num_seeds(num_seeds)
        start_keras()
        if dry_run:
            _print_dry_run(claims, num_seeds, as_json)
            return
        directory = out or Path("runs") / f"claims-{datetime.now():%Y%m%d-%H%M%S}"
        try:
            outcomes = _run(claims, num_seeds, directory, resume, overwrite, cluster)
        except KeyboardInterrupt:
            echo(how_to_continue(directory), err=True)
            raise
    if as_json:
        echo(json.dumps(outcomes, indent=2, allow_nan=False))
        return
    for outcome in outcomes:
        echo(outcome["text"] + "\n")
    echo(f"All results are in {directory}")


def _print_claims(claims: Sequence[Claim], as_json: bool) -> None:
    from dropout_zoo.studies.claims.record import ExperimentRecord

    rows = []
    for claim in claims:
        record = ExperimentRecord.stored(claim.experiment.name)
        outcome = claim.stored_outcome()
        rows.append(
            {
                "name": claim.name,
                "topic": claim.topic,
                "statement": claim.statement,
                "source": claim.source,
                "experiment": claim.experiment.name,
                "verdict": outcome.verdict,
                "effects": [str(effect) for effect in outcome.effects],
                "cpu_minutes": None if record is None else record.cpu_minutes,
            }
        )
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    for topic, members in itertools.groupby(rows, key=lambda row: str(row["topic"])):
        echo(topic)
        for row in members:
            minutes = row["cpu_minutes"]
            cost = "" if minutes is None else f", {minutes:.1f} CPU-minutes"
            echo(f"  {row['name']} ({row['verdict']}{cost})")
            echo(f"    {row['statement']}")
    echo("Claims of one experiment share its training runs; docs/claims.md has details.")


def _print_dry_run(claims: Sequence[Claim], num_seeds: int | None, as_json: bool) -> None:
    from dropout_zoo.tuning.cli.dry_run import describe_plan, print_plan

    rows: list[dict[str, Any]] = []
    for name, members in _by_experiment(claims).items():
        plan = members[0].plan(num_seeds)
        about = {
            "experiment": name,
            "description": members[0].experiment.description,
            "claims": [claim.name for claim in members],
        }
        rows.append(about | describe_plan(plan))
        if not as_json:
            echo(f"{name}: {about['description']}")
            print_plan(plan, rows[-1]["estimated_seconds"])
    echo(json.dumps(rows, indent=2) if as_json else NOTHING_WRITTEN)


def _run(
    claims: Sequence[Claim],
    num_seeds: int | None,
    path: Path,
    resume: bool,
    overwrite: bool,
    cluster: str | None,
) -> list[dict[str, Any]]:
    """Run the experiments of the claims, each in a directory of its own in the one given."""
    from dropout_zoo.tuning.cli.claims_output import run_claims

    found: dict[str, dict[str, Any]] = {}
    for name, members in _by_experiment(claims).items():
        outcomes = run_claims(members, num_seeds, path / name, resume, overwrite, cluster)
        found |= {each["claim"]: each for each in outcomes}
    return [found[claim.name] for claim in claims]


def _by_experiment(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(claim.experiment.name, []).append(claim)
    return groups
