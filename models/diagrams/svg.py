"""Diagrams as SVG pictures for browsers and notebooks, in a light and a dark style."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from html import escape
from textwrap import wrap

from dropout_zoo.models.diagrams.lanes import assign_lanes
from dropout_zoo.models.diagrams.spec import DiagramSpec, LayerSpec, Section, shortened

# In pixels. The font is monospaced, so that the width of a text is known.
_LETTER, _LANE, _MARGIN, _PAD = 7.25, 22, 16, 10
_GAP, _LINE, _HEAD, _TITLE = 12, 17, 24, 54
_LONGEST = 52  # characters of a name or a description

# The palette of Okabe and Ito 2008: vermilion for dropout and blue for lanes; in the dark style,
# orange and sky blue.
_LIGHT = {
    "page": "#FFFFFF", "ink": "#1A1A1A", "soft": "#595959", "card": "#F4F6F8", "edge": "#8A929A",
    "lane": "#0072B2", "drop": "#D55E00", "dropcard": "#FDEFE6", "band": "#EAF1F7",
}  # fmt: skip
_DARK = {
    "page": "#16191D", "ink": "#F2F2F2", "soft": "#B8BEC5", "card": "#23282E", "edge": "#7D8690",
    "lane": "#56B4E9", "drop": "#E69F00", "dropcard": "#33291A", "band": "#1D2630",
}  # fmt: skip
_RULES = (
    (".page", "fill:{page}"),
    ("text", "fill:{ink};font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"),
    (".title", "font-size:15px;font-weight:bold"),
    (".name", "font-weight:bold"),
    (".soft", "fill:{soft}"),
    (".card", "fill:{card};stroke:{edge}"),
    (".lane", "fill:none;stroke:{lane};stroke-width:2.5"),
    (".stub", "fill:none;stroke:{edge};stroke-dasharray:2 3"),
    (".dot", "fill:{page};stroke:{lane};stroke-width:2.5"),
    (".layer", "fill:{lane};stroke:{lane}"),
    (".drops", "fill:{dropcard};stroke:{drop};stroke-width:2;stroke-dasharray:6 3"),
    (".mark", "fill:{drop};stroke:{drop}"),
    (".band", "fill:{band};stroke:{lane};stroke-dasharray:2 4"),
)


def svg_document(spec: DiagramSpec) -> str:
    """Render a diagram as SVG.

    Args:
        spec: the diagram.

    Returns:
        A document with a title and description for screen readers; it needs no external fonts,
        style sheets or scripts.
    """
    return "\n".join(_Picture(spec).document()) + "\n"


class _Picture:
    """The layout and the content of a picture."""

    def __init__(self, spec: DiagramSpec) -> None:
        self._spec = spec
        self._places = assign_lanes(spec.layers)
        lanes = max((place.width for place in self._places), default=1)
        self._card = _MARGIN + lanes * _LANE + 14
        self._words = [self._card_lines(number) for number in range(len(spec.layers))]
        wordiest = max((len(word) for words in self._words for word in words), default=0)
        self._shapes = max((len(layer.shape()) for layer in spec.layers), default=0)
        self._counts = max((len(layer.count()) for layer in spec.layers), default=0)
        self._shapes, self._counts = max(self._shapes, 5), max(self._counts, 10)
        inside = (wordiest + self._shapes + self._counts) * _LETTER + 2 * _PAD + 44
        titles = [section.title for section in spec.sections]
        longest = max((len(title) for title in titles), default=0) * _LETTER
        self._width = round(max(self._card + max(inside, longest) + 2 * _MARGIN, 420))
        self._note = wrap(spec.note, int((self._width - 2 * _MARGIN) / _LETTER))
        self._tops: list[int] = []
        self._bands: list[tuple[Section, int]] = []
        self._height = self._stack()

    def _card_lines(self, number: int) -> list[str]:
        """The lines of a layer's card: its name, its description, and each dropout site in it."""
        layer = self._spec.layers[number]
        words = [layer.name, self._spec.describe(number)]
        return [shortened(word, _LONGEST) for word in words] + [
            f"◆ {description}" for description in layer.site_descriptions()
        ]

    def _stack(self) -> int:
        """Position the cards below each other, and return the height of the picture."""
        y = _TITLE + 22 + _LINE * len(self._note)
        for number, words in enumerate(self._words):
            for section in self._spec.sections:
                if section.start == number:
                    self._bands.append((section, y))
                    y += _HEAD
            self._tops.append(y)
            y += _LINE * len(words) + 2 * 6 + _GAP
            y += 6 * sum(each.stop == number + 1 for each in self._spec.sections)
        return y + _MARGIN - _GAP

    def document(self) -> Iterator[str]:
        """The lines of the document."""
        spec = self._spec
        description = _long_description(spec)
        # A page may show several diagrams, whose ids and classes must differ.
        key = "dz" + hashlib.sha256(f"{spec}".encode()).hexdigest()[:10]
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{key}" role="img" '
            f'aria-labelledby="{key}-title {key}-desc" width="{self._width}" '
            f'height="{self._height}" viewBox="0 0 {self._width} {self._height}">'
        )
        yield f'<title id="{key}-title">{escape(f"Diagram of {spec.name}")}</title>'
        yield f'<desc id="{key}-desc">{escape(description)}</desc>'
        yield f"<style>{_style(key)}</style>"
        yield f'<rect class="page" width="{self._width}" height="{self._height}" rx="8"/>'
        yield from self._heading()
        yield from map(self._band, self._bands)
        yield from self._lanes()
        for number in range(len(spec.layers)):
            yield from self._layer(number)
        yield "</svg>"

    def _heading(self) -> Iterator[str]:
        spec = self._spec
        yield _write(_MARGIN, 28, spec.name, "title")
        yield _write(_MARGIN, 47, spec.summary(), "soft")
        y = _TITLE + 14
        for line in self._note:
            yield _write(_MARGIN, y, line, "soft")
            y += _LINE
        yield _write(self._shape_end, y, "shape", "soft", end=True)
        yield _write(self._count_end, y, "parameters", "soft", end=True)

    @property
    def _count_end(self) -> float:
        return self._width - _MARGIN - _PAD - 4

    @property
    def _shape_end(self) -> float:
        return self._count_end - self._counts * _LETTER - 20

    def _band(self, band: tuple[Section, int]) -> str:
        section, top = band
        last = section.stop - 1
        inner = [e for e in self._spec.sections if e != section and e.stop == section.stop]
        bottom = self._bottom(last) + 6 * (1 + sum(each.start >= section.start for each in inner))
        depth = sum(
            each.start <= section.start and each.stop >= section.stop and each != section
            for each in self._spec.sections
        )
        left = 4 + 3 * depth
        return (
            f'<rect class="band" x="{left}" y="{top - 2}" width="{self._width - 2 * left}" '
            f'height="{bottom - top + 2}" rx="6"/>'
            + _write(self._card, top + 15, section.title, "name")
        )

    def _lanes(self) -> Iterator[str]:
        for number, layer in enumerate(self._spec.layers):
            for source in layer.sources:
                start, end = self._x(source), self._x(number)
                top, bottom = self._y(source), self._y(number)
                # As in the text: straight down the lane, then across just above the layer.
                turn = max(top, self._tops[number] - _GAP - 2)
                across = f" C{start} {bottom - 6} {end} {turn + 2} {end} {bottom}"
                path = f"M{start} {top} V{turn}" + (across if start != end else f" V{bottom}")
                yield f'<path class="lane" d="{path}"/>'

    def _layer(self, number: int) -> Iterator[str]:
        layer, words, top = self._spec.layers[number], self._words[number], self._tops[number]
        name, *more = words
        x, y = self._x(number), self._y(number)
        width = self._width - self._card - _MARGIN
        height = self._bottom(number) - top
        kind = "drops" if layer.sites else "card"
        yield f"<g><title>{escape(f'{layer.path}: {self._spec.describe(number)}')}</title>"
        if not self._spec.note:
            yield f'<path class="stub" d="M{x} {y} H{self._card}"/>'
        yield (
            f'<rect class="{kind}" x="{self._card}" y="{top}" width="{width}" '
            f'height="{height}" rx="6"/>'
        )
        if not self._spec.note:
            yield _marker(layer, x, y)
        left, baseline = self._card + _PAD, top + 18
        yield _write(left, baseline, name, "name")
        yield _write(self._shape_end, baseline, layer.shape(), "", end=True)
        yield _write(self._count_end, baseline, layer.count(), "", end=True)
        for line, word in enumerate(more, start=1):
            yield _write(left, baseline + line * _LINE, word, "soft" if line == 1 else "")
        yield "</g>"

    def _x(self, number: int) -> int:
        return _MARGIN + 8 + self._places[number].lane * _LANE

    def _y(self, number: int) -> int:
        return self._tops[number] + 14

    def _bottom(self, number: int) -> int:
        return self._tops[number] + _LINE * len(self._words[number]) + 12


def _marker(layer: LayerSpec, x: int, y: int) -> str:
    if layer.sites:
        return f'<path class="mark" d="M{x} {y - 9} L{x + 9} {y} L{x} {y + 9} L{x - 9} {y} Z"/>'
    filled = "dot" if layer.kind == "Input" else "dot layer"
    return f'<circle class="{filled}" cx="{x}" cy="{y}" r="5"/>'


def _long_description(spec: DiagramSpec) -> str:
    """The diagram in words, for screen readers."""
    parts = [f"{spec.summary()}."]
    parts += [f"{spec.note}."] if spec.note else []
    parts += [f"{site.name}: {site.describe()}." for layer in spec.layers for site in layer.sites]
    return " ".join(parts)


def _style(key: str) -> str:
    def rules(colors: dict[str, str]) -> str:
        return "".join(f".{key} {name}{{{rule.format(**colors)}}}" for name, rule in _RULES)

    return f"{rules(_LIGHT)}@media (prefers-color-scheme:dark){{{rules(_DARK)}}}"


def _write(x: float, y: float, text: str, kind: str, *, end: bool = False) -> str:
    if not text:
        return ""
    anchor = ' text-anchor="end"' if end else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}"{anchor}>{escape(text)}</text>'
