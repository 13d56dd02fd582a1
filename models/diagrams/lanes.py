"""The lanes beside the layers of a diagram, which lead outputs to the layers that use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dropout_zoo.models.diagrams.spec import LayerSpec


class LanePosition(NamedTuple):
    """The lane of a layer, and the other lanes beside it.

    Attributes:
        lane: its lane, from 0.
        ending: lanes that end at the layer.
        joining: lanes that feed the layer and continue.
        passing: lanes that pass the layer without feeding it.
        runs_on: whether its own lane continues below it.
    """

    lane: int
    ending: tuple[int, ...]
    joining: tuple[int, ...]
    passing: tuple[int, ...]
    runs_on: bool

    @property
    def width(self) -> int:
        """Number of lanes beside the layer."""
        return 1 + max((self.lane, *self.ending, *self.joining, *self.passing))


def assign_lanes(layers: Sequence[LayerSpec]) -> list[LanePosition]:
    """Assign a lane to each layer.

    The output of a layer runs down its lane to the last layer that uses it, so that a residual
    branch is a lane beside the layers that it bypasses.

    Args:
        layers: in the order in which they are shown, each after the layers that feed it.

    Returns:
        The position of each layer.
    """
    left = [0] * len(layers)
    for layer in layers:
        for source in layer.sources:
            left[source] += 1
    lanes: list[int | None] = []  # for each lane, the layer whose output runs down it
    places = []
    for number, layer in enumerate(layers):
        feeding = [lane for lane, source in enumerate(lanes) if source in layer.sources]
        for source in layer.sources:
            left[source] -= 1
        ending = [lane for lane in feeding if not left[_held(lanes, lane)]]
        joining = [lane for lane in feeding if lane not in ending]
        passing = [lane for lane, held in enumerate(lanes) if held is not None]
        passing = [lane for lane in passing if lane not in feeding]
        lane = min(ending, default=None) if ending else _free(lanes, after=max(joining, default=-1))
        assert lane is not None  # there is always a free lane further to the right
        for ended in ending:
            lanes[ended] = None
        lanes += [None] * (lane + 1 - len(lanes))
        lanes[lane] = number if left[number] else None
        places.append(
            LanePosition(lane, tuple(ending), tuple(joining), tuple(passing), bool(left[number]))
        )
    return places


def _held(lanes: Sequence[int | None], lane: int) -> int:
    held = lanes[lane]
    assert held is not None
    return held


def _free(lanes: Sequence[int | None], after: int) -> int:
    """The first unused lane after another lane."""
    free = (lane for lane, held in enumerate(lanes) if lane > after and held is None)
    return next(free, max(len(lanes), after + 1))
