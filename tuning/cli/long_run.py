"""Asks for confirmation before a long search."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

import click

from dropout_zoo.tuning.cli.options import INTERRUPTED
from dropout_zoo.tuning.cli.terminal import echo

if TYPE_CHECKING:
    from dropout_zoo.tuning.search.search import Search

LONG = 15 * 60
"""Seconds above which a search is only started after a question."""


def confirm_long_run(search: Search) -> None:
    """Ask whether to start a search that typically takes more than 15 minutes.

    The time is estimated by training for a few epochs, which takes time itself: only if a rough
    estimate from predictions on one batch is above 15 minutes, or `Model.fit` has to train the
    model, which traces it anew each time. A search whose budget is not above 15 minutes starts at
    once. Where nobody can answer, because standard input is not a terminal, a warning is printed
    instead.

    Args:
        search: the search.

    Raises:
        ValueError: model, data and settings do not fit together.
        SystemExit: the answer is no.
    """
    budget = math.inf if search.budget is None else search.budget.seconds
    if budget <= LONG:
        return
    from dropout_zoo.training.engine.eligibility import why_only_model_fit

    search.trainer(None)  # raises a clear error if model, data and objective do not fit
    if why_only_model_fit(search.model) is None and rough_seconds(search) <= LONG:
        return
    echo("This may take a while; training for a few epochs to estimate the time ...", err=True)
    estimated = search.estimate().within(budget)
    if estimated.typical <= LONG:
        return
    plan = f"{search.num_runs} training runs take {estimated}"
    less = "reduce with --max-trials, --epochs, --num-finalists or --num-seeds"
    if not can_ask():
        echo(f"Warning: {plan}; {less}", err=True)
        return
    try:
        agreed = click.confirm(f"{plan} ({less}). Start?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        echo("Not started; nothing was written.", err=True)
        sys.exit(INTERRUPTED)


def can_ask() -> bool:
    """Return whether somebody can answer a question."""
    return sys.stdin.isatty()


def rough_seconds(search: Search) -> float:
    """Return a rough estimate of the duration of a search, from predictions on one batch.

    A training step costs about three times what the predictions cost, and each epoch is followed
    by predictions on the validation set and on a training sample of its size. That several models
    are trained at the same time is left out, so that the estimate is, if anything, too high.

    Args:
        search: the search.

    Returns:
        Seconds for all training runs of the typical length.
    """
    from dropout_zoo.training.data.keras_inputs import as_keras_inputs
    from dropout_zoo.training.data.structures import num_examples, take
    from dropout_zoo.tuning.search.training_length import typical_epochs

    training, data = search.settings.training, search.dataset
    x = take(data.train[0], slice(training.batch_size))
    seconds = []
    for _ in range(4):  # the first one is slow: it traces the model
        started = time.perf_counter()
        search.model.predict_on_batch(as_keras_inputs(x))
        seconds.append(time.perf_counter() - started)
    examples = 3 * data.num_examples() + 2 * data.num_examples("validation")
    batches = search.num_runs * typical_epochs(training) * examples / num_examples(x)
    return min(seconds) * batches
