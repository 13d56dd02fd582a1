"""What a rule of the audit is, and how one is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dropout_zoo.models.auditing.report import SEVERITIES, Finding


class Fault(NamedTuple):
    """What a rule has found in a model; with the rule's own words it becomes a finding.

    Attributes:
        site: path of the dropout site, or name of the layer; empty where it is the whole model.
        message: one line that names the layer.
        fix: what to do, as code.
        rates: where the fix is only a rate: the new rate by site path.
        numbers: what was measured.
    """

    site: str
    message: str
    fix: str
    rates: Mapping[str, float] = {}
    numbers: Mapping[str, float] = {}


_MANY = 3  # more names than this are counted instead


def named(paths: Sequence[str]) -> str:
    """Paths for a message: the first few, and how many more there are."""
    shown = ", ".join(map(repr, paths[:_MANY]))
    return shown if len(paths) <= _MANY else f"{shown} and {len(paths) - _MANY} more"


@dataclass(frozen=True)
class Rule:
    """A rule of the audit.

    Attributes:
        code: stable code: ``DZ1..`` placements and calls, ``DZ2..`` rates, ``DZ3..`` measured.
        severity: ``"error"``, ``"warning"`` or ``"note"``.
        title: the rule in a few words.
        why: why it matters.
        source: where that is known from.
        bad: a program that makes a ``model`` of which the rule has something to say.
        good: one of which it has nothing to say.
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
        """Whether the rule needs measurements, which `examine` takes."""
        return self.code.startswith("DZ3")

    def findings(self, subject: Any) -> list[Finding]:
        """Apply the rule to what it reads: an `AuditView`, or a measured rule's `Measurements`."""
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
        ValueError: the code is taken, or the severity unknown.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"expected severity to be one of {SEVERITIES}; received {severity!r}")
    if code in _rules:
        raise ValueError(f"expected a code that is free; received {code}, which is taken")

    def register(check: Check) -> Check:
        _rules[code] = Rule(
            code, severity, title, why, source, bad.strip("\n"), good.strip("\n"), check
        )
        return check

    return register


def registered_rules() -> dict[str, Rule]:
    """The rules registered so far, by code, in the order of their codes."""
    return dict(sorted(_rules.items()))


def chosen_rules(
    rules: Mapping[str, Rule], ignore: Iterable[str], select: Iterable[str] | None
) -> list[Rule]:
    """Choose rules by their codes.

    Args:
        rules: all rules, by code.
        ignore: codes of rules to leave out.
        select: codes of the rules to apply; None for all.

    Returns:
        The rules that are selected and not ignored.

    Raises:
        ValueError: a code is unknown; the message lists the known ones.
    """
    chosen = {"ignore": _codes(ignore, "ignore"), "select": _codes(select or (), "select")}
    for name, codes in chosen.items():
        unknown = [code for code in codes if code not in rules]
        if unknown:
            raise ValueError(
                f"expected {name} to hold codes of rules, received "
                f"{', '.join(map(repr, unknown))}; there are {', '.join(rules)}"
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
