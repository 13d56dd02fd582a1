"""`audit`, which checks the dropout of a Keras model by reading its graph."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

import keras

from dropout_zoo.models.auditing.context import AuditContext
from dropout_zoo.models.auditing.report import AuditReport, Finding, sorted_findings
from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.models.auditing.rules.base import chosen_rules
from dropout_zoo.models.graph.model_graph import check_is_model
from dropout_zoo.models.graph.sites import DropoutSite

__all__ = ["AuditReport", "Finding", "audit"]


def audit(
    model: keras.Model, *, ignore: Iterable[str] = (), select: Iterable[str] | None = None
) -> AuditReport:
    """Check the dropout of a Keras model for mistakes, by reading its graph.

    Nothing is trained and nothing is changed. The rules, each with its source and with bad and good
    code, are listed in `docs/audit_rules.md`; rules that need data are applied by
    `dropout_zoo.studies.examine`.

    Args:
        model: any Keras model, compiled or not. For a subclassed or unbuilt model only the rules
            that need no graph are applied; `AuditReport.limits` says so.
        ignore: codes of rules to skip, such as ``["DZ204"]``.
        select: codes of the rules to apply; None for all.

    Returns:
        The report; it is true if it has findings.

    Raises:
        ValueError: a code is unknown; the message lists the known codes.
        TypeError: `model` is not a Keras model.

    Example:
        >>> import keras
        >>> from dropout_zoo.models import audit
        >>> model = keras.Sequential([
        ...     keras.Input((20,)),
        ...     keras.layers.Dense(64, activation="relu"),
        ...     keras.layers.Dropout(0.8, name="drop"),
        ...     keras.layers.Dense(10, activation="softmax"),
        ... ])
        >>> for finding in audit(model):
        ...     print(finding.code, finding.message)
        DZ202 'drop' drops 80%; did you mean to keep 80%, with a rate of 0.2?
    """
    check_is_model(model)
    rules = [rule for rule in chosen_rules(RULES, ignore, select) if not rule.measured]
    context = AuditContext(model)
    findings = [finding for rule in rules for finding in rule.findings(context)]
    return AuditReport(model.name, sorted_findings(_unique_findings(findings)), _limits(context))


def _unique_findings(findings: list[Finding]) -> list[Finding]:
    """Remove findings that a rule repeats for a layer that is called several times."""
    return list({(each.code, each.site): each for each in reversed(findings)}.values())[::-1]


def _limits(context: AuditContext) -> tuple[str, ...]:
    return (*map(_limit_of_own_noise, context.own_noise), *_limits_of_graph(context))


def _limit_of_own_noise(site: DropoutSite) -> str:
    rate = "" if isnan(site.rate) else f" at a rate of {site.rate:g}"
    fixed = "" if site.is_settable else ", and its rate cannot be set"
    return (
        f"{site.path!r} ({type(site.layer).__name__}) applies dropout or other noise of its own"
        f"{rate}: the rules do not apply to it{fixed}"
    )


def _limits_of_graph(context: AuditContext) -> tuple[str, ...]:
    if not context.has_graph:
        return (
            f"{type(context.model).__name__} is a subclassed model without a graph: only rates and "
            "seeds are checked, not the placement of dropout",
        )
    if not context.model.built:
        return (
            "the model has not been built: shapes and widths are not checked; add a keras.Input, "
            "or call build()",
        )
    opaque = [placed.site.path for placed in context.placed if not placed.direct]
    own = [path for path in opaque if not _is_known(context, path)]
    if own:
        return (
            f"the placement of {', '.join(map(repr, own[:3]))}{' and more' * (len(own) > 3)} is "
            "not checked: they are inside custom layers, which have no graph",
        )
    return ()


def _is_known(context: AuditContext, path: str) -> bool:
    held = next(placed.call.operation for placed in context.placed if placed.site.path == path)
    return type(held).__module__.partition(".")[0] in ("keras", "dropout_zoo")
