"""Diagrams as text, for terminals of any width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from dropout_zoo.models.diagrams.lanes import LanePosition, assign_lanes
from dropout_zoo.models.diagrams.spec import DiagramSpec, shortened

NARROW = 64
"""Number of columns below which shape and parameters are on a line of their own."""

INPUT, LAYER, DROPS = "○", "●", "◆"

# By the directions in which lines continue: up, down, left, right.
_CORNERS = {
    (True, True, False, True): "├",
    (True, True, True, False): "┤",
    (True, True, True, True): "┼",
    (True, False, True, False): "┘",
    (True, False, False, True): "└",
    (True, False, True, True): "┴",
    (False, True, True, False): "┐",
    (False, True, False, True): "┌",
    (False, True, True, True): "┬",
    (True, True, False, False): "│",
    (False, False, True, True): "─",
}
_ASCII = str.maketrans({**dict.fromkeys("├┤┼┘└┴┐┌┬╭╰", "+"), "│": "|", "┆": ":", "─": "-"})
_ASCII |= str.maketrans({INPUT: "o", LAYER: "*", DROPS: "#", "…": "~"})


class TextLine(NamedTuple):
    """A line of a diagram.

    Attributes:
        text: the line.
        drops: whether it is about dropout, so that it can be colored.
    """

    text: str
    drops: bool = False


def text_lines(spec: DiagramSpec, width: int = 80, *, ascii_only: bool = False) -> list[TextLine]:
    """Render a diagram as text.

    Args:
        spec: the diagram.
        width: number of columns, at least 24; many parallel branches may need more.
        ascii_only: whether to use ASCII characters only.

    Returns:
        The lines, without color.
    """
    page = _Page(spec, max(width, 24))
    lines = list(page.lines())
    if ascii_only:
        lines = [
            TextLine(line.text.translate(_ASCII).encode("ascii", "replace").decode(), line.drops)
            for line in lines
        ]
    return [TextLine(line.text.rstrip(), line.drops) for line in lines]


class _Page:
    """The layout and the content of a page."""

    def __init__(self, spec: DiagramSpec, width: int) -> None:
        self._spec, self._width = spec, width
        self._places = assign_lanes(spec.layers)
        layers = spec.layers
        rail = 2 * max((place.width for place in self._places), default=1)
        depth = max((self._depth(number) for number in range(len(layers))), default=0)
        self._shapes = max((len(layer.shape()) for layer in layers), default=0)
        self._shapes = max(self._shapes, len("shape"))
        self._numbers = max((len(layer.count()) for layer in layers), default=0)
        self._numbers = max(self._numbers, len("parameters"))
        columns = self._shapes + self._numbers + 4
        self._rail = rail
        self._label = width - rail - 2 * depth - columns
        self._stacked = width < NARROW or self._label < 24
        if self._stacked:
            self._label = max(width - rail - 2 * depth, 16)
        self._indent = rail + 2 * depth

    def lines(self) -> Iterator[TextLine]:
        spec = self._spec
        mark = f" ({DROPS})" if spec.sites else ""
        title = f"{spec.name}: {spec.summary()}{mark}"
        yield from map(TextLine, textwrap.wrap(title, self._width))
        if spec.note:
            yield from map(TextLine, textwrap.wrap(f"Note: {spec.note}.", self._width))
        yield TextLine("")
        if not self._stacked:
            yield TextLine(self._in_columns(" " * self._indent, "layer", "shape", "parameters"))
        for number in range(len(spec.layers)):
            yield from self._opening(number)
            yield from self._layer(number)
            yield from self._closing(number)

    def _layer(self, number: int) -> Iterator[TextLine]:
        layer, place = self._spec.layers[number], self._places[number]
        drops = bool(layer.sites)
        if place.joining or len(place.ending) > 1:
            yield TextLine(self._margin(_join(place), number))
        marker = INPUT if layer.kind == "Input" else DROPS if drops else LAYER
        cells = dict.fromkeys((*place.passing, *place.joining), "│") | {place.lane: marker}
        first, *more = self._labels(number)
        prefix = self._margin(cells, number)
        if self._stacked:
            yield TextLine(prefix + first, drops)
        else:
            yield TextLine(self._in_columns(prefix, first, layer.shape(), layer.count()), drops)
        below = self._margin(dict.fromkeys(_below(place), "│"), number)
        for line in more:
            yield TextLine(below + line, drops)
        room = max(self._width - len(below) - 2, 16)
        for description in layer.site_descriptions():
            for count, line in enumerate(textwrap.wrap(description, room)):
                yield TextLine(f"{below}{'  ' if count else '└ '}{line}", True)

    def _labels(self, number: int) -> list[str]:
        """Name and description on one line, or on several if they need them."""
        layer, what = self._spec.layers[number], self._spec.describe(number)
        if self._stacked:
            count = layer.count()
            facts = [what, layer.shape(), *([f"{count} parameters"] if count else [])]
            return [
                shortened(layer.name, self._label),
                *textwrap.wrap("; ".join(facts), self._label),
            ]
        together = f"{layer.name}  {what}"
        if len(together) <= self._label:
            return [together]
        return [shortened(layer.name, self._label), *textwrap.wrap(what, self._label)]

    def _opening(self, number: int) -> Iterator[TextLine]:
        opened = [each for each in self._spec.sections if each.start == number]
        outside = self._depth(number) - len(opened)
        for depth, section in enumerate(opened, start=outside):
            above = _below(self._places[number - 1]) if number else ()
            prefix = _rail(dict.fromkeys(above, "│"), self._rail) + "┆ " * depth
            yield TextLine(shortened(f"{prefix}┌ {section.title}", self._width))

    def _closing(self, number: int) -> Iterator[TextLine]:
        closed = sum(each.stop == number + 1 for each in self._spec.sections)
        rail = _rail(dict.fromkeys(_below(self._places[number]), "│"), self._rail)
        for depth in range(self._depth(number) - 1, self._depth(number) - 1 - closed, -1):
            yield TextLine(f"{rail}{'┆ ' * depth}└")

    def _margin(self, cells: dict[int, str], number: int) -> str:
        return _rail(cells, self._rail) + "┆ " * self._depth(number)

    def _depth(self, number: int) -> int:
        return sum(each.start <= number < each.stop for each in self._spec.sections)

    def _in_columns(self, prefix: str, label: str, shape: str, count: str) -> str:
        label = (prefix + label).ljust(self._indent + self._label)
        return f"{label}  {shape:>{self._shapes}}  {count:>{self._numbers}}"


def _rail(cells: dict[int, str], width: int) -> str:
    return "".join(cells.get(lane, "").ljust(2) for lane in range(width // 2))


def _join(place: LanePosition) -> dict[int, str]:
    """The line above a layer that leads the lanes that feed it to its own lane."""
    others = {lane for lane in (*place.ending, *place.joining) if lane != place.lane}
    joined = {*others, place.lane}
    cells = dict.fromkeys(place.passing, "│")
    first, last = min(joined), max(joined)
    for lane in range(first, last + 1):
        if lane in joined:
            up = lane in place.ending or lane in place.joining
            down = lane in place.joining or lane == place.lane
            cells[lane] = _CORNERS[up, down, lane > first, lane < last]
        else:
            cells.setdefault(lane, "─")  # passing lanes are not interrupted
        if lane < last:
            cells[lane] += "─"
    return cells


def _below(place: LanePosition) -> tuple[int, ...]:
    return (*place.passing, *place.joining, *((place.lane,) if place.runs_on else ()))
