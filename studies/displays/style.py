"""Colours, marks and lines that a colour-blind reader can tell apart (Okabe and Ito 2008)."""

from __future__ import annotations

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""In the order in which settings take them."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""In the same order: a setting is told by its marker where its colour is not seen."""

RATE_AXIS = "dropout rate (fraction dropped)"
"""The label of every axis of rates."""


def setting_style(number: int) -> tuple[str, str]:
    """The colour and the marker of a setting.

    Args:
        number: its place among the settings, from 0; no two of the first 49 look the same.

    Returns:
        Colour and marker.
    """
    turn = number // len(COLOURS)
    return COLOURS[number % len(COLOURS)], MARKERS[(number + turn) % len(MARKERS)]
