"""Variance shift: how dropout changes the variance of activations after each dropout site."""

from __future__ import annotations

import keras
import numpy as np

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, after
from dropout_zoo.models.auditing.predicates import (
    is_addition,
    is_affine,
    is_batch_norm,
    keeps_features,
)
from dropout_zoo.models.graph.model_graph import GraphCall
from dropout_zoo.studies.diagnostics.dropout_switch import DropoutSwitch


def variance_ratios(switch: DropoutSwitch, x: np.ndarray) -> dict[str, tuple[str, float]]:
    """Measure the ratio of the variances with dropout on and off, after each dropout site.

    The variance is that of the inputs of the next batch normalization, directly after the site or
    after one dense layer, convolution or addition (Li et al. 2018, arXiv:1801.05134). Where there
    is none, it is that of the inputs of the next layer with weights.

    Args:
        switch: the switch of the model.
        x: examples.

    Returns:
        The path of the batch normalization (empty if there is none) and the ratio, by path of the
        site. Sites inside other layers and sites at the output are left out.
    """
    context = AuditContext(switch.model)
    receivers = {
        placed.site.path: found
        for placed in context.dropping
        if (found := _receiver(context, placed)) is not None
    }
    layers = [call.operation for call in receivers.values()]
    off = switch.variances(x, layers)
    with switch.on():
        on = switch.variances(x, layers)
    return {
        path: (call.path if is_batch_norm(call) else "", on[key] / off[key])
        for path, call in receivers.items()
        if off.get(key := id(call.operation), 0) > 0
    }


def _passes_shift_on(call: GraphCall) -> bool:
    return is_affine(call) or is_addition(call)


def _receiver(context: AuditContext, placed: PlacedSite) -> GraphCall | None:
    norms = list(after(placed.call, is_batch_norm, keeps_features))
    if not norms:
        steps = after(placed.call, _passes_shift_on, keeps_features)
        norms = [norm for step in steps for norm in after(step, is_batch_norm, keeps_features)]
    following = norms or context.computing_after(placed.call)
    return next((call for call in following if isinstance(call.operation, keras.Layer)), None)
