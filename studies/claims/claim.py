"""A claim about dropout in a form that can be tested, and its test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dropout_zoo.models.argument_validation import check_count
from dropout_zoo.models.wording import count_of, listed
from dropout_zoo.studies.claims.criteria import Criterion
from dropout_zoo.studies.claims.experiment import Experiment
from dropout_zoo.studies.claims.outcome import NOT_COMPARABLE, NOT_TESTED, ClaimOutcome
from dropout_zoo.studies.claims.record import ExperimentRecord
from dropout_zoo.studies.training_ends import TOLERATED_SHARE

if TYPE_CHECKING:
    import pandas as pd

    from dropout_zoo.studies.plan import Execution, StudyPlan
    from dropout_zoo.studies.result import TrainingStudyResult


@dataclass(frozen=True)
class Claim:
    """A claim about dropout, with everything that its test needs fixed beforehand.

    Attributes:
        name: its name on the command line.
        topic: the heading under which it is listed.
        statement: the claim in one sentence.
        source: where it is made, with the number given there.
        experiment: what is trained; claims may share it.
        criterion: what counts as support.
        trained_to_the_end: whether runs that had not ended make the claim undecidable; False only
            for claims about short trainings.
        note: what a reader should know about its definition.

    Example:
        >>> from dropout_zoo.studies import get_claim
        >>> claim = get_claim("input-dropout-helps")
        >>> claim.statement
        'An input rate of 0.20 added to a hidden rate of 0.50 lowers the test error.'
        >>> claim.stored_outcome().verdict
        'supported'
    """

    name: str
    topic: str
    statement: str
    source: str
    experiment: Experiment
    criterion: Criterion
    trained_to_the_end: bool = True
    note: str = ""

    def check_num_seeds(self, num_seeds: int | None = None) -> None:
        """Raise an error if there are fewer seeds than its criterion needs.

        Args:
            num_seeds: number of seeds; None for those of the experiment.

        Raises:
            ValueError: there are too few seeds.
        """
        given = self.experiment.num_seeds if num_seeds is None else num_seeds
        check_count(given, "num_seeds", minimum=self.criterion.min_seeds)

    def plan(self, num_seeds: int | None = None) -> StudyPlan[TrainingStudyResult]:
        """Plan the training runs of its experiment, which can be inspected before they are run.

        Args:
            num_seeds: number of seeds; None for those of the experiment.

        Returns:
            The plan. Its result is not judged; `run` trains the same and judges it.

        Raises:
            ValueError: there are fewer seeds than the criterion needs: 4 for a claim about the best
                rate, 2 for the others.

        Example:
            >>> from dataclasses import replace
            >>> from dropout_zoo.studies import get_claim
            >>> from dropout_zoo.training import load_dataset
            >>> claim, digits = get_claim("adds-to-l2"), load_dataset("digits")
            >>> on_digits = replace(claim.experiment, data=lambda seed: digits)
            >>> plan = replace(claim, experiment=on_digits).plan(num_seeds=2)
            >>> plan.num_runs
            32
        """
        from dropout_zoo.studies.claims.planning import plan_experiment

        self.check_num_seeds(num_seeds)
        return plan_experiment(self.experiment, num_seeds)

    def run(self, num_seeds: int | None = None, execution: Execution | None = None) -> ClaimOutcome:
        """Train what it needs and judge it.

        Args:
            num_seeds: number of seeds; None for those of the experiment.
            execution: where and how it is run.

        Returns:
            The outcome.

        Raises:
            ValueError: there are fewer seeds than the criterion needs; see `plan`.
            RuntimeError: every training run failed.
        """
        from dropout_zoo.studies.claims.running import run_experiment

        self.check_num_seeds(num_seeds)
        return self.judge(run_experiment(self.experiment, num_seeds, execution).runs)

    def judge(self, runs: pd.DataFrame) -> ClaimOutcome:
        """Judge it by training runs of its experiment.

        Args:
            runs: the `runs` of its record.

        Returns:
            The outcome; no effects where the runs cannot be compared.

        Raises:
            ValueError: there are fewer seeds than the criterion needs; see `plan`.
        """
        self.check_num_seeds(runs["seed"].nunique())
        compared = runs[runs["setting"].isin(self.criterion.settings)]
        failed = compared.loc[compared["status"] != "completed", "setting"].unique()
        if len(failed):
            return ClaimOutcome(NOT_COMPARABLE, f"training runs failed: {listed(list(failed))}")
        if self.trained_to_the_end:
            ended = compared["ended"].astype(bool).groupby(compared["setting"], sort=False).mean()
            cut_off = [str(name) for name, share in ended.items() if 1 - share > TOLERATED_SHARE]
            if cut_off:
                return ClaimOutcome(NOT_COMPARABLE, f"not trained to the end: {listed(cut_off)}")
        unknown = compared.loc[compared[self.criterion.metric].isna(), "setting"].unique()
        if len(unknown):
            return ClaimOutcome(
                NOT_COMPARABLE, f"not measured on every seed: {listed(list(unknown))}"
            )
        return self.criterion.judge(compared)

    def stored_outcome(self) -> ClaimOutcome:
        """Judge it by the results that come with the package.

        Returns:
            The outcome.
        """
        record = ExperimentRecord.stored(self.experiment.name)
        if record is None:
            return ClaimOutcome(NOT_TESTED, "there is no stored result")
        return self.judge(record.runs)

    def finding(self) -> str:
        """Say what the test of the claim found, by the results that come with the package.

        Returns:
            The verdict, with the claim in quotes.

        Example:
            >>> from dropout_zoo.studies import get_claim
            >>> get_claim("adds-to-early-stopping").finding()
            'Supported on 8 seeds: "With early stopping, dropout still lowers the test loss."'
        """
        record = ExperimentRecord.stored(self.experiment.name)
        outcome = self.stored_outcome()
        told = outcome.verdict.capitalize()
        if record is None or not outcome.effects:
            return f'{told} ({outcome.why}): "{self.statement}"'
        return f'{told} on {count_of(record.runs["seed"].nunique(), "seed")}: "{self.statement}"'
