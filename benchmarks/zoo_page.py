"""The benchmark table as Markdown, and its place in docs/zoo.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_weights import why_not

MARKS = re.compile(r"(<!-- zoo table -->\n).*?(<!-- end of zoo table -->)", re.DOTALL)

_HEAD = (
    "| model | data | updates | no dropout | half the default rates | default rates | dropout |",
    "|---|---|---|---|---|---|---|",
)
_CAPTION = """\
Test error in percent (for the autoencoder, 100 times the test loss): mean ± standard deviation over
the seeds, at the epoch that was best on the validation set. In brackets, the difference from no
dropout, paired by seed, with its interval (95% confidence for both differences of a model together,
by Holm's method); in bold where the interval excludes 0. Half of the seeds divide the training and
validation examples anew. The intervals cover seeds and these two divisions, not the choice of the
test set. Training ended once the validation error had not improved for many epochs: "updates" is
the median number of updates of the weights without dropout and with the default rates. The last
column says what dropout did at the default rates and at half of them: helped, harmed, or no
reliable difference, with half the width of the wider interval, below which a difference would
hardly be found. The training sets are small, so that two cores can train them all: the published
figures come from 60,000 examples. Made by `python benchmarks/zoo_table.py`; all numbers and seeds
are in [benchmarks/zoo_table.json](../benchmarks/zoo_table.json)."""


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
    found = [_effect(row) for row in rows]
    helped, harmed = (sum(each.startswith(word) for each in found) for word in ("help", "harm"))
    neither = sum(each.startswith("no ") for each in found)
    text = (
        f"Of {len(rows)} models, dropout lowered the test error of {helped} and raised that of "
        f"{harmed} (at the default rates or half of them; the interval of the difference excludes "
        f"0); for {neither} there is no reliable difference. Among so many "
        "intervals, one may exclude 0 by chance."
    )
    others = len(rows) - helped - harmed - neither
    return f"{text} {others} cannot be compared." if others else text


def _effect(row: Mapping[str, Any]) -> str:
    """What dropout did to a model."""
    found = {name: row["settings"][name]["difference"] for name in ("half", "default")}
    if any(each is None or each["low"] is None for each in found.values()):
        return "not comparable"
    clear = {name: each for name, each in found.items() if _excludes_zero(each)}
    if not clear:
        widest = max((each["high"] - each["low"]) / 2 for each in found.values())
        return f"no reliable difference (±{widest:.2f})"
    words = {name: "helped" if each["mean"] < 0 else "harmed" for name, each in clear.items()}
    if len(set(words.values())) == 2:
        return f"half the rates {words['half']}, the default rates {words['default']}"
    return f"{next(iter(words.values()))}{_where(list(words))}"


def _where(names: Sequence[str]) -> str:
    if len(names) == 2:
        return ""
    return " at half the rates" if names == ["half"] else " at the default rates"


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
