"""Lanes beside the layers of a diagram, on which what they compute runs on to where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dropout_zoo.models.diagrams.spec import LayerSpec


class LanePosition(NamedTuple):
    """Where a layer stands, and the lanes beside it.

    Attributes:
        lane: its lane, from 0.
        ending: lanes that end in it.
        joining: lanes that feed it and run on.
        passing: lanes that pass it by, without feeding it.
        runs_on: whether its own lane runs on below it.
    """

    lane: int
    ending: tuple[int, ...]
    joining: tuple[int, ...]
    passing: tuple[int, ...]
    runs_on: bool

    @property
    def width(self) -> int:
        """Number of lanes that there are beside it."""
        return 1 + max((self.lane, *self.ending, *self.joining, *self.passing))


def assign_lanes(layers: Sequence[LayerSpec]) -> list[LanePosition]:
    """Give each layer a lane.

    What a layer computes runs down its lane until the last layer that uses it: a residual branch
    is a lane beside the layers that it passes by.

    Args:
        layers: in the order in which they are drawn, each after those that feed it.

    Returns:
        The place of each.
    """
    left = [0] * len(layers)
    for layer in layers:
        for source in layer.sources:
            left[source] += 1
    lanes: list[int | None] = []  # by lane the layer whose output runs down it
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
        assert lane is not None  # there is always one further to the right
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
    """The first lane behind another on which nothing runs."""
    free = (lane for lane, held in enumerate(lanes) if lane > after and held is None)
    return next(free, max(len(lanes), after + 1))
