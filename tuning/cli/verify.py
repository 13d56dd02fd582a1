"""The command `verify`: checks the directory of a run, without starting Keras."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dropout_zoo.tuning.cli.options import FAILED, NamedDirectory, reporting_errors
from dropout_zoo.tuning.cli.terminal import echo


@click.command("verify")
@click.argument("run", type=NamedDirectory())
def verify_command(run: Path) -> None:
    """Check that no file in the directory RUN is missing or damaged.

    RUN is the directory of a run of tune or sweep. The files are compared with the checksums that
    the run wrote, and so are the training runs that an interrupted run has finished.

    Exit status: 0 every file is intact, 1 something is missing or damaged, with a line for each, 2
    RUN is not the directory of a run.
    """
    from dropout_zoo.studies.verification import verify_run

    with reporting_errors():
        faults = verify_run(run)
    for fault in faults:
        echo(fault)
    if faults:
        sys.exit(FAILED)
    echo(f"{run}: nothing is missing or damaged.")
