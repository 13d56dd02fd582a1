"""The command line, as ``python -m dropout_zoo.tuning``."""

from dropout_zoo.tuning.cli import main

main(prog_name="dropout-zoo")
