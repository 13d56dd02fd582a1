"""Where engines take their jobs from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dropout_zoo.training.members import Job


class JobSource:
    """Jobs from an iterator that may have none to give at present.

    Args:
        jobs: yields jobs; None means that the next job depends on results that are not there yet.
        known: whether all jobs are known beforehand: an engine may then take jobs ahead of time;
            otherwise the iterator may need more results first.

    Attributes:
        exhausted: whether the iterator has ended.
        on_arrival: to be called, from any thread, when the iterator has another job to give. An
            engine that waits for results sets it; otherwise it asks after the next result.
    """

    def __init__(self, jobs: Iterator[Job | None], *, known: bool = False) -> None:
        self._jobs, self.known, self.exhausted = jobs, known, False
        self.on_arrival: Callable[[], None] = lambda: None

    def take(self, running: int, limit: int) -> Iterator[Job]:
        """Take jobs until enough are running, or there are none at present.

        Args:
            running: number of jobs that have been taken and have not finished.
            limit: the largest number of running jobs.

        Yields:
            The jobs taken.

        Raises:
            RuntimeError: there are none at present although no job is running.
        """
        while not self.exhausted and running < limit:
            try:
                job = next(self._jobs)
            except StopIteration:
                self.exhausted = True
                return
            if job is None:
                break
            running += 1
            yield job
        if not running and not self.exhausted:
            raise RuntimeError(
                "expected a member to train, received None while none is being trained"
            )
