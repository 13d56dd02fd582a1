"""The commands `list` and `show`: what models there are, and where the dropout of one sits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropout_zoo.tuning.cli.options import answering_errors
from dropout_zoo.tuning.startup import start_keras

if TYPE_CHECKING:
    from dropout_zoo.models.diagrams.diagram import ModelDiagram
    from dropout_zoo.models.registry import ModelEntry

SUFFIX = ".svg"


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(pattern: str, as_json: bool) -> None:
    """List the registered models whose names match PATTERN (wildcards; default: all)."""
    from dropout_zoo.models.registry import list_models, model_entry

    entries = [model_entry(name) for name in list_models(pattern)]
    if as_json:
        click.echo(json.dumps([_as_data(entry) for entry in entries], indent=2))
    elif entries:
        _print_entries(entries)
    else:
        click.echo(
            f"No registered model matches {pattern!r}; there are {', '.join(list_models())}."
        )


@click.command("show")
@click.argument("model", metavar="MODEL_OR_FILE")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Write the diagram as a picture to a new file, and print nothing.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file of --svg if there is one.")
@click.option("--all-layers", is_flag=True, help="Draw layers that repeat each time.")
def show_command(model: str, svg: Path | None, overwrite: bool, all_layers: bool) -> None:
    """Draw the layers of MODEL_OR_FILE, and its dropout sites with placement and guidance.

    That is a registered name (see `dropout-zoo list`), package.module:function, a function
    without required arguments that returns a Keras model, or a .keras file.

    Exit status: 0 done, 1 the file cannot be written, 2 wrong use.
    """
    with answering_errors():
        if svg is not None:
            _check_file(svg, overwrite)
        elif overwrite:
            raise ValueError("expected --svg with --overwrite: the file to replace")
        start_keras()
        from dropout_zoo.models.diagrams.diagram import diagram
        from dropout_zoo.tuning.cli.audit import find_model

        drawn = diagram(find_model(model)[0], collapse=False if all_layers else None)
        if svg is None:
            _print_diagram(drawn)
        else:
            with open(svg, "w" if overwrite else "x", encoding="utf-8") as file:
                file.write(drawn.svg())
            click.echo(f"Wrote {svg}.", err=True)


def _as_data(entry: ModelEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "family": entry.family,
        "parameters": entry.parameters,
        "sites": dict(entry.sites),
        "source": entry.source,
        "data": entry.data,
        "input_shape": entry.input_shape,
        "num_classes": entry.num_classes,
    }


def _print_entries(entries: Sequence[ModelEntry]) -> None:
    """Print a table of models, each on a few lines, whatever the width of the terminal."""
    from rich import box
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    indent = (0, 0, 0, 2)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    # Sites and source are long: below the name they have the width of the terminal.
    heading = "model\n  dropout sites and default rates\n  source"
    table.add_column(heading, overflow="fold", ratio=1)
    table.add_column("family", max_width=16)
    table.add_column("parameters", justify="right", no_wrap=True)
    for entry in entries:
        source = entry.source.partition(";")[0]  # what comes after it are details; JSON has them
        told = Group(
            Text(entry.name, "bold"),
            Padding(Text(_sites_in_short(entry.sites), "magenta"), indent),
            Padding(Text(source), indent),
        )
        table.add_row(told, entry.family, f"{entry.parameters:,}")
    Console().print(table)


def _sites_in_short(sites: Mapping[str, float]) -> str:
    """Sites and rates, those that differ by their numbers alone taken together."""
    alike: dict[str, list[tuple[str, float]]] = {}
    for path, rate in sites.items():
        alike.setdefault(re.sub(r"\d+", "#", path), []).append((path, rate))
    parts = []
    for group in alike.values():
        first, last = group[0][0], group[-1][0]
        low, high = min(rate for _, rate in group), max(rate for _, rate in group)
        if len(group) > 1 and low == high:
            parts.append(f"{first} to {last} {low:.2f}")
        elif len(group) > 3:
            parts.append(f"{first} to {last} {low:.2f} to {high:.2f}")
        else:
            parts += [f"{path} {rate:.2f}" for path, rate in group]
    return ", ".join(parts) or "none"


def _print_diagram(drawn: ModelDiagram) -> None:
    from rich.console import Console
    from rich.text import Text

    from dropout_zoo.models.diagrams.text import text_lines
    from dropout_zoo.models.guidance import GUIDANCE

    console = Console()
    ascii_only = console.options.ascii_only
    for line in text_lines(drawn.spec, console.width, ascii_only=ascii_only):
        style = "magenta" if line.drops else ""
        console.print(Text(line.text, style), soft_wrap=True)
    placements = [site.placement for layer in drawn.spec.layers for site in layer.sites]
    sources = [f"{name}: {GUIDANCE[name].source}" for name in placements if name in GUIDANCE]
    if sources:
        console.print()
    for source in dict.fromkeys(sources):
        console.print(Text(f"Guidance, {source}"))


def _check_file(path: Path, overwrite: bool) -> None:
    if path.suffix != SUFFIX:
        raise ValueError(f"expected --svg to name a {SUFFIX} file, received {path}")
    if path.exists() and not overwrite:
        raise ValueError(
            f"expected --svg to name a new file, received {path}, which exists; --overwrite "
            "replaces it"
        )
    if not path.absolute().parent.is_dir():
        raise ValueError(f"expected a folder {path.absolute().parent}, received none: make it")
