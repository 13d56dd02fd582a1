"""Controlled experiments on dropout, and plots of their results.

Settings are compared with a control on the same seeds. Each study is a function that returns a
`StudyResult` with a table (`data`) and conclusions (`summary()`), a `TrainingStudyResult` where
models were trained. Most studies have a function ``plan_...``, which returns the plan of the study
before anything is trained, a `StudyPlan` of `Setting` objects, each on a `TrainingSetup`. An
`Execution` says where and how a study is run.

- Rates and placements: `rate_sweep`, `rate_grid`, `rate_width_map`, `rate_size_map` and
  `placement_sweep`.
- Model and data: `learning_curves`, `epoch_sweep`, `data_size_sweep`, `capacity_sweep`,
  `label_noise_sweep`, `imbalance_sweep`, `generalization_gaps`, `robustness` and `coadaptation`.
- Methods against overfitting: `compare_methods`.
- Uncertainty: `monte_carlo`, which returns a `MonteCarloPrediction`, `monte_carlo_convergence`,
  `calibration`, which returns a `Calibration`, and `predictive_uncertainty`.
- Data: `with_fewer_examples`, `corrupt` and `split_classes` return changed data.
- Judging: `verdict` and `verdict_by_setting` tell over- from underfitting, each in a `Verdict` by
  `Thresholds`; `paired_difference` and `holm_differences` compare settings, each in a
  `PairedDifference`; `may_be_best` lists those that may be the best; `claim_sentence` says whether
  they confirm a claim; and `examine` trains a model and reports problems.
- Claims: `list_claims` and `get_claim` return common claims about dropout, each a `Claim` whose
  test gives a `ClaimOutcome`; `claims_table` shows what the tests found.
- Runs: `verify_run` checks that the files of a run are as the run wrote them.
- Plots: `RateCurveDisplay`, `LearningCurveDisplay`, `FactorCurveDisplay`, `HeatMapDisplay`,
  `DifferenceDisplay`, `ReliabilityDisplay`, `MonteCarloDisplay`, `ActivationDisplay` and
  `FeatureDisplay`.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
