"""Progress of a run on standard error: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from dropout_zoo.models.wording import printable
from dropout_zoo.training.members import TrainedMember
from dropout_zoo.training.objective import Objective

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows how many training runs have finished, the time left, and the best score of a search.

    Args:
        total: number of training runs in the run.
        objective: what they are judged by.
        show: whether to show anything.
        deadline: when the run ends at the latest, on the clock `time.monotonic`.
    """

    def __init__(
        self,
        total: int,
        objective: Objective,
        show: bool = True,
        deadline: float = math.inf,
    ) -> None:
        self.total = total
        self.objective = objective
        self.show = show
        self.deadline = deadline
        self.done = 0
        self._restored = 0
        self.best = objective.worst
        self._started = time.monotonic()
        self._last_line = -math.inf
        self._bar: RichProgress | None = None

    def __enter__(self) -> Progress:
        console = Console(stderr=True)
        if self.show and console.is_terminal:
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[text]}"),
                console=console,
            )
            self._bar.start()
            self._task = self._bar.add_task("search", total=self.total, text="")
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, name: str, one_seed: bool = False) -> None:
        """Name the current phase.

        Args:
            name: such as ``"search"`` or ``"race"``.
            one_seed: whether all its training runs have the same seed, so that the best score so
                far is shown; otherwise that would be the score of the luckiest seed.
        """
        self._phase, self._one_seed = name, one_seed
        if self._bar is not None:
            self._bar.update(self._task, description=name)

    def restored(self, trained: TrainedMember) -> None:
        """Count a training run that an earlier attempt at the run had finished.

        Args:
            trained: the trained member.
        """
        # It took no time now, so it is left out of the estimate.
        self._restored += trained.member.initial_epoch == 0
        self.result(trained)

    def result(self, trained: TrainedMember) -> None:
        """Count a finished training run, unless it continues one that has been counted.

        Args:
            trained: the trained member.
        """
        self.done += trained.member.initial_epoch == 0
        if self.objective.is_better(trained.score, self.best):
            self.best = trained.score
        text = self._text()
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, text=text)
        elif self.show and self._line_is_due():
            print(
                f"{self._phase}: {self.done:,} of {self.total:,} training runs, {text}",
                file=sys.stderr,
                flush=True,
            )

    def say(self, text: str) -> None:
        """Print a line.

        Args:
            text: the line.
        """
        if self.show:
            print(printable(text), file=sys.stderr, flush=True)

    def set_total(self, total: int) -> None:
        """Correct the number of training runs when a search ends before its limit.

        Args:
            total: the number that is expected now.
        """
        self.total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def _line_is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and self.done < self.total:
            return False
        self._last_line = now
        return True

    def _text(self) -> str:
        known = []
        if self._one_seed and math.isfinite(self.best):
            known.append(f"best {self.objective.name} {self.best:.4g}")
        trained = self.done - self._restored
        if trained:
            now = time.monotonic()
            left = (now - self._started) / trained * (self.total - self.done)
            left = min(left, max(0.0, self.deadline - now))
            known.append(f"{duration(left)} left")
        return ", ".join(known)


def duration(seconds: float) -> str:
    """Return a duration as text, such as ``3 min 20 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
