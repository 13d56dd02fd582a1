"""The placements of dropout. The command line shows them, so nothing large is imported here."""

from typing import Literal, get_args

Placement = Literal["input", "hidden", "convolutional", "recurrent", "output"]
"""Where in a network dropout is applied; `dropout_sites` says how it is read from the graph."""

PLACEMENTS: tuple[str, ...] = get_args(Placement)
