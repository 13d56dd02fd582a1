"""The benchmark table as Markdown, and its place in docs/zoo.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zoo_weights import why_not

MARKS = re.compile(r"(<!-- zoo table -->\n).*?(<!-- end of zoo table -->)", re.DOTALL)

HELPED, HARMED = "helped", "harmed"
RATES = {"half": "half the rates", "default": "the default rates"}
"""The settings that are compared with no dropout, and what they are called."""

_HEAD = (
    "| model | data | updates | no dropout | half the default rates | default rates | dropout |",
    "|---|---|---|---|---|---|---|",
)
_CAPTION = """\
Test error in percent (for the autoencoder, 100 times the test loss): mean ± standard deviation over
the seeds, at the first epoch that was best on the validation set. In brackets, the difference from
no dropout, paired by seed, with its interval (95% confidence for both differences of a model
together, by Holm's method); in bold where the interval excludes 0. Half of the seeds divide the
same training and validation examples anew. The intervals cover seeds and these two divisions, not
the choice of the examples or of the test set (85 examples for breast cancer). Training ended once
the validation error had not improved for many epochs: "updates" is the median number of updates of
the weights without dropout and with the default rates. The last column says what dropout did at the
default rates and at half of them: helped, harmed, or no reliable difference, with half the width of
the wider interval, below which a difference would hardly be found. Most training sets are small, so
that two cores can train them all; the published figures come from 60,000 examples. Made by `python
benchmarks/zoo_table.py`; all numbers and seeds are in
[benchmarks/zoo_table.json](../benchmarks/zoo_table.json)."""


def markdown(table: Mapping[str, Any]) -> str:
    """Return the table as Markdown.

    Args:
        table: the content of `benchmarks/zoo_table.json`.

    Returns:
        The findings, the table, its caption, and the models that were not run.
    """
    parts = []
    if table["rows"]:
        parts.append(textwrap.fill(_finding(table["rows"]), 100, break_on_hyphens=False))
        parts.append("\n".join([*_HEAD, *map(_row, table["rows"])]))
        parts.append(_CAPTION)
        named = [f"`{row['model']}`" for row in table["rows"] if not why_not(row)]
        if named:
            weights = f"Weights come with the package for {', '.join(named)}."
            parts.append(textwrap.fill(weights, 100, break_on_hyphens=False))
    if table["not_run"]:
        lines = ["| not trained | why |", "|---|---|"]
        lines += [f"| {each['model']} | {each['reason']} |" for each in table["not_run"]]
        parts.append("\n".join(lines))
    published = [each for each in (*table["rows"], *table["not_run"]) if each["published"]]
    if published:
        lines = ["| model | published test error in percent |", "|---|---|"]
        lines += [f"| {each['model']} | {each['published']} |" for each in published]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def with_table(page: str, table: Mapping[str, Any]) -> str:
    """Replace the table between the markers of a page.

    Args:
        page: the page.
        table: the content of `benchmarks/zoo_table.json`.

    Returns:
        The new page.

    Raises:
        ValueError: the markers are not in the page exactly once.
    """
    changed, count = MARKS.subn(lambda found: f"{found[1]}{markdown(table)}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"expected one marked table in the page, found {count}")
    return changed


def _finding(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sum the rows up in a few sentences."""
    found = [_clear(row) for row in rows]
    words = [None if each is None else {*each.values()} for each in found]
    text = (
        f"Of {len(rows)} models, dropout lowered the test error of {words.count({HELPED})} and "
        f"raised that of {words.count({HARMED})} (at the default rates or half of them; the "
        f"interval of the difference excludes 0); for {words.count(set())} there is no reliable "
        "difference. Among so many intervals, one may exclude 0 by chance."
    )
    both, unknown = words.count({HELPED, HARMED}), words.count(None)
    if both:
        text += f" For {both}, one of the two helped and the other harmed."
    return f"{text} {unknown} cannot be compared." if unknown else text


def _clear(row: Mapping[str, Any]) -> dict[str, str] | None:
    """What the rates did that reliably did something; None if no rates can be compared."""
    found = _comparable(row)
    if not found:
        return None
    return {
        name: HELPED if each["mean"] < 0 else HARMED
        for name, each in found.items()
        if _excludes_zero(each)
    }


def _comparable(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The differences from no dropout that have an interval, by the name of the rates."""
    found = {name: row["settings"][name]["difference"] for name in RATES}
    return {name: each for name, each in found.items() if each and each["low"] is not None}


def _effect(row: Mapping[str, Any]) -> str:
    """What dropout did to a model, in words."""
    clear, compared = _clear(row), _comparable(row)
    if clear is None:
        return "not comparable"
    if not clear:
        widest = max((each["high"] - each["low"]) / 2 for each in compared.values())
        return f"no reliable difference (±{widest:.2f}){_where(compared)}"
    if len({*clear.values()}) == 2:
        return ", ".join(f"{clear[name]}{_where([name])}" for name in RATES)
    return f"{next(iter(clear.values()))}{_where(clear)}"


def _where(names: Collection[str]) -> str:
    """At which rates; empty for both."""
    return "" if len(names) == len(RATES) else "".join(f" at {RATES[name]}" for name in names)


def _excludes_zero(difference: Mapping[str, Any] | None) -> bool:
    """Whether a difference has an interval, and it excludes 0."""
    if difference is None or difference["low"] is None:
        return False
    return difference["low"] > 0 or difference["high"] < 0


def _row(row: Mapping[str, Any]) -> str:
    settings, updates = row["settings"], row["updates"]
    cells = [
        row["model"],
        f"{row['data']}, {row['dataset']['examples']['train']:,}",
        f"{updates['none']:,} and {updates['default']:,}",
        _errors(settings["none"]),
        _setting(settings["half"]),
        _setting(settings["default"]),
        _effect(row),
    ]
    return f"| {' | '.join(cells)} |"


def _setting(setting: Mapping[str, Any]) -> str:
    difference = setting["difference"]
    if difference is None or setting["mean"] is None:
        return _errors(setting)
    text = f"{_signed(difference['mean'])}"
    if difference["low"] is not None:
        text += f", {_signed(difference['low'])} to {_signed(difference['high'])}"
        if _excludes_zero(difference):
            text = f"**{text}**"
    return f"{_errors(setting)} ({text})"


def _errors(setting: Mapping[str, Any]) -> str:
    if setting["mean"] is None:
        return str(setting["reason"])
    spread = "" if setting["std"] is None else f" ± {setting['std']:.2f}"
    return f"{setting['mean']:.2f}{spread}"


def _signed(number: float) -> str:
    return f"{number:+.2f}"
