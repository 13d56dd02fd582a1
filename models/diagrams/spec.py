"""What a diagram of a model shows, as plain data: its layers, what feeds them, their dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dropout_zoo.models.guidance import GUIDANCE

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class SiteSpec:
    """A dropout site in a diagram.

    Attributes:
        paths: path of the site, as `dropout_sites` gives it; one for each repetition where layers
            are drawn once for several.
        rates: its rate (fraction dropped), or as many rates.
        placement: its placement, as `dropout_sites` gives it.
    """

    paths: tuple[str, ...]
    rates: tuple[float, ...]
    placement: str

    @property
    def name(self) -> str:
        """Its path, or the first and the last of them."""
        first, last = self.paths[0], self.paths[-1]
        return first if first == last else f"{first} to {last}"

    def describe(self) -> str:
        """Rate, placement and guidance as a person reads them."""
        low, high = min(self.rates), max(self.rates)
        rate = _rate(low) if low == high else f"{_rate(low)} to {_rate(high)}"
        return f"rate {rate}, {self.placement}, {self._guidance(low, high)}"

    def _guidance(self, low: float, high: float) -> str:
        guidance = GUIDANCE.get(self.placement)
        if guidance is None:
            return "no guidance"
        if guidance.low is None or guidance.high is None:
            return "guidance none"
        if high == 0:
            verdict = " (off)"
        elif high < guidance.low:
            verdict = " (below)"
        elif low > guidance.high:
            verdict = " (above)"
        else:
            verdict = "" if guidance.includes(low) and guidance.includes(high) else " (partly)"
        return f"guidance {guidance}{verdict}"


@dataclass(frozen=True)
class LayerSpec:
    """A call of a layer or operation in a diagram, or an input of the model.

    Attributes:
        path: names of the nested models that hold it, and its own, joined by ``/``.
        kind: name of its class, such as ``"Dense"``.
        settings: its main settings, such as ``"128, relu"``.
        shapes: shape of what it returns, without the batch; one for each repetition where layers
            are drawn once for several; none where it is not known.
        parameters: number of its weights, trainable or not; None where it is not known.
        sites: the dropout sites in it.
        sources: numbers of the layers that feed it.
        models: the paths of the nested models that hold it, from the outside in.
        drops: whether dropout is all that it does.
        is_output: whether the model returns what it computes.
        is_shared: whether it was called before, with the same weights.
    """

    path: str
    kind: str
    settings: str = ""
    shapes: tuple[Shape, ...] = ()
    parameters: int | None = 0
    sites: tuple[SiteSpec, ...] = ()
    sources: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    drops: bool = False
    is_output: bool = False
    is_shared: bool = False

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.removeprefix(f"{self.models[-1]}/") if self.models else self.path

    def describe(self) -> str:
        """Class and settings as a person reads them."""
        text = f"{self.kind} {self.settings}".rstrip()
        return f"{text}, called again" if self.is_shared else text

    def shape(self) -> str:
        """The shape as a person reads it, such as ``28 x 28 x 32``."""
        if not self.shapes:
            return "?"
        if len({len(shape) for shape in self.shapes}) > 1:
            return "varies"
        axes = [_axis(lengths) for lengths in zip(*self.shapes, strict=True)]
        return " x ".join(axes) or "scalar"

    def count(self) -> str:
        """The number of weights as a person reads it; empty where there are none."""
        if self.parameters is None:
            return "?"
        return f"{self.parameters:,}" if self.parameters else ""

    def site_descriptions(self) -> list[str]:
        """What there is to say of each dropout site, with its path where that is not its own."""
        return [
            site.describe()
            if self.drops
            else f"{site.paths[0].removeprefix(f'{self.path}/')}: {site.describe()}"
            for site in self.sites
        ]


@dataclass(frozen=True)
class Section:
    """Layers of a diagram that belong together.

    Attributes:
        start: number of the first of them.
        stop: number after the last.
        title: what they are.
    """

    start: int
    stop: int
    title: str


@dataclass(frozen=True)
class DiagramSpec:
    """What a diagram shows, whatever it is drawn with.

    Attributes:
        name: the model's name.
        layers: its layers from input to output, a branch up to where it joins before the next.
        sections: nested models, and layers that are drawn once for several repetitions; one that
            holds another comes before it.
        parameters: number of weights of the model; None where it is not built.
        sites: number of its dropout sites.
        note: what the diagram cannot show; empty if nothing.
    """

    name: str
    layers: tuple[LayerSpec, ...]
    sections: tuple[Section, ...]
    parameters: int | None
    sites: int
    note: str = ""

    def summary(self) -> str:
        """Parameters and sites in words."""
        parameters = "not built" if self.parameters is None else f"{self.parameters:,} parameters"
        sites = f"{self.sites or 'no'} dropout site{'' if self.sites == 1 else 's'}"
        return f"{parameters}, {sites}"

    def describe(self, number: int) -> str:
        """What a layer is, and whether the model returns what it computes if that is not plain."""
        layer = self.layers[number]
        several = sum(each.is_output for each in self.layers) > 1
        marked = layer.is_output and (several or number < len(self.layers) - 1)
        return f"{layer.describe()}, output" if marked else layer.describe()


def shortened(text: str, length: int) -> str:
    """A text that fits, with its middle left out: names tell most at their ends.

    Args:
        text: the text.
        length: number of characters that there is room for.

    Returns:
        As many characters at most.
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def model_sections(layers: Sequence[LayerSpec]) -> tuple[Section, ...]:
    """The nested models among layers that are drawn one after the other.

    Args:
        layers: the layers.

    Returns:
        A section for each run of layers in a nested model, from the outside in.
    """
    sections = []
    for depth in range(max((len(layer.models) for layer in layers), default=0)):
        start = 0
        while start < len(layers):
            models = layers[start].models[: depth + 1]
            stop = start + 1
            while stop < len(layers) and layers[stop].models[: depth + 1] == models:
                stop += 1
            if len(models) > depth:
                sections.append(Section(start, stop, f"model {models[-1]}"))
            start = stop
    return tuple(sections)


def _axis(lengths: Sequence[int | None]) -> str:
    shown = ["?" if length is None else str(length) for length in lengths]
    return shown[0] if len(set(shown)) == 1 else f"{shown[0]}..{shown[-1]}"


def _rate(rate: float) -> str:
    return f"{rate:.2f}" if math.isclose(round(rate, 2), rate) else f"{rate:.3g}"
