"""The benchmark table as Markdown, and its place in docs/zoo.md."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

MARKS = re.compile(r"(<!-- zoo table -->\n).*?(<!-- end of zoo table -->)", re.DOTALL)

_HEAD = (
    "| model | data | epochs | seeds | s | no dropout | default rates | tuned rates | published |",
    "|---|---|---|---|---|---|---|---|---|",
)
_CAPTION = """\
Test error in percent (for the autoencoder, 100 times the test loss): mean ± standard deviation over
the seeds, at the epoch that was best on the validation set. In brackets, the difference from no
dropout, paired by seed, with its interval (95% confidence; where a model has two differences, for
both together by Holm's method); in bold where the interval excludes 0. Tuned rates were chosen by
`tune` with few trials and seeds, on validation data only. The training sets are small and the
epochs few, so that two cores can train them all: the published figures, from 60,000 examples and
many more updates, show what the networks can do and were not the goal. "s" is seconds per run on
one core. Made by `python benchmarks/zoo_table.py`; all numbers and seeds are in
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
    if table["not_run"]:
        lines = ["| not run | why | published |", "|---|---|---|"]
        lines += [
            f"| {each['model']} | {each['reason']} | {each['published'] or '-'} |"
            for each in table["not_run"]
        ]
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
    dropped = [each for each in rows if any(each["settings"]["default"]["rates"].values())]
    found = [each["settings"]["default"]["difference"] for each in dropped]
    clear = [each["mean"] > 0 for each in found if _excludes_zero(each)]
    higher, lower = sum(clear), len(clear) - sum(clear)
    without = sum(not any(each["settings"]["tuned"]["rates"].values()) for each in rows)
    trials = [each["trials"] for each in rows]
    return (
        f"Of {len(dropped)} models that have dropout by default, it lowers the error of {lower} "
        f"and raises that of {higher} (the interval of the difference excludes 0, each model by "
        f"itself); for the other {len(found) - len(clear)} there is no reliable difference. For "
        f"{without} of {len(rows)} models `tune`, with {min(trials)} to {max(trials)} trials, "
        "found nothing better than no dropout. This holds for the small training sets and few "
        "epochs of this table; among so many models an interval may exclude 0 by chance."
    )


def _excludes_zero(difference: Mapping[str, Any] | None) -> bool:
    """Whether a difference has an interval, and it excludes 0."""
    if difference is None or difference["low"] is None:
        return False
    return difference["low"] > 0 or difference["high"] < 0


def _row(row: Mapping[str, Any]) -> str:
    settings = row["settings"]
    cells = [
        row["model"],
        f"{row['data']}, {row['examples']['train']:,}",
        row["epochs"],
        len(row["seeds"]),
        f"{row['seconds']:.1f}",
        _errors(settings["none"]),
        _setting(settings["default"]),
        _tuned(settings),
        row["published"] or "-",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _setting(setting: Mapping[str, Any]) -> str:
    if not any(setting["rates"].values()):
        return "no dropout"
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


def _tuned(settings: Mapping[str, Any]) -> str:
    rates = settings["tuned"]["rates"]
    if rates == settings["default"]["rates"] and any(rates.values()):
        return "the default rates"
    text = _setting(settings["tuned"])
    if not any(rates.values()):
        return text
    if len(rates) > 6:
        return f"{text}; rates {min(rates.values()):.2f} to {max(rates.values()):.2f}"
    return f"{text}; rates {', '.join(f'{rate:.2f}' for rate in rates.values())}"


def _signed(number: float) -> str:
    return f"{number:+.2f}"
