"""Where the trainers of members take their jobs from."""

from __future__ import annotations

from collections.abc import Iterator

from dropout_zoo.training.members import Job


class JobSource:
    """Jobs from an iterator that may have none to give for the moment.

    Args:
        jobs: yields jobs; None means that none can be given before another one is done.

    Attributes:
        exhausted: whether the iterator has ended.
    """

    def __init__(self, jobs: Iterator[Job | None]) -> None:
        self._jobs, self.exhausted = jobs, False

    def take(self, under_way: int, most: int) -> Iterator[Job]:
        """Take jobs until enough are under way, or there are none for the moment.

        Args:
            under_way: number of jobs that have been taken and are not done.
            most: largest number of jobs under way.

        Yields:
            The jobs taken.

        Raises:
            RuntimeError: there are none for the moment although no job is under way.
        """
        while not self.exhausted and under_way < most:
            try:
                job = next(self._jobs)
            except StopIteration:
                self.exhausted = True
                return
            if job is None:
                break
            under_way += 1
            yield job
        if not under_way and not self.exhausted:
            raise RuntimeError(
                "expected a member to train, received None while none is being trained"
            )
