"""Colors, markers and hatches that color-blind readers can distinguish (Okabe and Ito 2008)."""

from __future__ import annotations

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, GRAY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F",
)  # fmt: skip
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""In the order in which settings take them."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""In the same order: the marker identifies a setting where its color cannot be seen."""

HATCHES = ("", "//", "..", "xx")
"""The same for areas."""

RATE_AXIS = "dropout rate (fraction dropped)"
"""The label of every axis of rates."""


def setting_style(number: int) -> tuple[str, str]:
    """Choose the color and the marker of a setting.

    Args:
        number: its place among the settings, from 0; the first 49 all look different.

    Returns:
        Color and marker.
    """
    turn = number // len(COLORS)
    return COLORS[number % len(COLORS)], MARKERS[(number + turn) % len(MARKERS)]
