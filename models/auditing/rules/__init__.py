"""All rules of the audit, by code. Importing this package registers them."""

from __future__ import annotations

from dropout_zoo.models.auditing.rules import (  # noqa: F401  # each registers its rules
    activation,
    batch_norm,
    call,
    mask,
    measured,
    placement,
    rate,
    size,
)
from dropout_zoo.models.auditing.rules.base import registered_rules

RULES = registered_rules()
"""Every rule by its code, in the order of the codes."""
