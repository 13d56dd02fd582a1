"""The command line, as ``python -m dropout_zoo.tuning``."""

from dropout_zoo.tuning.cli.main import main

main(prog_name="dropout-zoo")
