"""The audit: what is wrong with the dropout in a Keras model, found by reading it."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from dropout_zoo.models.auditing.context import AuditView
from dropout_zoo.models.auditing.report import AuditReport, Finding, sorted_findings
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.models.auditing.rules.base import chosen_rules

__all__ = ["AuditReport", "Finding", "audit"]


def audit(
    model: keras.Model, *, ignore: Iterable[str] = (), select: Iterable[str] | None = None
) -> AuditReport:
    """Find what is wrong with the dropout in a Keras model, by reading its graph.

    Nothing is trained and nothing changed. The rules, each with its source and with bad and good
    code, are in `docs/audit_rules.md`; those that need data are applied by
    `dropout_zoo.studies.examine`.

    Args:
        model: any Keras model, compiled or not. Of a subclassed or unbuilt one only that is read
            which does not need a graph; the report says so.
        ignore: codes of rules to leave out, such as ``["DZ204"]``.
        select: codes of the rules to apply; None for all.

    Returns:
        The report; true where it has findings.

    Raises:
        ValueError: a code is unknown; the message lists the known ones.
        TypeError: the model is no Keras model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"expected a Keras model, received {type(model).__name__}; load a file with "
            "keras.saving.load_model, or call the function that builds the model"
        )
    rules = [rule for rule in chosen_rules(RULES, ignore, select) if not rule.measured]
    view = AuditView(model)
    findings = [finding for rule in rules for finding in rule.findings(view)]
    return AuditReport(model.name, sorted_findings(_once_a_site(findings)), _limits(view))


def _once_a_site(findings: list[Finding]) -> list[Finding]:
    """Leave out what a rule says again of a layer that is called several times."""
    return list({(each.code, each.site): each for each in reversed(findings)}.values())[::-1]


def _limits(view: AuditView) -> tuple[str, ...]:
    if not view.has_graph:
        return (
            f"{type(view.model).__name__} is a subclassed model without a graph: only rates and "
            "seeds are checked, not where dropout stands",
        )
    if not view.model.built:
        return (
            "the model has not been built: shapes and widths are not checked; give it an "
            "keras.Input, or call build()",
        )
    opaque = [placed.site.path for placed in view.placed if not placed.direct]
    own = [path for path in opaque if not _is_known(view, path)]
    if own:
        return (
            f"where {', '.join(map(repr, own[:3]))}{' and more' * (len(own) > 3)} stand is not "
            "checked: they are inside layers of your own, which have no graph",
        )
    return ()


def _is_known(view: AuditView, path: str) -> bool:
    held = next(placed.call.operation for placed in view.placed if placed.site.path == path)
    return type(held).__module__.partition(".")[0] in ("keras", "dropout_zoo")
