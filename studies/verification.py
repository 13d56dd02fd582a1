"""Checks that nothing in the directory of a run is missing or damaged, without starting Keras."""

from __future__ import annotations

from pathlib import Path

from dropout_zoo.studies.run_record import (
    ENDED_BY_BUDGET,
    MANIFEST,
    OUTCOME,
    SETTINGS,
    STATE,
    DamagedFileError,
    manifest_faults,
    read_outcome,
    read_settings,
)
from dropout_zoo.studies.run_state import RunState
from dropout_zoo.training.journal_records import journals_in, read_records


def verify_run(directory: str | Path) -> list[str]:
    """Check that the files of a run are as the run wrote them.

    All files that the run listed at its end are compared with their checksums. Of a run that is not
    complete, or has such a file missing or damaged, the training runs that it has finished are
    checked as well, with their weights.

    Args:
        directory: the directory of a run of `tune` or of a study, from Python or the command line.

    Returns:
        One line per file or training run that is missing or damaged; empty if all is whole.

    Raises:
        ValueError: the directory does not hold a run that this version has written.

    Example:
        >>> import tempfile
        >>> from dropout_zoo.models import build_mlp
        >>> from dropout_zoo.studies import verify_run
        >>> from dropout_zoo.tuning import tune
        >>> directory = tempfile.mkdtemp()
        >>> result = tune(
        ...     build_mlp(units=(8,), hidden_rates=0.5), "digits", rates=[0.5],
        ...     num_finalists=1, num_seeds=2, epochs=1, progress=False, directory=directory,
        ... )
        >>> verify_run(directory)
        []
        >>> (result.directory / "trials.csv").unlink()
        >>> verify_run(directory)
        ['trials.csv: missing']
    """
    path = Path(directory)
    ended = (path / MANIFEST).is_file()
    if not ended and not (path / SETTINGS).is_file():
        raise ValueError(
            f"expected the directory of a run, received {path}, which has no {SETTINGS}"
        )
    # The manifest is written after the outcome, and before the state goes.
    complete = ended or ((path / OUTCOME).exists() and not (path / STATE).exists())
    faults = manifest_faults(path) if complete else []
    RunState(path / STATE, ()).check_is_own()
    if not any(fault.startswith(f"{SETTINGS}:") for fault in faults):
        try:
            read_settings(path / SETTINGS)
        except DamagedFileError:
            faults.append(f"{SETTINGS}: damaged")
    # A run that was killed as it removed its state has files of it that nothing will read.
    if ended and not faults and not read_outcome(path).get(ENDED_BY_BUDGET):
        return []
    for journal in journals_in(path / STATE):
        place = journal.parent.relative_to(path).as_posix()
        faults += [f"{place}/{fault}" for fault in read_records(journal).faults]
    return faults
