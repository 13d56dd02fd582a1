"""The report of an audit and its findings, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from dropout_zoo.models.argument_validation import finite_or_none
from dropout_zoo.models.wording import count_of

SEVERITIES = ("note", "warning", "error")
"""Severities, from the least to the most severe."""


@dataclass(frozen=True)
class Finding:
    """A mistake, or something worth knowing, in the dropout of a model.

    Attributes:
        code: stable code of the rule, such as ``"DZ101"``.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        title: the rule in a few words.
        message: one line that names the layer.
        why: why it matters.
        source: the source of that statement.
        fix: what to do, as code.
        site: path of the dropout site, or name of the layer; empty if it concerns the whole model.
        rates: if the fix is only to change rates: the new rate (fraction dropped) by site path, as
            `with_rates` takes it.
        numbers: measured values by name; empty if only the graph was read.

    Example:
        >>> from dropout_zoo.models import audit, build_mlp
        >>> (finding,) = audit(build_mlp(hidden_rates=(0.5, 0.0)))
        >>> finding.code, finding.severity, finding.site
        ('DZ203', 'note', 'hidden_2_dropout')
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
        """The finding as a dictionary that JSON can represent."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {"rates": dict(self.rates), "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit, from the most to the least severe.

    A report can be iterated over, has a length, and is true (``if report:``) if it has findings.

    Attributes:
        model_name: name of the audited model.
        findings: the findings.
        limits: what could not be checked, and why, in one sentence each.
        measurements: all measurements of `examine`, by name and site, with or without a finding.

    Example:
        >>> from dropout_zoo.models import audit, build_mlp, with_rates
        >>> model = build_mlp(hidden_rates=(0.5, 0.05))
        >>> report = audit(model)
        >>> report.summary(), report.fixing_rates()
        ('1 note', {'hidden_2_dropout': 0.2})
        >>> bool(audit(with_rates(model, report.fixing_rates())))
        False
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
        """The highest severity among the findings; None without findings."""
        return self.findings[0].severity if self.findings else None

    def at_least(self, severity: str) -> tuple[Finding, ...]:
        """The findings of at least a given severity.

        Args:
            severity: ``"note"``, ``"warning"`` or ``"error"``.

        Returns:
            The findings.

        Raises:
            ValueError: there is no such severity.
        """
        if severity not in SEVERITIES:
            raise ValueError(
                f"expected severity to be one of ({', '.join(SEVERITIES)}), received {severity!r}"
            )
        enough = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in enough)

    def fixing_rates(self) -> dict[str, float]:
        """The rates that fix the findings for which a change of rates is enough.

        Returns:
            New rate (fraction dropped) by site path, as `with_rates` takes them; the lowest if
            findings differ.
        """
        rates: dict[str, float] = {}
        for finding in self.findings:
            for path, rate in finding.rates.items():
                rates[path] = min(rate, rates.get(path, rate))
        return rates

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON.

        Args:
            indent: number of spaces per level; None for a single line.

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
        """A plain table with one line per finding, followed by what could not be checked."""
        lines = [f"{self.model_name}: {self.summary()}"]
        lines += [f"{each.code}  {each.severity:<7}  {each.message}" for each in self.findings]
        lines += [f"limitation: {limit}" for limit in self.limits]
        return "\n".join(lines)

    def summary(self) -> str:
        """The number of findings of each severity, in words."""
        counted = [(severity, len(self._of(severity))) for severity in reversed(SEVERITIES)]
        words = [count_of(count, word) for word, count in counted if count]
        return ", ".join(words) or "no findings"

    def _of(self, severity: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


def _finite(value: Any) -> Any:
    """The same value with None in place of numbers that JSON cannot represent."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return finite_or_none(value)


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sort findings by severity, most severe first, then by code, then in the order found."""
    worst_first = SEVERITIES[::-1]
    return tuple(sorted(findings, key=lambda each: (worst_first.index(each.severity), each.code)))
