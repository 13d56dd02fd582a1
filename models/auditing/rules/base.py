"""The rules of the audit: their class, and how they are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dropout_zoo.models.auditing.report import SEVERITIES, Finding
from dropout_zoo.models.wording import first_few


class Fault(NamedTuple):
    """What a rule has found in a model; together with the texts of the rule it becomes a finding.

    Attributes:
        site: path of the dropout site, or name of the layer; empty if it concerns the whole model.
        message: one line that names the layer.
        fix: what to do, as code.
        rates: if the fix is only to change rates: the new rate by site path.
        numbers: measured values by name.
    """

    site: str
    message: str
    fix: str
    rates: Mapping[str, float] = {}
    numbers: Mapping[str, float] = {}


_MANY = 3  # of more paths than this, only the first are listed


def list_paths(paths: Sequence[str]) -> str:
    """Paths for a message: the first few, and how many more there are."""
    return first_few([repr(path) for path in paths], _MANY)


@dataclass(frozen=True)
class Rule:
    """A rule of the audit.

    Attributes:
        code: stable code: ``DZ1..`` for placements and calls, ``DZ2..`` for rates, ``DZ3..`` for
            measured rules.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        title: the rule in a few words.
        why: why it matters.
        source: the source of that statement.
        bad: a program that defines a ``model`` that the rule reports.
        good: a program whose ``model`` it does not report.
        check: finds the faults.
    """

    code: str
    severity: str
    title: str
    why: str
    source: str
    bad: str
    good: str
    check: Callable[[Any], Iterator[Fault]] = field(repr=False)

    @property
    def measured(self) -> bool:
        """Whether the rule needs the measurements of `examine`."""
        return self.code.startswith("DZ3")

    def findings(self, subject: Any) -> list[Finding]:
        """Apply the rule to an `AuditContext`, or a measured rule to its `Measurements`."""
        return [
            Finding(
                self.code,
                self.severity,
                self.title,
                fault.message,
                self.why,
                self.source,
                fault.fix,
                fault.site,
                dict(fault.rates),
                dict(fault.numbers),
            )
            for fault in self.check(subject)
        ]


_rules: dict[str, Rule] = {}

Check = Callable[[Any], Iterator[Fault]]


def rule(
    code: str, severity: str, title: str, *, why: str, source: str, bad: str, good: str
) -> Callable[[Check], Check]:
    """Register a function as a rule; the arguments are those of `Rule`.

    Raises:
        ValueError: the code is taken, or the severity is unknown.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"expected severity to be one of {SEVERITIES}, received {severity!r}")
    if code in _rules:
        raise ValueError(f"expected an unused code, received {code}, which is taken")

    def register(check: Check) -> Check:
        _rules[code] = Rule(
            code, severity, title, why, source, bad.strip("\n"), good.strip("\n"), check
        )
        return check

    return register


def registered_rules() -> dict[str, Rule]:
    """The rules registered so far, sorted by code."""
    return dict(sorted(_rules.items()))


def chosen_rules(
    rules: Mapping[str, Rule], ignore: Iterable[str], select: Iterable[str] | None
) -> list[Rule]:
    """Select rules by their codes.

    Args:
        rules: all rules, by code.
        ignore: codes of rules to skip.
        select: codes of the rules to apply; None for all.

    Returns:
        The rules that are selected and not ignored.

    Raises:
        ValueError: a code is unknown; the message lists the known codes.
    """
    chosen = {"ignore": _codes(ignore, "ignore"), "select": _codes(select or (), "select")}
    for name, codes in chosen.items():
        unknown = [code for code in codes if code not in rules]
        if unknown:
            raise ValueError(
                f"expected {name} to contain codes of rules, received "
                f"{', '.join(map(repr, unknown))}; the rules are {', '.join(rules)}"
            )
    return [
        each
        for code, each in rules.items()
        if code not in chosen["ignore"] and (select is None or code in chosen["select"])
    ]


def _codes(codes: Iterable[str], name: str) -> list[str]:
    if isinstance(codes, str):
        raise ValueError(
            f"expected {name} to be a sequence of codes such as ['DZ101'], received the string "
            f"{codes!r}"
        )
    return list(codes)
