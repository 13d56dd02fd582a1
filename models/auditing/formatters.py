"""Audit reports for other programs: SARIF, and annotations for GitHub."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any, NamedTuple

from dropout_zoo.models.auditing.report import AuditReport, Finding
from dropout_zoo.models.auditing.rules import RULES

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# The names of the severities in SARIF and on GitHub.
_SARIF_LEVELS = {"error": "error", "warning": "warning", "note": "note"}
_GITHUB_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


class SourceLocation(NamedTuple):
    """The file and line that define a model.

    Attributes:
        file: path of the file, relative to the working directory; None for a registered model.
        line: line of the function that builds the model, from 1; None for a saved model.
    """

    file: str | None = None
    line: int | None = None


def to_sarif(report: AuditReport, place: SourceLocation) -> str:
    """Write a report in the Static Analysis Results Interchange Format, version 2.1.0.

    Args:
        report: the report.
        place: where the model is defined.

    Returns:
        The JSON of a log with one run: all rules, and one result per finding.
    """
    codes = list(RULES)
    rules = [
        {
            "id": rule.code,
            "name": _camel_case(rule.title),
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.why},
            "help": {"text": f"{rule.why} Source: {rule.source}."},
            "defaultConfiguration": {"level": _SARIF_LEVELS[rule.severity]},
        }
        for rule in RULES.values()
    ]
    results = [
        {
            "ruleId": finding.code,
            "ruleIndex": codes.index(finding.code),
            "level": _SARIF_LEVELS[finding.severity],
            "message": {"text": f"{finding.message}\nFix: {finding.fix}"},
            "locations": [_sarif_location(report, finding, place)],
        }
        for finding in report
    ]
    driver = {"name": "dropout-zoo", "version": version("dropout-zoo"), "rules": rules}
    notes = [{"level": "note", "message": {"text": limit}} for limit in report.limits]
    run = {
        "tool": {"driver": driver},
        "results": results,
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_location(report: AuditReport, finding: Finding, place: SourceLocation) -> dict[str, Any]:
    name = "/".join(part for part in (report.model_name, finding.site) if part)
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "element"}]
    }
    if place.file is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": place.file}}
        if place.line is not None:
            physical["region"] = {"startLine": place.line}
        location["physicalLocation"] = physical
    return location


def to_github(report: AuditReport, place: SourceLocation) -> str:
    """Write a report as workflow commands, which GitHub Actions shows as annotations.

    Args:
        report: the report.
        place: where the model is defined.

    Returns:
        One line per finding.
    """
    lines = []
    for finding in report:
        properties = {"file": place.file, "line": place.line}
        properties["title"] = f"{finding.code} {finding.title}"
        given = ",".join(
            f"{name}={_escaped(str(value), in_property=True)}"
            for name, value in properties.items()
            if value is not None
        )
        text = _escaped(f"{report.model_name}: {finding.message}\nFix: {finding.fix}")
        lines.append(f"::{_GITHUB_LEVELS[finding.severity]} {given}::{text}")
    return "\n".join(lines)


def _escaped(text: str, in_property: bool = False) -> str:
    """Escape the characters that have a meaning in workflow commands."""
    marks = {"%": "%25", "\r": "%0D", "\n": "%0A"}
    if in_property:
        marks |= {":": "%3A", ",": "%2C"}
    for mark, code in marks.items():
        text = text.replace(mark, code)
    return text


def _camel_case(title: str) -> str:
    words = "".join(each if each.isalnum() else " " for each in title).split()
    return "".join(word[0].upper() + word[1:] for word in words)
