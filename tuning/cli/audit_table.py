"""The report of an audit as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from dropout_zoo.tuning.cli.terminal import plain

if TYPE_CHECKING:
    from dropout_zoo.models.auditing.report import AuditReport

WIDTH = 80
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_report(report: AuditReport, console: Console | None = None) -> None:
    """Print the findings of a report, why they matter, and the measurements.

    Args:
        report: the report.
        console: the console to print to; None for standard output.
    """
    console = console or Console()
    console.width = min(console.width, WIDTH)
    console.print(plain(f"{report.model_name}: {report.summary()}", "bold"))
    if report:
        console.print(_findings(report))
        for finding in {each.code: each for each in report}.values():
            why = plain(f"{finding.code} ", "bold")
            why.append_text(
                plain(f"{finding.title}. {finding.why} Source: {finding.source}.", "not bold")
            )
            console.print(why)
    if report.measurements:
        console.print(_measurements(report))
    for limit in report.limits:
        console.print(plain(f"Limitation: {limit}."))


def _findings(report: AuditReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("code", "severity", "finding"):
        table.add_column(column, overflow="fold", no_wrap=column != "finding")
    for each in report:
        cell = plain(each.message)
        cell.append_text(plain(f"\nfix: {each.fix}", "green"))
        table.add_row(each.code, plain(each.severity, _STYLES[each.severity]), cell)
    return table


def _measurements(report: AuditReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measured", overflow="fold")
    table.add_column("of", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    for name, values in report.measurements.items():
        for part, value in values.items():
            table.add_row(plain(name), plain(part), f"{value:.3g}")
    return table
