"""The command `audit`: reports problems with the dropout of a model."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropout_zoo.models.auditing.report import SEVERITIES, AuditReport
from dropout_zoo.studies.diagnostics.defaults import EPOCHS, NUM_SEEDS
from dropout_zoo.training.defaults import BATCH_SIZE
from dropout_zoo.training.startup import start_keras
from dropout_zoo.tuning.cli.model_argument import SUFFIX, ModelArgument
from dropout_zoo.tuning.cli.options import (
    check_output_file,
    data_options,
    load_data,
    reporting_errors,
)
from dropout_zoo.tuning.cli.terminal import echo

if TYPE_CHECKING:
    import keras

    from dropout_zoo.models.auditing.formatters import SourceLocation

CLEAN, FOUND = 0, 1
SEVERITY = "warning"
SETTINGS = ("ignore", "select", "severity")


@dataclass(frozen=True)
class AuditSettings:
    """Which rules are applied, and which findings make the exit status 1.

    Attributes:
        ignore: codes of rules to leave out.
        select: codes of the rules to apply; None for all.
        severity: the lowest severity that makes the exit status 1.
    """

    ignore: tuple[str, ...] = ()
    select: tuple[str, ...] | None = None
    severity: str = SEVERITY


@click.command("audit")
@click.argument("model", metavar="MODEL_OR_FILE")
@data_options(default=None)
@click.option(
    "--epochs", type=int, default=EPOCHS, show_default=True, help="Epochs of each training run."
)
@click.option("--batch-size", type=int, default=BATCH_SIZE, show_default=True, help="Batch size.")
@click.option(
    "--num-seeds",
    type=int,
    default=NUM_SEEDS,
    show_default=True,
    help="Number of seeds to train on.",
)
@click.option("--ignore", multiple=True, metavar="CODE,...", help="Do not apply these rules.")
@click.option("--select", multiple=True, metavar="CODE,...", help="Apply only these rules.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    help=f"Lowest severity that makes the exit status 1.  [default: {SEVERITY}]",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "sarif", "github"]),
    help="Format of the findings.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@click.option(
    "--fix",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.keras",
    help="Write a copy of the model in which all findings that can be fixed by changing rates are "
    "fixed.",
)
def audit_command(
    model: str,
    data: str | None,
    target: str | None,
    drop: tuple[str, ...],
    text: tuple[str, ...],
    image_size: list[int] | None,
    task: str | None,
    split: list[float] | None,
    epochs: int,
    batch_size: int,
    num_seeds: int,
    ignore: tuple[str, ...],
    select: tuple[str, ...],
    severity: str | None,
    output: str | None,
    as_json: bool,
    fix: Path | None,
) -> None:
    """Report problems with the dropout of a model.

    MODEL_OR_FILE is a registered model (see `dropout-zoo list`); package.module:function, a
    function without required arguments that returns a Keras model; or a .keras file. The audit
    reads its graph; with --data, it also trains the model briefly and measures it.

    The pyproject.toml in the working directory may set ignore, select and severity under
    [tool.dropout-zoo].

    Exit status: 0 no findings at or above --severity, 1 such findings, 2 invalid usage.
    """
    with reporting_errors():
        if as_json and output not in (None, "json"):
            raise ValueError(f"expected --json or --format {output}, received both")
        settings = _settings(Path.cwd() / "pyproject.toml", ignore, select, severity)
        if fix is not None:
            check_output_file(fix, "--fix", SUFFIX)
        given_model, dataset = ModelArgument(model), None
        if data is not None:
            dataset = load_data(
                data, target=target, drop=drop, text=text, image_size=image_size, task=task,
                split=split, seed=0, model=given_model,
            )  # fmt: skip
        start_keras()
        from dropout_zoo.models.auditing.audit import audit
        from dropout_zoo.models.auditing.rules import RULES

        audited, place = given_model.find(dataset)
        chosen: dict[str, Any] = {"ignore": settings.ignore, "select": settings.select}
        if dataset is None:
            report = audit(audited, **chosen)
        else:
            from dropout_zoo.studies.diagnostics.measured_audit import examine

            report = examine(
                audited,
                dataset,
                epochs=epochs,
                batch_size=batch_size,
                num_seeds=num_seeds,
                **chosen,
            )
        _print_report(report, place, "json" if as_json else output or "table")
        remaining = report.at_least(settings.severity)
        fixed = None if fix is None else _write_fixed(audited, report, fix)
        if fixed is not None:
            unfixed = audit(fixed, **chosen).at_least(settings.severity)
            remaining = (
                *unfixed,
                *(each for each in remaining if RULES[each.code].measured),
            )
    sys.exit(FOUND if remaining else CLEAN)


def _settings(
    project: Path, ignore: Sequence[str], select: Sequence[str], severity: str | None
) -> AuditSettings:
    """Settings of the command line, completed by those of the project."""
    table: dict[str, Any] = {}
    if project.is_file():
        try:
            table = tomllib.loads(project.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{project.name}: expected TOML, received a file that cannot be parsed: {error}"
            ) from None
    where = f"{project.name}, [tool.dropout-zoo]"
    for name in ("tool", "dropout-zoo"):
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"{where}: expected a table, received {name} = {table!r}")
    unknown = [name for name in table if name not in SETTINGS]
    if unknown:
        raise ValueError(
            f"{where}: expected settings ({', '.join(SETTINGS)}), received "
            f"{', '.join(map(repr, unknown))}"
        )
    for name in ("ignore", "select"):
        codes = table.get(name, [])
        if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
            raise ValueError(
                f"{where}: expected {name} to be a list of codes (such as ['DZ204']), received "
                f"{codes!r}"
            )
    if table.get("severity", "note") not in SEVERITIES:
        raise ValueError(
            f"{where}: expected severity to be one of ({', '.join(SEVERITIES)}), received "
            f"{table['severity']!r}"
        )
    chosen = _codes(select) or table.get("select")
    return AuditSettings(
        (*table.get("ignore", []), *_codes(ignore)),
        None if chosen is None else tuple(chosen),
        severity or table.get("severity", SEVERITY),
    )


def _codes(given: Sequence[str]) -> list[str]:
    return [code.strip() for text in given for code in text.split(",")]


def _write_fixed(model: keras.Model, report: AuditReport, path: Path) -> keras.Model | None:
    """Save the model with the rates that fix findings and return it; None if there are none."""
    from dropout_zoo.models.graph.changed_rates import with_rates

    rates = report.fixing_rates()
    if not rates:
        echo("No finding can be fixed by a rate alone; nothing was written.", err=True)
        return None
    fixed = with_rates(model, rates)
    try:
        fixed.save(path)
    except OSError as error:
        raise ValueError(
            f"expected --fix to name a writable file, received {path}: {error}"
        ) from None
    changed = ", ".join(f"{site} = {rate:g}" for site, rate in rates.items())
    echo(f"Wrote {path} with {changed}.", err=True)
    return fixed


def _print_report(report: AuditReport, place: SourceLocation, output: str) -> None:
    if output == "table":
        from dropout_zoo.tuning.cli.audit_table import print_report

        print_report(report)
        return
    from dropout_zoo.models.auditing.formatters import to_github, to_sarif

    if output == "json":
        echo(report.to_json())
    elif output == "sarif":
        echo(to_sarif(report, place))
    elif report:
        echo(to_github(report, place))
