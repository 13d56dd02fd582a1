"""The command `list`: the registered models with their dropout sites."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from dropout_zoo.tuning.cli.terminal import echo

if TYPE_CHECKING:
    from dropout_zoo.models.registry import ModelEntry


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(pattern: str, as_json: bool) -> None:
    """List the registered models.

    PATTERN restricts the list to matching names; it may contain wildcards.
    """
    from dropout_zoo.models.registry import list_models, model_entry

    entries = [model_entry(name) for name in list_models(pattern)]
    if as_json:
        echo(json.dumps([_as_data(entry) for entry in entries], indent=2))
    elif entries:
        _print_entries(entries)
    else:
        echo(f"No registered model matches {pattern!r}; available: {', '.join(list_models())}.")


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
    """Print a table with a few lines per model that fits any width of the terminal."""
    from rich import box
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    indent = (0, 0, 0, 2)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    # Sites and source are long: below the name, they can use the width of the terminal.
    heading = "model\n  dropout sites and default rates\n  source"
    table.add_column(heading, overflow="fold", ratio=1)
    table.add_column("family", max_width=16)
    table.add_column("parameters", justify="right", no_wrap=True)
    for entry in entries:
        source = entry.source.partition(";")[0]  # details follow; JSON has them
        described = Group(
            Text(entry.name, "bold"),
            Padding(Text(_sites_text(entry.sites), "magenta"), indent),
            Padding(Text(source), indent),
        )
        table.add_row(described, entry.family, f"{entry.parameters:,}")
    Console().print(table)


def _sites_text(sites: Mapping[str, float]) -> str:
    """Sites and rates as text; names that differ only in their numbers are one range."""
    groups: dict[str, list[tuple[str, float]]] = {}
    for path, rate in sites.items():
        groups.setdefault(re.sub(r"\d+", "#", path), []).append((path, rate))
    parts = []
    for group in groups.values():
        first, last = group[0][0], group[-1][0]
        low, high = min(rate for _, rate in group), max(rate for _, rate in group)
        if len(group) > 1 and low == high:
            parts.append(f"{first} to {last} {low:.2f}")
        elif len(group) > 3:
            parts.append(f"{first} to {last} {low:.2f} to {high:.2f}")
        else:
            parts += [f"{path} {rate:.2f}" for path, rate in group]
    return ", ".join(parts) or "none"
