"""Colours and marks that a colour-blind reader can tell apart (Okabe and Ito 2008)."""

from __future__ import annotations

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F",
)  # fmt: skip
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""In the order in which settings take them."""

RATE_AXIS = "dropout rate (fraction dropped)"
"""The label of every axis of rates."""
