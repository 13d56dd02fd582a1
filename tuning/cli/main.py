"""The command line: the group that holds the commands, without importing TensorFlow."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

import click

from dropout_zoo.tuning.cli.audit import audit_command
from dropout_zoo.tuning.cli.claims import claims_command
from dropout_zoo.tuning.cli.list import list_command
from dropout_zoo.tuning.cli.options import FAILED, INTERRUPTED, exit_with
from dropout_zoo.tuning.cli.show import show_command
from dropout_zoo.tuning.cli.sweep import sweep_command
from dropout_zoo.tuning.cli.terminal import discard_output
from dropout_zoo.tuning.cli.tune import tune_command
from dropout_zoo.tuning.cli.verify import verify_command
from dropout_zoo.tuning.cli.version import print_versions


class _Program(click.Group):
    """A group that reports what its commands cannot print, and shows no terminal escapes."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run a command and, unless `standalone_mode` is False, end the program."""
        if not settings.get("standalone_mode", True):
            return super().main(*args, **settings)
        _open_standard_streams()
        try:
            try:
                status = super().main(*args, **{**settings, "standalone_mode": False})
                sys.exit(status if isinstance(status, int) else 0)
            except click.ClickException as error:  # it repeats words of the command line
                message = io.StringIO()
                error.show(message)
                exit_with(message.getvalue().rstrip("\n"), error.exit_code)
            except click.Abort:  # of an interrupt before a command handles it
                exit_with("Interrupted.", INTERRUPTED)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
        except OSError as error:
            discard_output(sys.stdout)
            if error.errno != errno.EPIPE:
                exit_with(f"Error: cannot write the output: {error.strerror}", FAILED)
            sys.exit(FAILED)


def _open_standard_streams() -> None:
    """Open those that are closed, whose numbers the next files would get."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
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
    claims_command,
    list_command,
    show_command,
    sweep_command,
    tune_command,
    verify_command,
):
    main.add_command(_command)
