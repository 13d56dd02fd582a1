"""Names of the settings without dropout, by the dropout that they leave on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import keras

from dropout_zoo.models.graph.sites import dropout_sites

NO_DROPOUT = "no dropout"
"""Name of the control in every study of one model on one dataset, if the model then has none."""

NO_SETTABLE_DROPOUT = "no dropout at the sites that can be set"
"""The control of a model with noise or learned rates that cannot be set."""

NO_VARIED_DROPOUT = "no dropout at the varied sites"
"""The control where the other sites keep their rates."""


def name_of_control(model: keras.Model, rates: Mapping[str, float]) -> str:
    """Name a setting with no dropout at the sites that a study varies.

    Args:
        model: the model.
        rates: its rates by path of the sites that can be set.

    Returns:
        The name.
    """
    if any(rates.values()):
        return NO_VARIED_DROPOUT
    fixed = any(not site.is_settable for site in dropout_sites(model))
    return NO_SETTABLE_DROPOUT if fixed else NO_DROPOUT


def without_dropout(control: str) -> str:
    """Return the name of a control as what a model is trained without."""
    return control.replace("no dropout", "without dropout")


def one_or_more(controls: Iterable[str]) -> str:
    """Name the control, or say that each setting has its own."""
    different = list(dict.fromkeys(controls))
    if len(different) == 1:
        return different[0]
    fixed = (NO_SETTABLE_DROPOUT, NO_VARIED_DROPOUT)
    name = next((each for each in fixed if all(each in of for of in different)), NO_DROPOUT)
    return f"the same model {without_dropout(name)}"
