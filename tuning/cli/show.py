"""The command `show`: a diagram of a model with its dropout sites, or its trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropout_zoo.training.startup import start_keras
from dropout_zoo.tuning.cli.options import check_output_file, reporting_errors
from dropout_zoo.tuning.cli.terminal import echo, plain

if TYPE_CHECKING:
    from dropout_zoo.models.diagrams.diagram import ModelDiagram

SUFFIX = ".svg"


@click.command("show")
@click.argument("model", metavar="MODEL_OR_FILE")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Write the diagram to a new SVG file instead of printing it.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file named by --svg if it exists.")
@click.option("--all-layers", is_flag=True, help="Draw repeated layers every time instead of once.")
@click.option(
    "--weights",
    is_flag=True,
    help="Print how the trained weights of a registered model were made and what they are worth, "
    "instead of drawing it.",
)
def show_command(
    model: str, svg: Path | None, overwrite: bool, all_layers: bool, weights: bool
) -> None:
    """Draw the layers and dropout sites of a model.

    MODEL_OR_FILE is a registered model (see `dropout-zoo list`); package.module:function, a
    function without required arguments that returns a Keras model; or a .keras file.

    Exit status: 0 success, 1 the file cannot be written, 2 invalid usage.
    """
    with reporting_errors():
        if svg is not None:
            check_output_file(svg, "--svg", SUFFIX, overwrite)
        elif overwrite:
            raise ValueError("expected --svg with --overwrite, received --overwrite alone")
        if weights:
            if svg is not None or all_layers:
                raise ValueError("expected --weights alone, received other options with it")
            _print_cards(model)
            return
        start_keras()
        from dropout_zoo.models.diagrams.diagram import diagram
        from dropout_zoo.training.durable_files import naming_errors
        from dropout_zoo.tuning.cli.model_argument import ModelArgument

        drawn = diagram(ModelArgument(model).find()[0], collapse=False if all_layers else None)
        if svg is None:
            _print_diagram(drawn)
        else:
            mode = "w" if overwrite else "x"
            with naming_errors(svg), open(svg, mode, encoding="utf-8") as file:
                file.write(drawn.svg())
            echo(f"Wrote {svg}.", err=True)


def _print_cards(model: str) -> None:
    from dropout_zoo.models.registry import model_entry
    from dropout_zoo.models.trained_weights import weights_card, weights_of

    model_entry(model)  # refuses unknown names, and suggests similar ones
    names = weights_of(model)
    if not names:
        raise ValueError(f"expected a model with trained weights, received {model!r}")
    for name in names:
        echo(str(weights_card(model, name)))


def _print_diagram(drawn: ModelDiagram) -> None:
    from rich.console import Console

    from dropout_zoo.models.diagrams.text import text_lines
    from dropout_zoo.models.guidance import GUIDANCE

    console = Console()
    ascii_only = console.options.ascii_only
    for line in text_lines(drawn.spec, console.width, ascii_only=ascii_only):
        style = "magenta" if line.drops else ""
        console.print(plain(line.text, style), soft_wrap=True)
    placements = [site.placement for layer in drawn.spec.layers for site in layer.sites]
    sources = [f"{name}: {GUIDANCE[name].source}" for name in placements if name in GUIDANCE]
    if sources:
        console.print()
    for source in dict.fromkeys(sources):
        console.print(plain(f"Guidance, {source}"))
