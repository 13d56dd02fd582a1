"""Optimizers whose update is one fused kernel a variable."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def with_fused_update(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> keras.optimizers.Optimizer:
    return optimizer
