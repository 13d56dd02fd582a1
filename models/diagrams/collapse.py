"""Repeated layers are shown only once, which keeps diagrams of deep models readable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dropout_zoo.models.diagrams.spec import (
    DiagramSpec,
    LayerSpec,
    Section,
    SiteSpec,
    model_sections,
)

COLLAPSE_ABOVE = 40
"""Number of layers above which a diagram shows repeated layers only once by default."""

_MIN_LAYERS_SAVED = 4  # a section adds two lines


class _Repeat(NamedTuple):
    """Consecutive repetitions of layers: `times` runs of `length` layers each, from `start`."""

    start: int
    length: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.length * self.times

    @property
    def saved(self) -> int:
        return self.length * (self.times - 1)


def collapse_repeats(spec: DiagramSpec) -> DiagramSpec:
    """Show consecutive runs of the same layers once, with the number of repetitions.

    Runs are equal if their layers have the same classes, settings and connections. Names, shapes
    and dropout rates may differ; the layer that is shown lists all of them.

    Args:
        spec: the diagram.

    Returns:
        The same diagram with a section for each repetition.
    """
    layers = list(spec.layers)
    repeats = _find_repeats(layers, spec.sections)
    kept: list[LayerSpec] = []
    sections: list[Section] = []
    places: dict[int, int] = {}
    begin = 0
    for repeat in repeats:
        _append_layers(layers[begin : repeat.start], begin, kept, places)
        runs = [
            layers[start : start + repeat.length]
            for start in range(repeat.start, repeat.stop, repeat.length)
        ]
        sections.append(Section(len(kept), len(kept) + repeat.length, _title(runs)))
        for number in range(repeat.start, repeat.stop):
            places[number] = len(kept) + (number - repeat.start) % repeat.length
        kept += [_merged(copies) for copies in zip(*runs, strict=True)]
        begin = repeat.stop
    _append_layers(layers[begin:], begin, kept, places)
    kept = [
        replace(layer, sources=tuple(dict.fromkeys(places[each] for each in layer.sources)))
        for layer in kept
    ]
    sections += model_sections(kept)
    sections.sort(key=lambda section: (section.start, -section.stop))
    return replace(spec, layers=tuple(kept), sections=tuple(sections))


def _append_layers(
    layers: Sequence[LayerSpec], first: int, kept: list[LayerSpec], places: dict[int, int]
) -> None:
    for number, layer in enumerate(layers, start=first):
        places[number] = len(kept)
        kept.append(layer)


def _find_repeats(layers: Sequence[LayerSpec], sections: Sequence[Section]) -> list[_Repeat]:
    starts = {section.start for section in sections}
    tokens = [
        (
            layer.kind,
            layer.settings,
            tuple(number - source for source in layer.sources),
            len(layer.models),
            number in starts,
            layer.is_output,
            layer.is_shared,
            tuple((site.placement, site.own_noise) for site in layer.sites),
        )
        for number, layer in enumerate(layers)
    ]
    found = [
        _Repeat(start, length, ahead // length + 1)
        for length in range(1, len(tokens) // 2 + 1)
        for start, ahead in enumerate(_matches(tokens, length))
        if ahead >= length
    ]
    worthwhile = [each for each in found if each.saved >= _MIN_LAYERS_SAVED]
    # Prefer repeats that save the most layers, then shorter runs, then longer common names.
    worthwhile.sort(key=lambda each: (-each.saved, each.length, -_shared(each, layers), each.start))
    chosen: list[_Repeat] = []
    for repeat in worthwhile:
        free = all(repeat.stop <= other.start or other.stop <= repeat.start for other in chosen)
        if free and _stands_alone(repeat, layers, sections):
            chosen.append(repeat)
    return sorted(chosen)


def _matches(tokens: Sequence[object], length: int) -> list[int]:
    """For each token, how many consecutive tokens equal those `length` places later."""
    ahead = [0] * (len(tokens) + 1)
    for number in reversed(range(len(tokens) - length)):
        if tokens[number] == tokens[number + length]:
            ahead[number] = ahead[number + 1] + 1
    return ahead


def _stands_alone(
    repeat: _Repeat, layers: Sequence[LayerSpec], sections: Sequence[Section]
) -> bool:
    """Whether only the last run feeds later layers, and no nested model is split."""
    last = repeat.stop - repeat.length
    fed_from_within = any(
        repeat.start <= source < last for layer in layers[repeat.stop :] for source in layer.sources
    )
    run_stop = repeat.start + repeat.length
    cut = any(
        section.start < start < section.stop < stop or start < section.start < stop < section.stop
        for section in sections
        for start, stop in ((repeat.start, repeat.stop), (repeat.start, run_stop))
    )
    return not fed_from_within and not cut


def _shared(repeat: _Repeat, layers: Sequence[LayerSpec]) -> int:
    run = layers[repeat.start : repeat.start + repeat.length]
    return len(_common_start([layer.path for layer in run]))


def _common_start(names: Sequence[str]) -> str:
    low, high = min(names), max(names)
    other = (number for number, letter in enumerate(low) if high[number : number + 1] != letter)
    return low[: next(other, len(low))]


def _title(runs: Sequence[Sequence[LayerSpec]]) -> str:
    # Up to the end of a word: "block_1" for "block_1/dense" and "block_1/dropout".
    starts = [re.match(r"(.*)[_/]|", _common_start([each.path for each in run])) for run in runs]
    names = [(start and start[1]) or "" for start in starts]
    named = f": {names[0]} to {names[-1]}" if all(names) and len(set(names)) > 1 else ""
    return f"{len(runs)} times{named}"


def _merged(copies: Sequence[LayerSpec]) -> LayerSpec:
    """One layer in place of all its repetitions."""
    first = copies[0]
    parameters = [copy.parameters for copy in copies]
    return replace(
        first,
        shapes=tuple(shape for copy in copies for shape in copy.shapes),
        parameters=None if None in parameters else sum(filter(None, parameters)),
        sites=tuple(
            SiteSpec(
                tuple(path for site in sites for path in site.paths),
                tuple(rate for site in sites for rate in site.rates),
                sites[0].placement,
                sites[0].own_noise,
            )
            for sites in zip(*(copy.sites for copy in copies), strict=True)
        ),
    )
