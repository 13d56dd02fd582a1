"""The audit errors that a search reports before training."""

from __future__ import annotations

import keras

from dropout_zoo.models.auditing.audit import audit


def audit_errors(model: keras.Model) -> list[str]:
    """Return the errors that the audit finds, without its warnings and notes.

    Args:
        model: the model, which is read and not trained.

    Returns:
        A line for each error, with its code and its fix; none for a model that cannot be read.

    Example:
        >>> import keras
        >>> from keras import layers
        >>> drop = layers.Dropout(0.2, noise_shape=(None, 1), name="drop")
        >>> model = keras.Sequential([keras.Input((20,)), layers.Dense(8), drop, layers.Dense(1)])
        >>> print(*audit_errors(model))  # doctest: +ELLIPSIS
        Audit error DZ122: 'drop' sets whole examples to 0: noise_shape=(None, 1). Fix: ...
    """
    try:
        found = audit(model).errors
    except Exception:  # custom layers may raise anything, and the search does not need the audit
        return []
    return [f"Audit error {each.code}: {each.message}. Fix: {each.fix}" for each in found]
