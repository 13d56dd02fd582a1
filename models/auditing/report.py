"""What an audit says: its findings, in a report that a program and a person can read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

SEVERITIES = ("note", "warning", "error")
"""From the least to the most severe."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, with the dropout in a model.

    Attributes:
        code: stable code of the rule, such as ``"DZ101"``.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        title: the rule in a few words.
        message: one line that names the layer.
        why: why it matters.
        source: where that is known from.
        fix: what to do, as code.
        site: path of the dropout site, or name of the layer; empty where it is the whole model.
        rates: where the fix is only a rate: the new rate (fraction dropped) by site path, as
            `with_rates` takes it.
        numbers: what was measured, by name; empty where the graph alone was read.
    """

    code: str
    severity: str
    title: str
    message: str
    why: str
    source: str
    fix: str
    site: str = ""
    rates: Mapping[str, float] = field(default_factory=dict, hash=False)
    numbers: Mapping[str, float] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON takes it."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"rates": dict(self.rates), "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit, from the most to the least severe; iterable, with a length.

    A report is true (``if report:``) where it has findings.

    Attributes:
        model_name: name of the audited model.
        findings: what was found.
        limits: what could not be read or measured, and why, a sentence each.
        measurements: what `examine` measured, by name and site, findings or not.
    """

    model_name: str
    findings: tuple[Finding, ...] = ()
    limits: tuple[str, ...] = ()
    measurements: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        return bool(self.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are warnings."""
        return self._of("warning")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The findings that are notes."""
        return self._of("note")

    @property
    def worst(self) -> str | None:
        """The highest severity found; None without findings."""
        return self.findings[0].severity if self.findings else None

    def at_least(self, severity: str) -> tuple[Finding, ...]:
        """The findings that are as severe as that, or more.

        Args:
            severity: ``"note"``, ``"warning"`` or ``"error"``.

        Returns:
            The findings.

        Raises:
            ValueError: there is no such severity.
        """
        if severity not in SEVERITIES:
            raise ValueError(
                f"expected severity to be one of {', '.join(SEVERITIES)}; received {severity!r}"
            )
        enough = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in enough)

    def fixing_rates(self) -> dict[str, float]:
        """The rates that mend what is only a rate, as `with_rates` takes them.

        Returns:
            New rate (fraction dropped) by site path. Where findings differ, the lowest.
        """
        rates: dict[str, float] = {}
        for finding in self.findings:
            for path, rate in finding.rates.items():
                rates[path] = min(rate, rates.get(path, rate))
        return rates

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON.

        Args:
            indent: number of spaces a level; None for one line.

        Returns:
            An object with ``model``, ``worst``, ``findings``, ``limits`` and ``measurements``.
        """
        shown: dict[str, Any] = {
            "model": self.model_name,
            "worst": self.worst,
            "findings": [finding.as_dict() for finding in self.findings],
            "limits": list(self.limits),
            "measurements": {name: dict(values) for name, values in self.measurements.items()},
        }
        return json.dumps(_finite(shown), indent=indent, allow_nan=False)

    def __str__(self) -> str:
        """A plain table, a line or more a finding, and what could not be read."""
        lines = [f"{self.model_name}: {self.summary()}"]
        lines += [f"{each.code}  {each.severity:<7}  {each.message}" for each in self.findings]
        lines += [f"not checked: {limit}" for limit in self.limits]
        return "\n".join(lines)

    def summary(self) -> str:
        """How many findings there are of each severity, in words."""
        counted = [(severity, len(self._of(severity))) for severity in reversed(SEVERITIES)]
        words = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counted if count]
        return ", ".join(words) or "no findings"

    def _of(self, severity: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


def _finite(value: Any) -> Any:
    """The same with None in place of numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Order findings from the most to the least severe; else by code, then as they were found."""
    worst_first = SEVERITIES[::-1]
    return tuple(sorted(findings, key=lambda each: (worst_first.index(each.severity), each.code)))
