"""The command line: the group that holds the commands, without importing TensorFlow."""

from __future__ import annotations

import click

from dropout_zoo.tuning.cli.audit import audit_command
from dropout_zoo.tuning.cli.list import list_command
from dropout_zoo.tuning.cli.show import show_command
from dropout_zoo.tuning.cli.sweep import sweep_command
from dropout_zoo.tuning.cli.tune import tune_command
from dropout_zoo.tuning.cli.verify import verify_command
from dropout_zoo.tuning.cli.version import print_versions


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_versions,
    help="Show the versions of this program and of what it depends on, and exit.",
)
def main() -> None:
    """Place, tune and measure dropout in Keras models.

    `dropout-zoo COMMAND --help` describes a command and its options.
    """


for _command in (
    audit_command,
    list_command,
    show_command,
    sweep_command,
    tune_command,
    verify_command,
):
    main.add_command(_command)
