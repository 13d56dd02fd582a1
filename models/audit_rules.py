"""All rules of the audit, by code. Importing this registers them."""

from __future__ import annotations

from dropout_zoo.models import (  # noqa: F401  # each registers its rules
    audit_activation_rules,
    audit_batch_norm_rules,
    audit_call_rules,
    audit_mask_rules,
    audit_measured_rules,
    audit_placement_rules,
    audit_rate_rules,
    audit_size_rules,
)
from dropout_zoo.models.audit_rule import registered_rules

RULES = registered_rules()
"""Every rule by its code, in the order of the codes."""
