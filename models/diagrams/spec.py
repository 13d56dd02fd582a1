"""The content of a diagram as plain data: layers, what feeds them, and their dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dropout_zoo.models.guidance import GUIDANCE
from dropout_zoo.models.wording import count_of

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class SiteSpec:
    """A dropout site in a diagram.

    Attributes:
        paths: path of the site, as `dropout_sites` returns it; one per repetition if the layer
            stands for several.
        rates: rate (fraction dropped); one per path.
        placement: placement, as `dropout_sites` returns it.
        own_noise: whether a custom layer draws the noise, and its rate cannot be set.
    """

    paths: tuple[str, ...]
    rates: tuple[float, ...]
    placement: str
    own_noise: bool = False

    @property
    def name(self) -> str:
        """The path of the site, or the first and the last of its paths."""
        first, last = self.paths[0], self.paths[-1]
        return first if first == last else f"{first} to {last}"

    def describe(self) -> str:
        """Rate, placement and guidance in words."""
        low, high = min(self.rates), max(self.rates)
        if self.own_noise:
            known = [_rate(rate) for rate in dict.fromkeys(self.rates) if not math.isnan(rate)]
            return f"rate {' and '.join(known) or 'unknown'} (cannot be set), {self.placement}"
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
        path: names of the nested models that contain it, and its own name, joined by ``/``.
        kind: name of its class, such as ``"Dense"``.
        settings: its main settings, such as ``"128, relu"``.
        shapes: shape of its output without the batch axis; one per repetition if it stands for
            several layers; empty if not known.
        parameters: number of its weights, trainable or not; None if not known.
        sites: the dropout sites in it.
        sources: indices of the layers that feed it.
        models: paths of the nested models that contain it, outermost first.
        drops: whether dropout is all that it does.
        is_output: whether its output is an output of the model.
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
        """Its name without the nested models."""
        return self.path.removeprefix(f"{self.models[-1]}/") if self.models else self.path

    def describe(self) -> str:
        """Class and settings in words."""
        text = f"{self.kind} {self.settings}".rstrip()
        return f"{text}, called again" if self.is_shared else text

    def shape(self) -> str:
        """The shape as text, such as ``28 x 28 x 32``."""
        if not self.shapes:
            return "?"
        if len({len(shape) for shape in self.shapes}) > 1:
            return "varies"
        axes = [_axis(lengths) for lengths in zip(*self.shapes, strict=True)]
        return " x ".join(axes) or "scalar"

    def count(self) -> str:
        """The number of weights as text; empty if there are none."""
        if self.parameters is None:
            return "?"
        return f"{self.parameters:,}" if self.parameters else ""

    def site_descriptions(self) -> list[str]:
        """A description of each dropout site, with its path if that differs from the layer's."""
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
        start: index of the first layer.
        stop: index after the last layer.
        title: title of the section.
    """

    start: int
    stop: int
    title: str


@dataclass(frozen=True)
class DiagramSpec:
    """The content of a diagram, independent of how it is rendered.

    Attributes:
        name: name of the model.
        layers: its layers from input to output; each branch runs up to where it joins before the
            next one starts.
        sections: nested models, and layers that stand for several repetitions; outer sections come
            before those inside them.
        parameters: number of weights of the model; None if it is not built.
        sites: number of its dropout sites.
        note: what the diagram cannot show; empty if there is nothing to say.
    """

    name: str
    layers: tuple[LayerSpec, ...]
    sections: tuple[Section, ...]
    parameters: int | None
    sites: int
    note: str = ""

    def summary(self) -> str:
        """The numbers of parameters and dropout sites in words."""
        parameters = "not built" if self.parameters is None else f"{self.parameters:,} parameters"
        sites = count_of(self.sites, "dropout site") if self.sites else "no dropout sites"
        return f"{parameters}, {sites}"

    def describe(self, number: int) -> str:
        """A layer in words; outputs of the model are marked unless they are obvious."""
        layer = self.layers[number]
        several = sum(each.is_output for each in self.layers) > 1
        marked = layer.is_output and (several or number < len(self.layers) - 1)
        return f"{layer.describe()}, output" if marked else layer.describe()


def shortened(text: str, length: int) -> str:
    """Shorten a text by leaving out its middle, since the ends of names are most informative.

    Args:
        text: the text.
        length: maximum number of characters.

    Returns:
        A text of at most that length.
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def model_sections(layers: Sequence[LayerSpec]) -> tuple[Section, ...]:
    """The nested models among consecutive layers.

    Args:
        layers: the layers.

    Returns:
        A section for each run of layers in a nested model, outermost first.
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
